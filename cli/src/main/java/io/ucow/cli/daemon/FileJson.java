package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import java.nio.file.Path;

/**
 * Where a device is, as {@code ucow list --json} and {@code ucow status --json} print it. Paths are absolute;
 * {@code image} is null for a device of zeros alone, {@code loop} where {@code ucow attach} made none:
 * <pre>
 *   {"image":"/vm/a.cow", "pid":N, "dir":"/mnt/vms", "file":"/mnt/vms/a", "loop":"/dev/loop0", "transport":"jnr",
 *    "state":"running" | "dead"}
 * </pre>
 */
public final class FileJson {
    private FileJson() {}

    /** The JSON of one file of a daemon, which is dead unless it is {@code running}. */
    public static JsonObject of(DaemonState daemon, ServedFile file, boolean running) {
        return JsonObject.builder()
                .value(
                        "image",
                        file.images().isEmpty() ? null : file.images().get(0).toString())
                .value("pid", daemon.process().pid())
                .value("dir", daemon.dir().toString())
                .value("file", daemon.dir().resolve(file.name()).toString())
                .value("loop", file.loop().map(Path::toString).orElse(null))
                .value("transport", daemon.transport())
                .value("state", running ? "running" : "dead")
                .done();
    }
}
