package io.ucow.store;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Keeps work to so many bytes a second.
 *
 * <p>Threading: confined to one thread.
 */
final class Pace {
    private final long bytesPerSecond;
    private final long start = System.nanoTime();

    /** @param bytesPerSecond 0 for as fast as it goes */
    Pace(long bytesPerSecond) {
        if (bytesPerSecond < 0) {
            throw new IllegalArgumentException("a rate of " + bytesPerSecond + " bytes a second");
        }
        this.bytesPerSecond = bytesPerSecond;
    }

    /** Returns when so many bytes in all may have been done; at once if the thread is interrupted. */
    void await(long doneBytes) {
        if (bytesPerSecond == 0) {
            return;
        }
        double seconds = (double) doneBytes / bytesPerSecond;
        long due = (long) (seconds * TimeUnit.SECONDS.toNanos(1));
        long left = due - (System.nanoTime() - start);
        while (left > 0 && !Thread.currentThread().isInterrupted()) {
            LockSupport.parkNanos(this, left);
            left = due - (System.nanoTime() - start);
        }
    }
}
