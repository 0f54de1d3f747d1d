package io.ucow.store;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Lets one thread wait until every section that was under way has ended, without the sections ever waiting: the
 * sleepable read-copy-update of operating systems. Whoever frees a slot waits for a grace period before the slot is
 * reused, so a request that looked the slot up earlier cannot touch its next owner's bytes.
 *
 * <p>Two sets of striped counters take turns: a section counts in the current set; {@link #await} flips the sets and
 * waits for the old one to drain.
 *
 * <p>Threading: {@link #enter} and {@link #exit} are lock-free and allocate nothing. A section must not wait for
 * anything that a caller of {@link #await} holds.
 */
public final class GracePeriod {
    private static final int STRIPES = 16;
    /** Longs between counters: two cache lines, so that neighbours' prefetching does not couple them. */
    private static final int PADDING = 16;

    private final AtomicLongArray counters = new AtomicLongArray(2 * STRIPES * PADDING);
    private final ReentrantLock awaiting = new ReentrantLock();
    private volatile int current;
    private volatile Thread waiter;

    /** Begins a section. @return the ticket that {@link #exit} takes */
    public int enter() {
        int stripe = (int) Thread.currentThread().getId() & (STRIPES - 1);
        while (true) {
            int set = current;
            int ticket = (set * STRIPES + stripe) * PADDING;
            counters.incrementAndGet(ticket);
            if (current == set) {
                return ticket;
            }
            exit(ticket);
        }
    }

    /** Ends the section that {@link #enter} gave {@code ticket} for; on any thread. */
    public void exit(int ticket) {
        counters.decrementAndGet(ticket);
        Thread waiting = waiter;
        if (waiting != null) {
            LockSupport.unpark(waiting);
        }
    }

    /** Returns when every section that began before this call has ended. */
    public void await() {
        awaiting.lock();
        boolean interrupted = false;
        try {
            int old = current;
            current = 1 - old;
            waiter = Thread.currentThread();
            while (isBusy(old)) {
                LockSupport.park(this);
                interrupted |= Thread.interrupted();
            }
        } finally {
            waiter = null;
            awaiting.unlock();
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private boolean isBusy(int set) {
        for (int stripe = 0; stripe < STRIPES; stripe++) {
            if (counters.get((set * STRIPES + stripe) * PADDING) != 0) {
                return true;
            }
        }
        return false;
    }
}
