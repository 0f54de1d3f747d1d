package io.ucow.cli.daemon;

import io.ucow.fuse.MountInfo;
import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/** What a directory must be for a mount to go there. */
final class MountPoint {
    private MountPoint() {}

    /**
     * @param dir canonical
     * @throws FileSystemException of the type that says what is wrong, if it is no empty directory
     * @throws BusyException if something is mounted there
     */
    static void requireUsable(Path dir) throws IOException {
        Optional<MountInfo> mounted = MountInfo.at(dir);
        if (mounted.isPresent()) {
            throw new BusyException(dir + ": a file system of type "
                    + mounted.get().type() + " is mounted there already; unmount it, or choose another directory");
        }
        if (!Files.exists(dir)) {
            throw new NoSuchFileException(dir.toString(), null, "no such directory; make it with mkdir");
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(dir)) {
            if (entries.iterator().hasNext()) {
                throw new DirectoryNotEmptyException(dir.toString());
            }
        }
    }
}
