package io.ucow.store;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Durability of files and directories as such; that of a store's content is its own matter. */
final class Durable {
    private Durable() {}

    /** Makes a file's content and attributes, or a directory's entries, survive power loss: {@code fsync}. */
    static void sync(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
