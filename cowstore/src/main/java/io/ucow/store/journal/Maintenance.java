package io.ucow.store.journal;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;

/**
 * A store's background thread: runs its task when woken, and once more after a second of quiet while the task says that
 * something is left to do, or while it fails. Of failures in a row only the first is logged: a full disk stays full for
 * long.
 *
 * <p>Threading: {@link #wake} may be called by anyone and does not wait. {@link #stop} returns when the thread has ended.
 */
final class Maintenance {
    private static final long QUIET_MILLIS = 1000;

    /** The work. */
    interface Task {
        /**
         * Does what there is to do. It must not throw anything but what is declared: the thread would end.
         *
         * @param idle true when nobody woke the thread
         * @return true to be called again after a second even if nobody wakes the thread
         */
        boolean run(boolean idle) throws IOException;
    }

    private final Task task;
    private final Logger log;
    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** Read without the lock by {@link #wake}; written under it. */
    private volatile boolean woken;
    // Guarded by lock.
    private boolean stopping;

    Maintenance(Task task, String name, Logger log) {
        this.task = task;
        this.log = log;
        this.thread = new Thread(this::loop, "maintenance " + name);
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    void wake() {
        if (woken) {
            return;
        }
        lock.lock();
        try {
            woken = true;
            changed.signal();
        } finally {
            lock.unlock();
        }
    }

    void stop() {
        lock.lock();
        try {
            stopping = true;
            changed.signal();
        } finally {
            lock.unlock();
        }
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void loop() {
        boolean more = false;
        boolean failing = false;
        while (true) {
            boolean idle;
            lock.lock();
            try {
                long left = TimeUnit.MILLISECONDS.toNanos(QUIET_MILLIS);
                while (!woken && !stopping && (!more || left > 0)) {
                    if (more) {
                        left = changed.awaitNanos(left);
                    } else {
                        changed.await();
                    }
                }
                if (stopping) {
                    return;
                }
                idle = !woken;
                woken = false;
            } catch (InterruptedException e) {
                log.warn("maintenance ends, it was interrupted thread={}", thread.getName());
                return;
            } finally {
                lock.unlock();
            }
            try {
                more = task.run(idle);
                if (failing) {
                    log.info("maintenance succeeds again thread={}", thread.getName());
                    failing = false;
                }
            } catch (IOException e) {
                // The request that needs this work meets the same error and reports it; a full disk may have room
                // later.
                if (!failing) {
                    log.warn("maintenance failed, will try until it succeeds thread={}", thread.getName(), e);
                    failing = true;
                }
                more = true;
            }
        }
    }
}
