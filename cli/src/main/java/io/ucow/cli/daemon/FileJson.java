package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Where a device is, as {@code ucow list --json} and {@code ucow status --json} print it. Paths are absolute;
 * {@code image} is null for a device of zeros alone, {@code loop} where {@code ucow attach} made none, {@code keeper} where the mount ends with its daemon:
 * <pre>
 *   {"image":"/vm/a.cow", "pid":N, "dir":"/mnt/vms", "file":"/mnt/vms/a", "loop":"/dev/loop0", "transport":"jnr",
 *    "keeper":N, "state":"running" | "restarting" | "dead"}
 * </pre>
 */
public final class FileJson {
    private FileJson() {}

    /** The JSON of one file of a daemon. */
    public static JsonObject of(DaemonState daemon, ServedFile file) throws IOException {
        String state = daemon.isServing() ? "running" : daemon.isAlive() ? "restarting" : "dead";
        return JsonObject.builder()
                .value(
                        "image",
                        file.images().isEmpty() ? null : file.images().get(0).toString())
                .value("pid", daemon.process().pid())
                .value("dir", daemon.dir().toString())
                .value("file", daemon.dir().resolve(file.name()).toString())
                .value("loop", file.loop().map(Path::toString).orElse(null))
                .value("transport", daemon.transport())
                .value("keeper", daemon.keeper().map(ProcessId::pid).orElse(null))
                .value("state", state)
                .done();
    }
}
