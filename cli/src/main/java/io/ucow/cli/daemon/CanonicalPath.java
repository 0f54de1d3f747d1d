package io.ucow.cli.daemon;

import java.io.IOException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.Path;

/** One spelling for each file, so that images and mounts can be told apart by their paths. */
public final class CanonicalPath {
    /** The kernel's own limit. */
    private static final int MAX_LINKS = 40;

    private CanonicalPath() {}

    /**
     * {@code path} from the root, without symbolic links. What does not exist, or is on a dead mount, is taken as it is
     * spelt; its directory still is made canonical.
     *
     * @throws FileSystemLoopException if symbolic links go round in circles
     */
    public static Path of(Path path) throws IOException {
        return of(path, 0);
    }

    private static Path of(Path path, int linksFollowed) throws IOException {
        if (linksFollowed > MAX_LINKS) {
            throw new FileSystemLoopException(path.toString());
        }
        Path absolute = path.toAbsolutePath();
        Path parent = absolute.getParent();
        if (parent == null || !Files.isDirectory(parent)) {
            return absolute.normalize();
        }
        // Not the path itself: a look at a mount point whose daemon is gone fails, and one at a stuck one hangs.
        Path canonical = parent.toRealPath().resolve(absolute.getFileName()).normalize();
        return Files.isSymbolicLink(canonical)
                ? of(canonical.resolveSibling(Files.readSymbolicLink(canonical)), linksFollowed + 1)
                : canonical;
    }
}
