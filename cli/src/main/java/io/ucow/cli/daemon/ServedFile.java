package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * One device of a daemon as others know it: images behind a file in its mount.
 *
 * @param name the file's name in the mount
 * @param images the images it is made of, canonical; one, but for devices made of a table
 * @param loop the loop device that {@code ucow attach} put on it
 */
public record ServedFile(String name, List<Path> images, Optional<Path> loop) {
    public ServedFile {
        images = List.copyOf(images);
    }

    /** The same file with a loop device on it. */
    ServedFile attachedAs(Path loopDevice) {
        return new ServedFile(name, images, Optional.of(loopDevice));
    }

    JsonObject toJson() {
        JsonArray paths = new JsonArray();
        images.forEach(i -> paths.add(i.toString()));
        return JsonObject.builder()
                .value("name", name)
                .value("images", paths)
                .value("loop", loop.map(Path::toString).orElse(null))
                .done();
    }

    static ServedFile fromJson(JsonObject json) {
        List<Path> images = new ArrayList<>();
        json.getArray("images").forEach(i -> images.add(Path.of((String) i)));
        return new ServedFile(
                json.getString("name"),
                images,
                Optional.ofNullable(json.getString("loop")).map(Path::of));
    }
}
