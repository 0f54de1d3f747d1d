package io.ucow.store;

import io.ucow.sys.DirectFile;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.Locale;

/**
 * Which caches data goes through, and when a write is durable; QEMU's words, with QEMU's meaning.
 *
 * <p>Of the three a store and its base know only whether they use the page cache. That a write is durable before it is
 * acknowledged is seen to by whoever acknowledges it, with a flush.
 */
public enum CacheMode {
    /** Past every cache: base and store are read and written with {@code O_DIRECT}. Durable at the next flush. */
    NONE,
    /** Through the page cache; each write is durable before it is acknowledged. */
    WRITETHROUGH,
    /** Through the page cache, which may hold writes back until the next flush. */
    WRITEBACK;

    /**
     * How this mode reads and writes an open file. It takes {@code file} over, also when it throws.
     *
     * @param readOnly as {@code file} was opened
     * @throws DirectIoUnavailableException in mode {@code NONE}, if the file system has no direct I/O
     */
    public PositionalFile accessTo(NativeFile file, boolean readOnly) throws IOException {
        if (this != NONE) {
            return file;
        }
        try {
            return DirectFile.over(file, readOnly ? Libc.O_RDONLY : Libc.O_RDWR);
        } catch (NativeException e) {
            IOException failure = e.errno() == Errno.EINVAL
                    ? new DirectIoUnavailableException(
                            file.name() + ": its file system has no direct I/O; use --cache writeback", e)
                    : e;
            try (file) {
                throw failure;
            }
        }
    }

    /** As options and messages have it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
