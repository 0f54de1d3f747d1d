package io.ucow.store.table;

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
        return MAJOR_MINOR.matcher(word).matches() ? Path.of("/dev/block", word) : absolute(Path.of(word));
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
