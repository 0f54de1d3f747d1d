package io.ucow.cli;

import io.ucow.cli.daemon.BusyException;
import io.ucow.cli.daemon.EnvironmentException;
import io.ucow.cli.daemon.RemoteException;
import io.ucow.fuse.MountBusyException;
import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopUnavailableException;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.DirectIoUnavailableException;
import io.ucow.store.OriginChangedException;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreInUseException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.table.TableMismatchException;
import io.ucow.store.table.TableSyntaxException;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.Map;

/**
 * What {@code ucow}'s exit status means.
 *
 * <p>{@code ucow check} answers with {@code qemu-img check}'s codes instead: 0 sound, 1 could not check (bad arguments
 * included), 2 corruptions, 3 leaks only. {@code ucow diff} has those of {@code qemu-img compare}: 0 equal, 1 different, 2
 * could not compare. For that reason 3 means nothing else, and 2 outside these two only a wrong command line.
 */
public final class ExitCodes {
    /** Done. */
    public static final int OK = 0;
    /** Failed for a reason that has no code of its own. */
    public static final int FAILURE = 1;
    /** The command line, or a device table, is wrong; nothing was done. */
    public static final int USAGE = 2;

    /** {@code check}: the image has corruptions. */
    public static final int CHECK_CORRUPT = 2;
    /** {@code check}: the image is sound but has leaks. */
    public static final int CHECK_LEAKS = 3;

    /** {@code diff}: the devices differ. */
    public static final int DIFF_DIFFERENT = 1;
    /** {@code diff}: they could not be compared. */
    public static final int DIFF_IMPOSSIBLE = 2;

    /** An image, a snapshot in it, base, directory, mount or attachment that is not there. */
    public static final int NOT_FOUND = 10;
    /** Something is already there: the image to create, a second file of one name in a mount. */
    public static final int EXISTS = 11;
    /** In use: image already open, mounted or attached; mount or loop device busy. Nothing was changed. */
    public static final int BUSY = 12;
    /** The user lacks a right. */
    public static final int NO_PERMISSION = 13;
    /** No space left for the image. */
    public static final int NO_SPACE = 14;
    /** The base is not the one that the image was made on, or an image not the one that a stream is for. */
    public static final int BASE_CHANGED = 15;
    /** The image's metadata, or a stream, is damaged; {@code scrub}: what the image holds is. */
    public static final int CORRUPT = 16;
    /** Not an image, or one of an unknown format, version or feature. */
    public static final int UNSUPPORTED = 17;
    /** A path of the wrong kind: a file for a directory or the reverse, or a directory that is not empty. */
    public static final int WRONG_KIND = 18;
    /** The machine lacks something: {@code /dev/fuse}, a free loop device, direct I/O. */
    public static final int ENVIRONMENT = 19;

    private static final Map<Class<? extends Exception>, Integer> BY_TYPE = Map.ofEntries(
            Map.entry(BusyException.class, BUSY),
            Map.entry(StoreInUseException.class, BUSY),
            Map.entry(MountBusyException.class, BUSY),
            Map.entry(LoopBusyException.class, BUSY),
            Map.entry(OriginChangedException.class, BASE_CHANGED),
            Map.entry(CorruptStoreException.class, CORRUPT),
            Map.entry(UnsupportedFormatException.class, UNSUPPORTED),
            Map.entry(StoreFullException.class, NO_SPACE),
            Map.entry(EnvironmentException.class, ENVIRONMENT),
            Map.entry(LoopUnavailableException.class, ENVIRONMENT),
            Map.entry(DirectIoUnavailableException.class, ENVIRONMENT),
            Map.entry(IllegalArgumentException.class, USAGE),
            Map.entry(TableSyntaxException.class, USAGE),
            Map.entry(TableMismatchException.class, USAGE),
            Map.entry(NoSuchFileException.class, NOT_FOUND),
            Map.entry(FileAlreadyExistsException.class, EXISTS),
            Map.entry(AccessDeniedException.class, NO_PERMISSION),
            Map.entry(WrongKindException.class, WRONG_KIND),
            Map.entry(NotDirectoryException.class, WRONG_KIND),
            Map.entry(DirectoryNotEmptyException.class, WRONG_KIND));

    private static final Map<Integer, Integer> BY_ERRNO = Map.of(
            Errno.ENOENT, NOT_FOUND,
            Errno.EEXIST, EXISTS,
            Errno.EBUSY, BUSY,
            Errno.EACCES, NO_PERMISSION,
            Errno.EPERM, NO_PERMISSION,
            Errno.EROFS, NO_PERMISSION,
            Errno.ENOSPC, NO_SPACE,
            Errno.ENOTDIR, WRONG_KIND,
            Errno.ENODEV, ENVIRONMENT);

    private ExitCodes() {}

    /** The code for a command that ended with {@code failure}. */
    public static int of(Throwable failure) {
        if (failure instanceof RemoteException remote) {
            return remote.exitCode();
        }
        if (failure instanceof NativeException call) {
            return BY_ERRNO.getOrDefault(call.errno(), FAILURE);
        }
        return BY_TYPE.getOrDefault(failure.getClass(), FAILURE);
    }
}
