package io.ucow.loop;

import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.Closeable;
import java.nio.file.Path;

/**
 * Wakes up when some program closes a device node: the moment at which a busy loop device may have become free.
 *
 * <p>Used in the order watch, look, wait, so that a close between look and wait is not missed.
 *
 * <p>Threading: one thread at a time.
 */
final class CloseWatch implements Closeable {
    /**
     * Longest wait for one event. The kernel reports a close a moment before it counts the opener out, and closes of
     * partitions or of other nodes of the same device are not reported at all; so a look after a while is needed, too.
     */
    private static final int MAX_WAIT_MILLIS = 20;

    private final int fd;

    CloseWatch(Path device) throws NativeException {
        fd = Libc.watch(device.toString(), Libc.IN_CLOSE_WRITE | Libc.IN_CLOSE_NOWRITE);
    }

    /** Returns after a close since construction, or after a short while. */
    void await() throws NativeException {
        Libc.awaitReadable(fd, MAX_WAIT_MILLIS);
    }

    @Override
    public void close() throws NativeException {
        int r = Libc.close(fd);
        if (r < 0) {
            throw new NativeException("close", -r);
        }
    }
}
