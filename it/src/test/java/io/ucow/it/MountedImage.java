package io.ucow.it;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * What one {@code ucow mount} has mounted, until {@link #unmount} or the end of the test.
 *
 * @param home whose test it belongs to
 * @param dir where
 * @param pid the daemon
 * @param files the files in {@code dir}, in the order they were named
 */
record MountedImage(UcowHome home, Path dir, long pid, List<Path> files) {
    /** What is mounted at {@code dir} now. */
    static MountedImage at(UcowHome home, Path dir) throws IOException {
        List<JsonObject> rows = home.list().stream()
                .filter(row -> row.getString("dir").equals(dir.toString()))
                .toList();
        if (rows.isEmpty()) {
            throw new AssertionError("ucow list has nothing at " + dir);
        }
        return new MountedImage(
                home,
                dir,
                rows.get(0).getLong("pid"),
                rows.stream().map(row -> Path.of(row.getString("file"))).toList());
    }

    /** The only file, or the first. */
    Path file() {
        return files.get(0);
    }

    /** Unmounts; on return the daemon is gone. */
    void unmount() throws IOException {
        home.ucow("unmount", dir).succeed();
    }

    /** Kills the daemon and its keeper with {@code SIGKILL}; on return they are dead, and the mount with them. */
    void kill() throws IOException {
        home.kill(pid);
    }
}
