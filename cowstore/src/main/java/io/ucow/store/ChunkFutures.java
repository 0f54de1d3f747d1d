package io.ucow.store;

import java.util.Arrays;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The per-chunk futures: at most one thread at a time changes what a chunk is mapped to, the others wait for it and
 * then look again. A future exists only while somebody holds it, and costs no allocation.
 *
 * <p>Where a format places several chunks together ({@link ExceptionStore#groupShift}) they have one future.
 *
 * <p>Futures are kept in hashed buckets, each a short list under a lock of its own that is held for a few instructions;
 * chunks that share a bucket do not wait for each other's copy, only a waiter may be woken for nothing.
 *
 * <p>Threading: a thread that waits for a future while it holds others must hold those of lower chunks only.
 */
final class ChunkFutures {
    private static final int BUCKETS = 256;

    private final int groupShift;
    private final Bucket[] buckets = new Bucket[BUCKETS];
    private final LongAdder waits = new LongAdder();

    /** @param groupShift binary logarithm of the chunks that have a future together, {@code >= 0} */
    ChunkFutures(int groupShift) {
        this.groupShift = groupShift;
        Arrays.setAll(buckets, i -> new Bucket());
    }

    /** Becomes the one who may change {@code chunk}'s mapping, waiting for whoever is. */
    void claim(long chunk) {
        long group = chunk >>> groupShift;
        bucket(group).claim(group, waits);
    }

    /** Claims the futures of the chunks {@code first..end-1}, in that order. */
    void claim(long first, long end) {
        for (long chunk = first; chunk < end; chunk = nextGroup(chunk)) {
            claim(chunk);
        }
    }

    /** True when both chunks have the same future. */
    boolean isShared(long chunk, long other) {
        return chunk >>> groupShift == other >>> groupShift;
    }

    private long nextGroup(long chunk) {
        return ((chunk >>> groupShift) + 1) << groupShift;
    }

    /** As {@link #claim}, but without waiting, in any order of chunks. @return false when somebody holds the future */
    boolean tryClaim(long chunk) {
        long group = chunk >>> groupShift;
        return bucket(group).tryClaim(group);
    }

    /** Completes the future of {@code chunk} and wakes those who wait for it. */
    void complete(long chunk) {
        long group = chunk >>> groupShift;
        bucket(group).complete(group);
    }

    /** Completes what {@link #claim(long, long)} claimed. */
    void complete(long first, long end) {
        for (long chunk = first; chunk < end; chunk = nextGroup(chunk)) {
            complete(chunk);
        }
    }

    /** Claims that had to wait, ever. */
    long waits() {
        return waits.sum();
    }

    private Bucket bucket(long group) {
        long mixed = group * 0x9E3779B97F4A7C15L;
        return buckets[(int) (mixed >>> 56)];
    }

    private static final class Bucket {
        private final ReentrantLock lock = new ReentrantLock();
        private final Condition completed = lock.newCondition();
        // Guarded by lock.
        private long[] claimed = new long[8];
        // Guarded by lock.
        private int size;

        void claim(long group, LongAdder waits) {
            lock.lock();
            try {
                if (indexOf(group) >= 0) {
                    waits.increment();
                    do {
                        completed.awaitUninterruptibly();
                    } while (indexOf(group) >= 0);
                }
                add(group);
            } finally {
                lock.unlock();
            }
        }

        boolean tryClaim(long group) {
            lock.lock();
            try {
                boolean free = indexOf(group) < 0;
                if (free) {
                    add(group);
                }
                return free;
            } finally {
                lock.unlock();
            }
        }

        private void add(long group) {
            if (size == claimed.length) {
                claimed = Arrays.copyOf(claimed, size * 2);
            }
            claimed[size++] = group;
        }

        void complete(long group) {
            lock.lock();
            try {
                claimed[indexOf(group)] = claimed[--size];
                completed.signalAll();
            } finally {
                lock.unlock();
            }
        }

        private int indexOf(long group) {
            for (int i = 0; i < size; i++) {
                if (claimed[i] == group) {
                    return i;
                }
            }
            return -1;
        }
    }
}
