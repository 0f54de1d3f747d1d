package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import com.grack.nanojson.JsonWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a daemon tells other processes of itself, kept as JSON in the run directory.
 *
 * <p>A daemon writes it before it opens anything, so that whoever comes second finds the claim, and again when it is
 * ready. The file of a daemon that died without removing it says what is left to clean up.
 *
 * @param id names the daemon's files in the run directory
 * @param process the daemon
 * @param keeper the process that starts another daemon when this one dies, if there is one
 * @param dir where it mounts, absolute
 * @param transport how it talks to the kernel, see {@code ucow mount --transport}
 * @param attached true when {@code ucow attach} made the mount, and {@code dir} is in the run directory
 * @param ready false until the files can be used
 * @param files the files in {@code dir}, at least one
 */
public record DaemonState(
        String id,
        ProcessId process,
        Optional<ProcessId> keeper,
        Path dir,
        String transport,
        boolean attached,
        boolean ready,
        List<ServedFile> files) {
    private static final int VERSION = 1;

    public DaemonState {
        files = List.copyOf(files);
    }

    /** True while the daemon's process exists, or will have a successor. */
    public boolean isAlive() throws IOException {
        return process.isAlive() || (keeper.isPresent() && keeper.get().isAlive());
    }

    /** True while the daemon's process exists. */
    public boolean isServing() throws IOException {
        return process.isAlive();
    }

    /** The file that {@code path} means: an image, a loop device, or the file in the mount; canonical. */
    public Optional<ServedFile> find(Path path) {
        return files.stream()
                .filter(f -> f.images().contains(path)
                        || f.loop().equals(Optional.of(path))
                        || dir.resolve(f.name()).equals(path))
                .findFirst();
    }

    /** The same daemon with its files ready, or with loop devices on them. */
    DaemonState ready(String actualTransport, List<ServedFile> now) {
        return new DaemonState(id, process, keeper, dir, actualTransport, attached, true, now);
    }

    /** The same daemon with another keeper, or none. */
    DaemonState keptBy(Optional<ProcessId> another) {
        return new DaemonState(id, process, another, dir, transport, attached, ready, files);
    }

    /** The daemon that serves the same in the place of this one. */
    DaemonState succeededBy(ProcessId successor) {
        return new DaemonState(id, successor, keeper, dir, transport, attached, ready, files);
    }

    /** Where a file of this daemon is to be found, and how to end that, for messages. */
    public String describe(ServedFile file) {
        if (file.loop().isPresent()) {
            return "attached as " + file.loop().get() + "; to end that: ucow detach "
                    + file.loop().get();
        }
        return attached
                ? "being attached by process " + process.pid()
                : "mounted at " + dir + "; to end that: ucow unmount " + dir;
    }

    String toJson() {
        JsonArray served = new JsonArray();
        files.forEach(f -> served.add(f.toJson()));
        return JsonWriter.string(JsonObject.builder()
                .value("version", VERSION)
                .value("id", id)
                .value("process", process.toJson())
                .value("keeper", keeper.map(ProcessId::toJson).orElse(null))
                .value("dir", dir.toString())
                .value("transport", transport)
                .value("attached", attached)
                .value("ready", ready)
                .value("files", served)
                .done());
    }

    /** @throws IOException if {@code text} is not what {@link #toJson} wrote */
    static DaemonState fromJson(String text) throws IOException {
        try {
            JsonObject json = JsonParser.object().from(text);
            if (json.getInt("version") != VERSION) {
                throw new IOException("state version " + json.getInt("version") + ", expected " + VERSION);
            }
            List<ServedFile> files = new ArrayList<>();
            json.getArray("files").forEach(f -> files.add(ServedFile.fromJson((JsonObject) f)));
            return new DaemonState(
                    json.getString("id"),
                    ProcessId.fromJson(json.getObject("process")),
                    Optional.ofNullable(json.getObject("keeper")).map(ProcessId::fromJson),
                    Path.of(json.getString("dir")),
                    json.getString("transport"),
                    json.getBoolean("attached"),
                    json.getBoolean("ready"),
                    files);
        } catch (JsonParserException | ClassCastException e) {
            throw new IOException("not a daemon's state: " + e.getMessage(), e);
        }
    }
}
