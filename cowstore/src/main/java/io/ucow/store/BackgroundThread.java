package io.ucow.store;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A thread that works beside a device's requests until it is stopped, and sleeps while there is nothing to do.
 *
 * <p>Threading: {@link #wake} may be called by anyone and hardly waits. {@link #stop} returns when the thread has ended.
 * {@link #await} and {@link #rest} are the thread's own.
 */
public final class BackgroundThread {
    private static final Logger LOG = LoggerFactory.getLogger(BackgroundThread.class);

    /** What it does. */
    public interface Body {
        /** Works until {@link #await} or {@link #rest} says that it is to end. */
        void run() throws InterruptedException;
    }

    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** Guarded by lock. */
    private boolean stopping;

    /** @param name as stack traces and the log have it */
    public BackgroundThread(String name, Body body) {
        this.thread = new Thread(
                () -> {
                    try {
                        body.run();
                    } catch (InterruptedException e) {
                        LOG.warn("interrupted, and ends thread={}", name);
                    }
                },
                name);
        thread.setDaemon(true);
    }

    public void start() {
        thread.start();
    }

    /** Has the thread look whether what it awaits is true by now. */
    public void wake() {
        lock.lock();
        try {
            changed.signal();
        } finally {
            lock.unlock();
        }
    }

    /** Ends the thread as soon as it waits for anything. */
    public void stop() {
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

    /**
     * Sleeps until {@code work} is true, for which it is asked at once and after each {@link #wake}.
     *
     * @return false when the thread is to end
     */
    public boolean await(BooleanSupplier work) throws InterruptedException {
        return await(work, Long.MAX_VALUE, TimeUnit.NANOSECONDS);
    }

    /** The same for a limited time. */
    public boolean await(BooleanSupplier work, long time, TimeUnit unit) throws InterruptedException {
        lock.lock();
        try {
            long left = unit.toNanos(time);
            while (!stopping && left > 0 && !work.getAsBoolean()) {
                left = changed.awaitNanos(left);
            }
            return !stopping;
        } finally {
            lock.unlock();
        }
    }

    /** Sleeps for so long, whoever wakes it. @return false when the thread is to end */
    public boolean rest(long nanos) throws InterruptedException {
        return await(() -> false, nanos, TimeUnit.NANOSECONDS);
    }
}
