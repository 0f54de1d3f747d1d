package io.ucow.store;

import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The per-chunk futures: at most one thread at a time changes what a chunk is mapped to, the others wait for it and
 * then look again. A future exists only while somebody holds it, and costs no allocation.
 *
 * <p>Futures are kept in hashed buckets, each a short list under a lock of its own that is held for a few instructions;
 * chunks that share a bucket do not wait for each other's copy, only a waiter may be woken for nothing.
 *
 * <p>Threading: a thread that waits for a future while it holds others must hold those of lower chunks only.
 */
final class ChunkFutures {
    private static final int BUCKETS = 256;

    private final Bucket[] buckets = new Bucket[BUCKETS];
    private final LongAdder waits = new LongAdder();

    ChunkFutures() {
        Arrays.setAll(buckets, i -> new Bucket());
    }

    /** Becomes the one who may change {@code chunk}'s mapping, waiting for whoever is. */
    void claim(long chunk) {
        bucket(chunk).claim(chunk, waits);
    }

    /** As {@link #claim}, but without waiting, in any order of chunks. @return false when somebody holds the future */
    boolean tryClaim(long chunk) {
        return bucket(chunk).tryClaim(chunk);
    }

    /** Completes the future of {@code chunk} and wakes those who wait for it. */
    void complete(long chunk) {
        bucket(chunk).complete(chunk);
    }

    /** Claims that had to wait, ever. */
    long waits() {
        return waits.sum();
    }

    private Bucket bucket(long chunk) {
        long mixed = chunk * 0x9E3779B97F4A7C15L;
        return buckets[(int) (mixed >>> 56)];
    }

    private static final class Bucket {
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition completed = lock.newCondition();
        // Guarded by lock.
        private long[] claimed = new long[8];
        // Guarded by lock.
        private int size;

        void claim(long chunk, LongAdder waits) {
            lock.lock();
            try {
                if (indexOf(chunk) >= 0) {
                    waits.increment();
                    do {
                        completed.awaitUninterruptibly();
                    } while (indexOf(chunk) >= 0);
                }
                add(chunk);
            } finally {
                lock.unlock();
            }
        }

        boolean tryClaim(long chunk) {
            lock.lock();
            try {
                boolean free = indexOf(chunk) < 0;
                if (free) {
                    add(chunk);
                }
                return free;
            } finally {
                lock.unlock();
            }
        }

        private void add(long chunk) {
            if (size == claimed.length) {
                claimed = Arrays.copyOf(claimed, size * 2);
            }
            claimed[size++] = chunk;
        }

        void complete(long chunk) {
            lock.lock();
            try {
                claimed[indexOf(chunk)] = claimed[--size];
                completed.signalAll();
            } finally {
                lock.unlock();
            }
        }

        private int indexOf(long chunk) {
            for (int i = 0; i < size; i++) {
                if (claimed[i] == chunk) {
                    return i;
                }
            }
            return -1;
        }
    }
}
