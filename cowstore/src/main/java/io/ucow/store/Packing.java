package io.ucow.store;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The thread that packs a device's cold chunks. It sleeps while nothing is written; else it goes round every five seconds, so
 * a chunk is packed that nobody has written to for five to ten. After each small batch it rests four times as long as the
 * batch took: guests have the processor, and nobody waits for a frozen chunk for more than some milliseconds.
 *
 * <p>Threading: {@link #stop} returns when the thread has ended.
 */
final class Packing {
    private static final Logger LOG = LoggerFactory.getLogger(Packing.class);
    private static final long ROUND_NANOS = TimeUnit.SECONDS.toNanos(5);
    private static final int REST_TO_WORK = 4;
    /** What is frozen at a time. */
    private static final int BATCH_BYTES = 512 << 10;

    private final CowDevice device;
    private final ChunkPacker packer;
    private final String name;
    private final Thread thread;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // Guarded by lock.
    private boolean stopping;

    Packing(CowDevice device, ChunkPacker packer, String name) {
        this.device = device;
        this.packer = packer;
        this.name = name;
        this.thread = new Thread(this::loop, "packing " + name);
        thread.setDaemon(true);
    }

    /** Chunks to move at a time. */
    static int batch(int chunkBytes) {
        return Math.max(1, BATCH_BYTES / chunkBytes);
    }

    void start() {
        packer.onWork(this::wake);
        thread.start();
    }

    private void wake() {
        lock.lock();
        try {
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
        // Writers wait for chunks that are frozen, and for these, when memory is short, the kernel.
        int r = Libc.setIoFlusher();
        if (r < 0) {
            LOG.debug("PR_SET_IO_FLUSHER refused errno={}", -r);
        }
        long[] chunks = new long[batch(device.granularityBytes())];
        boolean failing = false;
        try {
            while (awaitWork() && rest(ROUND_NANOS)) {
                try {
                    round(chunks);
                    failing = false;
                } catch (IOException e) {
                    // A full disk, as a rule: the chunks stay as they are, and the next round tries again.
                    if (!failing) {
                        LOG.warn("packing failed, will try again image={}", name, e);
                        failing = true;
                    }
                }
            }
        } catch (InterruptedException e) {
            LOG.warn("packing ends, it was interrupted image={}", name);
        }
    }

    private void round(long[] chunks) throws IOException, InterruptedException {
        long start = System.nanoTime();
        for (int n = packer.next(chunks); n != ChunkPacker.ROUND_OVER; n = packer.next(chunks)) {
            device.relocate(chunks, n, packer);
            if (!rest(REST_TO_WORK * (System.nanoTime() - start))) {
                return;
            }
            start = System.nanoTime();
        }
    }

    /** @return false when the thread is to end */
    private boolean awaitWork() throws InterruptedException {
        lock.lock();
        try {
            while (!stopping && !packer.hasWork()) {
                changed.await();
            }
            return !stopping;
        } finally {
            lock.unlock();
        }
    }

    /** @return false when the thread is to end */
    private boolean rest(long nanos) throws InterruptedException {
        lock.lock();
        try {
            long left = nanos;
            while (!stopping && left > 0) {
                left = changed.awaitNanos(left);
            }
            return !stopping;
        } finally {
            lock.unlock();
        }
    }
}
