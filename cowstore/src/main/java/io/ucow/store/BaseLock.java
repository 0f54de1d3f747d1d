package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps a commit from changing a raw base that others read, and others from reading one that a commit changes: an
 * open-file-description lock of one byte, so far out that no other program locks it (QEMU has its own, near the beginning).
 * Images need no such thing: their lock is of the whole file. A commit takes QEMU's as well, for a raw file that a qcow2 image
 * is on is likely to be read by QEMU: byte 100 + n while permission n is used, and byte 200 + n while nobody else may have it.
 *
 * <p>Threading: stateless.
 */
final class BaseLock {
    private static final Logger LOG = LoggerFactory.getLogger(BaseLock.class);

    private static final long BYTE = 1L << 62;

    private static final long QEMU_FIRST = 100, QEMU_BYTES = 200;
    private static final long QEMU_WRITES = 101, QEMU_LETS_NOBODY_READ = 200;

    private BaseLock() {}

    /**
     * Locks {@code file} for reading, until it is closed.
     *
     * @throws StoreInUseException if a commit is changing it
     */
    static void share(NativeFile file) throws IOException {
        if (!tryLock(file, false)) {
            throw new StoreInUseException(
                    file.name() + ": an image is being committed to it; try again when that is done");
        }
    }

    /**
     * Locks {@code file}, which is open for writing, until it is closed.
     *
     * @throws StoreInUseException if an image that is open has it for its base
     */
    static void own(NativeFile file) throws IOException {
        if (!tryLock(file, true)) {
            throw new StoreInUseException(file.name()
                    + ": is the base of an image that is in use, which would see it change; see 'ucow list'");
        }
        if (!tryLockQemu(file)) {
            throw new StoreInUseException(file.name() + ": is in use by QEMU, which would see it change");
        }
    }

    private static boolean tryLockQemu(NativeFile file) throws IOException {
        try {
            // First the locks, then the look at others': of two that come at once at least one sees the other.
            return file.tryLockByte(false, QEMU_WRITES)
                    && file.tryLockByte(false, QEMU_LETS_NOBODY_READ)
                    && !file.isLocked(QEMU_FIRST, QEMU_BYTES);
        } catch (NativeException e) {
            requireNoLocks(file, e);
            return true;
        }
    }

    /** @throws NativeException if {@code e} says something else than that there are no locks on the file system */
    private static void requireNoLocks(NativeFile file, NativeException e) throws NativeException {
        if (e.errno() != Errno.ENOLCK && e.errno() != Errno.ENOSYS && e.errno() != Errno.EOPNOTSUPP) {
            throw e;
        }
        LOG.debug("no locks on the file system of {}", file.name(), e);
    }

    private static boolean tryLock(NativeFile file, boolean exclusive) throws IOException {
        try {
            return file.tryLockByte(exclusive, BYTE);
        } catch (NativeException e) {
            requireNoLocks(file, e);
            return true;
        }
    }
}
