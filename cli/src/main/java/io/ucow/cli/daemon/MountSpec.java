package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import com.grack.nanojson.JsonWriter;
import io.ucow.store.CacheMode;
import io.ucow.store.OpenOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a daemon is to serve: the line of JSON that it reads from its standard input.
 *
 * @param id the daemon's name in the run directory
 * @param dir where to mount, absolute
 * @param attach true when {@code dir} is the daemon's own in the run directory, made and removed by it
 * @param transport {@code auto} or a transport's name
 * @param cache through which caches data goes
 * @param detectZeroes true to give chunks that are written as zeros no slot
 * @param readOnly true to change no image
 * @param snapshot the internal snapshot of each image to serve, by id or name; empty for the current state
 * @param images images to serve, absolute; empty when there is a table
 * @param table a device table to serve instead; its relative paths start from the daemon's first working directory
 * @param tableName what messages about the table call it
 */
public record MountSpec(
        String id,
        Path dir,
        boolean attach,
        String transport,
        CacheMode cache,
        boolean detectZeroes,
        boolean readOnly,
        Optional<String> snapshot,
        List<Path> images,
        Optional<String> table,
        String tableName) {
    public MountSpec {
        images = List.copyOf(images);
    }

    OpenOptions openOptions() {
        return new OpenOptions(readOnly, cache, detectZeroes).at(snapshot);
    }

    String toJson() {
        JsonArray paths = new JsonArray();
        images.forEach(i -> paths.add(i.toString()));
        return JsonWriter.string(JsonObject.builder()
                .value("id", id)
                .value("dir", dir.toString())
                .value("attach", attach)
                .value("transport", transport)
                .value("cache", cache.name())
                .value("detectZeroes", detectZeroes)
                .value("readOnly", readOnly)
                .value("snapshot", snapshot.orElse(null))
                .value("images", paths)
                .value("table", table.orElse(null))
                .value("tableName", tableName)
                .done());
    }

    /** @throws IOException if {@code line} is not what {@link #toJson} wrote */
    static MountSpec fromJson(String line) throws IOException {
        try {
            JsonObject json = JsonParser.object().from(line);
            List<Path> images = new ArrayList<>();
            json.getArray("images").forEach(i -> images.add(Path.of((String) i)));
            return new MountSpec(
                    json.getString("id"),
                    Path.of(json.getString("dir")),
                    json.getBoolean("attach"),
                    json.getString("transport"),
                    CacheMode.valueOf(json.getString("cache")),
                    json.getBoolean("detectZeroes"),
                    json.getBoolean("readOnly"),
                    Optional.ofNullable(json.getString("snapshot")),
                    images,
                    Optional.ofNullable(json.getString("table")),
                    json.getString("tableName"));
        } catch (JsonParserException | ClassCastException e) {
            throw new IOException("not a mount request: " + e.getMessage(), e);
        }
    }
}
