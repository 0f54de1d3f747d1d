package io.ucow.qcow2;

import io.ucow.sys.NativeFile;
import java.io.IOException;

/**
 * QEMU's image locking, so that neither program opens an image which the other changes. QEMU locks, for reading and by
 * open file description, byte 100 + n of a file while it uses permission n on it, and byte 200 + n while nobody else may;
 * who wants a permission looks whether anyone has that second byte, and the other way round.
 *
 * <p>A writer locks the whole file exclusively, which conflicts with all of these, and with readers here. A reader does
 * as a read-only QEMU does, so that any number of both can share a backing file.
 *
 * <p>Threading: stateless.
 */
final class QemuLock {
    private static final long USED = 100;
    private static final long UNSHARED = 200;
    private static final int CONSISTENT_READ = 0;
    private static final int WRITE = 1;
    private static final int RESIZE = 3;

    private QemuLock() {}

    /** Locks {@code file} until it is closed. @return false when somebody uses it in a way that conflicts */
    static boolean tryLock(NativeFile file, boolean exclusive) throws IOException {
        if (exclusive) {
            return file.tryLock(true);
        }
        // First the locks, then the look at others': of two that come at once at least one sees the other.
        boolean locked = file.tryLockByte(false, USED + CONSISTENT_READ)
                && file.tryLockByte(false, UNSHARED + WRITE)
                && file.tryLockByte(false, UNSHARED + RESIZE);
        // What is left of a writer's lock, if it had that.
        file.unlock(0, USED + CONSISTENT_READ);
        file.unlock(USED + CONSISTENT_READ + 1, UNSHARED + WRITE - (USED + CONSISTENT_READ + 1));
        file.unlock(UNSHARED + WRITE + 1, RESIZE - WRITE - 1);
        file.unlock(UNSHARED + RESIZE + 1, 0);
        return locked
                && !file.isLocked(UNSHARED + CONSISTENT_READ, 1)
                && !file.isLocked(USED + WRITE, 1)
                && !file.isLocked(USED + RESIZE, 1);
    }
}
