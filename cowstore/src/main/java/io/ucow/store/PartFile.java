package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A file that gets its name when it is complete: until then it is beside it, as {@code NAME.ucow-part-} and eight hexadecimal digits. It is
 * removed unless {@link #complete} was called, also when a signal ends this process. What {@code kill -9} leaves is
 * removed by the next one of the same name, who tells it by the whole-file lock that nobody holds any more.
 *
 * <p>Threading: the owner's thread, and the one that a signal starts.
 */
final class PartFile implements Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(PartFile.class);

    private final Path name;
    private final Path part;
    private final Thread atExit = new Thread(this::removeAtExit, "remove-part");
    /** Guarded by this: either the file has its name, or it is gone. */
    private boolean ended;

    private PartFile(Path name, Path part) {
        this.name = name;
        this.part = part;
    }

    /**
     * A file that is to be {@code name}. The caller creates it at {@link #path}, and locks it exclusively while writing.
     *
     * @throws FileAlreadyExistsException if there is something of that name
     */
    static PartFile of(Path name) throws IOException {
        requireNone(name);
        String prefix = name.getFileName() + ".ucow-part-";
        for (Path left : partsOf(name, prefix)) {
            removeUnlessInUse(left);
        }
        // Who creates it sees to it that there is none of that name: no need for secure random numbers, which take
        // longer.
        String digits = HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextInt());
        PartFile file = new PartFile(name, name.resolveSibling(prefix + digits));
        Runtime.getRuntime().addShutdownHook(file.atExit);
        return file;
    }

    private static void requireNone(Path name) throws FileAlreadyExistsException {
        if (Files.exists(name, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(name.toString());
        }
    }

    private static List<Path> partsOf(Path name, String prefix) throws IOException {
        try (Stream<Path> files = Files.list(directoryOf(name))) {
            return files.filter(f -> f.getFileName().toString().matches(Pattern.quote(prefix) + "[0-9a-f]{8}"))
                    .toList();
        }
    }

    private static Path directoryOf(Path name) {
        return name.toAbsolutePath().getParent();
    }

    private static void removeUnlessInUse(Path left) throws IOException {
        try (NativeFile file = NativeFile.open(left, Libc.O_RDWR)) {
            if (file.tryLock(true)) {
                Files.deleteIfExists(left);
            }
        } catch (NativeException e) {
            // Gone meanwhile, or not ours: it is in nobody's way.
            if (e.errno() != Errno.ENOENT && e.errno() != Errno.EACCES) {
                throw e;
            }
        }
    }

    /** Where it is until it is complete. */
    Path path() {
        return part;
    }

    /**
     * Gives the file, which must be synced and closed, its name, durably.
     *
     * @throws FileAlreadyExistsException if there is something of that name by now; the file is not kept
     */
    synchronized void complete() throws IOException {
        if (ended) {
            throw new NoSuchFileException(part.toString(), null, "was removed, as the command was interrupted");
        }
        requireNone(name);
        Files.move(part, name);
        ended = true;
        Durable.sync(directoryOf(name));
    }

    /** Removes the file unless it is complete. A second call does nothing. */
    @Override
    public void close() throws IOException {
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            LOG.debug("a signal ends this process, and removes {}", part, e);
        }
        remove();
    }

    private synchronized void remove() throws IOException {
        if (!ended) {
            ended = true;
            Files.deleteIfExists(part);
        }
    }

    private void removeAtExit() {
        try {
            remove();
        } catch (IOException e) {
            LOG.warn("{} is left behind: {}", part, e.getMessage());
        }
    }
}
