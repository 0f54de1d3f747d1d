package io.ucow.store.table;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.regex.Pattern;

/** Paths as table lines spell them. */
final class TablePaths {
    private static final Pattern MAJOR_MINOR = Pattern.compile("[0-9]+:[0-9]+");

    private TablePaths() {}

    /**
     * The file that {@code word}, a path or {@code MAJOR:MINOR}, stands for.
     *
     * @throws InvalidPathException if the file system has no such names
     */
    static Path of(String word) {
        return MAJOR_MINOR.matcher(word).matches() ? blockDevice(word) : absolute(Path.of(word));
    }

    /** The link that udev makes; where no udev runs, the node of the name that the kernel gave the device. */
    private static Path blockDevice(String majorMinor) {
        Path link = Path.of("/dev/block", majorMinor);
        if (Files.exists(link)) {
            return link;
        }
        try {
            Path device = Path.of("/sys/dev/block", majorMinor).toRealPath();
            // sysfs writes the '/' of names like cciss/c0d0 as '!'.
            Path node = Path.of("/dev", device.getFileName().toString().replace('!', '/'));
            return Files.exists(node) ? node : link;
        } catch (IOException e) {
            return link;
        }
    }

    /** {@code path} from the root, without {@code .}; a {@code ..} stays, for it may follow a symbolic link. */
    static Path absolute(Path path) {
        Path whole = path.toAbsolutePath();
        Path result = whole.getRoot();
        for (Path name : whole) {
            if (!name.toString().equals(".")) {
                result = result.resolve(name);
            }
        }
        return result;
    }
}
