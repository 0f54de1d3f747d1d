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
 * Images need no such thing: their lock is of the whole file.
 *
 * <p>Threading: stateless.
 */
final class BaseLock {
    private static final Logger LOG = LoggerFactory.getLogger(BaseLock.class);

    private static final long BYTE = 1L << 62;

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
    }

    private static boolean tryLock(NativeFile file, boolean exclusive) throws IOException {
        try {
            return file.tryLockByte(exclusive, BYTE);
        } catch (NativeException e) {
            if (e.errno() != Errno.ENOLCK && e.errno() != Errno.ENOSYS && e.errno() != Errno.EOPNOTSUPP) {
                throw e;
            }
            LOG.debug("no locks on the file system of {}", file.name(), e);
            return true;
        }
    }
}
