package io.ucow.store;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A flush, or a sync, that many ask for at a time, and one thread does for all of them: who comes while it runs is answered,
 * with all others that have come meanwhile, by the next run.
 *
 * <p>Threading: any number of threads; runs exclude one another. Asking allocates nothing.
 */
public final class FlushGroup {
    /** What is to be done: it covers whatever was there before it began. */
    public interface Flush {
        /** Does it. @throws IOException to the one who ran it; those who wait for the same try for themselves */
        void run() throws IOException;
    }

    private final Flush flush;
    private final ReentrantLock running = new ReentrantLock();
    /** How many have been asked for so far. */
    private final AtomicLong asked = new AtomicLong();
    /** How many have been answered so far. Guarded by running. */
    private long done;

    /** One whose runs are {@code flush}'s. */
    public FlushGroup(Flush flush) {
        this.flush = flush;
    }

    /** Returns when a run that began after this call did has ended well. */
    public void run() throws IOException {
        long mine = asked.incrementAndGet();
        running.lock();
        try {
            if (done >= mine) {
                return;
            }
            long covers = asked.get();
            flush.run();
            done = covers;
        } finally {
            running.unlock();
        }
    }

    /** True while some thread is at it. */
    public boolean isRunning() {
        return running.isLocked();
    }
}
