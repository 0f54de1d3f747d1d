package io.ucow.store.journal;

import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongPredicate;

/**
 * Slots, and places in packs, that lost their chunk and wait for the barrier after which they may be reused: before it, power loss would bring
 * the old mapping back. A place in a pack is told by its entry, which no slot's number is equal to.
 *
 * <p>Threading: one lock, taken by discards and by whoever gives the space back, never by reads or writes.
 */
final class FreedSlots {
    private final ReentrantLock lock = new ReentrantLock();
    // Slot and journal sequence number in turn. Guarded by lock.
    private long[] waiting = new long[128];
    // Guarded by lock.
    private int size;

    /** Adds a slot, or packed entry, whose mapping ended with journal record {@code seq}. @return true if it is the only one */
    boolean add(long slot, long seq) {
        lock.lock();
        try {
            if (size == waiting.length) {
                waiting = Arrays.copyOf(waiting, size * 2);
            }
            waiting[size++] = slot;
            waiting[size++] = seq;
            return size == 2;
        } finally {
            lock.unlock();
        }
    }

    /** Offers every slot to {@code keep}, the one freed last first, and drops those that it does not accept. */
    void removeUnless(LongPredicate keep) {
        lock.lock();
        try {
            int from = size;
            for (int i = size - 2; i >= 0; i -= 2) {
                if (keep.test(waiting[i])) {
                    from -= 2;
                    waiting[from] = waiting[i];
                    waiting[from + 1] = waiting[i + 1];
                }
            }
            size -= from;
            System.arraycopy(waiting, from, waiting, 0, size);
        } finally {
            lock.unlock();
        }
    }

    boolean isEmpty() {
        return size() == 0;
    }

    /** How many slots wait. */
    int size() {
        lock.lock();
        try {
            return size / 2;
        } finally {
            lock.unlock();
        }
    }

    /** Removes the slots whose record has a number below {@code durable}. @return them, ascending; packed entries first */
    long[] takeBefore(long durable) {
        lock.lock();
        try {
            long[] taken = new long[size / 2];
            int n = 0;
            int kept = 0;
            for (int i = 0; i < size; i += 2) {
                if (waiting[i + 1] < durable) {
                    taken[n++] = waiting[i];
                } else {
                    waiting[kept++] = waiting[i];
                    waiting[kept++] = waiting[i + 1];
                }
            }
            size = kept;
            Arrays.sort(taken, 0, n);
            return Arrays.copyOf(taken, n);
        } finally {
            lock.unlock();
        }
    }
}
