package io.ucow.sys;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.Locale;

/**
 * Linux error numbers, and the one place that turns a {@link Throwable} into the errno of a reply.
 *
 * <p>Source: {@code include/uapi/asm-generic/errno-base.h} and {@code errno.h}; these values hold on every
 * architecture that ucow runs on.
 */
public final class Errno {
    public static final int EPERM = 1;
    public static final int ENOENT = 2;
    public static final int ESRCH = 3;
    public static final int EINTR = 4;
    public static final int EIO = 5;
    public static final int ENXIO = 6;
    public static final int EBADF = 9;
    public static final int EAGAIN = 11;
    public static final int ENOMEM = 12;
    public static final int EACCES = 13;
    public static final int EBUSY = 16;
    public static final int EEXIST = 17;
    public static final int ENODEV = 19;
    public static final int ENOTDIR = 20;
    public static final int EINVAL = 22;
    public static final int ENOTTY = 25;
    public static final int EFBIG = 27;
    public static final int ENOSPC = 28;
    public static final int EROFS = 30;
    public static final int ERANGE = 34;
    public static final int ENOLCK = 37;
    public static final int ENOSYS = 38;
    public static final int ENODATA = 61;
    public static final int EOPNOTSUPP = 95;
    public static final int ENOTCONN = 107;

    /** All that a {@code java.io} or {@code java.nio} exception has of it. */
    private static final String NO_SPACE = "No space left on device";

    private Errno() {}

    /**
     * The errno that a request which failed with {@code failure} is answered with.
     *
     * @return the errno of the nearest {@link NativeException} in the cause chain, the matching errno of a
     *     {@code java.nio.file} exception, or {@link #EIO} when nothing more exact is known; never 0
     */
    public static int of(Throwable failure) {
        for (Throwable t = failure; t != null; t = t.getCause()) {
            if (t instanceof NativeException e) {
                return e.errno();
            }
            if (t instanceof NoSuchFileException) {
                return ENOENT;
            }
            if (t instanceof AccessDeniedException) {
                return EACCES;
            }
            if (t instanceof FileAlreadyExistsException) {
                return EEXIST;
            }
            if (NO_SPACE.equals(t.getMessage())) {
                return ENOSPC;
            }
        }
        return EIO;
    }

    /** What people call {@code errno}, for messages: {@code "no space left on device (ENOSPC)"}. */
    public static String describe(int errno) {
        var known = jnr.constants.platform.Errno.valueOf(errno);
        return known.defined()
                ? known.description().toLowerCase(Locale.ROOT) + " (" + known.name() + ")"
                : "errno " + errno;
    }
}
