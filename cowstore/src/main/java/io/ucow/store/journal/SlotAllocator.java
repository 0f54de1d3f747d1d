package io.ucow.store.journal;

import io.ucow.store.StoreFullException;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Which slots are in use: one bit each, derived from the map at open and never written to disk. The lowest free slot is
 * handed out first, so that freed space is reused before the file grows and neighbours in time become neighbours in the
 * file. The last slots can be kept for the map, so that chunks never take the room that a checkpoint needs.
 *
 * <p>Threading: lock-free, but for who wants a slot at the file's end while that is being cut off: he waits.
 */
final class SlotAllocator implements AutoCloseable {
    /** No slot. */
    static final long NONE = -1;

    /** Slots whose bits share 4 KiB of memory. */
    private static final int PAGE_SHIFT = 15;

    private final String name;
    private final long first;
    private final long count;
    private final long forChunks;
    private final SparseLongs used;
    /** One bit for each page of {@code used} that has ever had a bit set: what a walk need look at. */
    private final SparseLongs touched;
    /** No word below this one has a free slot, but for a moment while one is being freed. */
    private final AtomicLong hint = new AtomicLong();

    private final ReentrantLock endLock = new ReentrantLock();
    private final Condition endOpened = endLock.newCondition();
    /** Index from which on nobody gets a slot, while the file's end is being cut off. Written under endLock. */
    private volatile long ceiling = Long.MAX_VALUE;

    /**
     * @param name the store's name, for messages
     * @param first number of the first slot
     * @param count slots there may ever be
     * @param forMap how many of them, the last ones, no chunk gets
     */
    SlotAllocator(String name, long first, long count, long forMap) throws NativeException {
        this.name = name;
        this.first = first;
        this.count = count;
        this.forChunks = count - forMap;
        this.used = new SparseLongs((count + 63) / 64);
        this.touched = new SparseLongs((count >>> PAGE_SHIFT) / 64 + 1);
    }

    /** Number of the first slot. */
    long first() {
        return first;
    }

    /** Slots there may ever be. */
    long count() {
        return count;
    }

    /** True when {@code slot} is one that this store can have. */
    boolean isInRange(long slot) {
        return slot >= first && slot - first < count;
    }

    /** Marks a slot used. @return false when it was already */
    boolean take(long slot) {
        long index = slot - first;
        long mask = 1L << index;
        touch(index);
        return (used.getAndBitwiseOr(index >>> 6, mask) & mask) == 0;
    }

    /** One slot for pages of the map. @throws StoreFullException when the store may not have more slots */
    long allocateForMap() throws StoreFullException {
        return SlotRun.slot(allocate(1, count));
    }

    /**
     * For chunks: the lowest free slot and those free ones that follow it without a gap, {@code wanted} in all at the most.
     *
     * @param wanted {@code >= 1}
     * @return a {@link SlotRun}
     * @throws StoreFullException when the store may not have more slots
     */
    long allocate(int wanted) throws StoreFullException {
        return allocate(wanted, forChunks);
    }

    private long allocate(int wanted, long limit) throws StoreFullException {
        while (true) {
            long run = takeLowest(wanted, limit);
            if (run == NONE) {
                throw new StoreFullException(
                        name + ": all " + limit + " slots are in use",
                        new NativeException("allocate slot", Errno.ENOSPC));
            }
            // The slots are marked before this is looked at, and the mark is looked at after this was set: one sees it.
            long end = SlotRun.slot(run) - first + SlotRun.count(run);
            if (end <= ceiling) {
                return run;
            }
            free(SlotRun.slot(run), SlotRun.count(run));
            awaitEndOpened();
        }
    }

    /** The lowest free slot, {@link #NONE} when none is, in an allocator of which {@link #shutEnd} is never called. */
    long takeOne() {
        long run = takeLowest(1, count);
        return run == NONE ? NONE : SlotRun.slot(run);
    }

    private long takeLowest(int wanted, long limit) {
        long words = (limit + 63) >>> 6;
        for (long word = hint.get(); word < words; word++) {
            long bits = used.get(word);
            while (bits != -1) {
                int bit = Long.numberOfTrailingZeros(~bits);
                long index = (word << 6) + bit;
                if (index >= limit) {
                    break;
                }
                int taken = take(word, bits, bit, wanted, limit);
                if (taken > 0) {
                    return SlotRun.of(first + index, extend(index, taken, wanted, limit));
                }
                bits = used.get(word);
            }
            hint.compareAndSet(word, word + 1);
            if (used.get(word) != -1) {
                lowerHint(word);
            }
        }
        return NONE;
    }

    /** Goes on into the words that follow, while a run ends where a word does. @return the run's length */
    private int extend(long index, int taken, int wanted, long limit) {
        int more = taken;
        while (more > 0 && taken < wanted && ((index + taken) & 63) == 0 && index + taken < limit) {
            long word = (index + taken) >>> 6;
            more = take(word, used.get(word), 0, wanted - taken, limit);
            taken += more;
        }
        return taken;
    }

    /**
     * Takes the free slots of one word from {@code bit} on, all in one step: writers that allocate at the same time get
     * a run each, not every other slot.
     *
     * @param bits the word as the caller saw it
     * @return how many; 0 when the first is not free, or the word has changed
     */
    private int take(long word, long bits, int bit, int wanted, long limit) {
        long index = (word << 6) + bit;
        int free = Math.min(Long.numberOfTrailingZeros(bits >>> bit), 64 - bit);
        int n = (int) Math.min(Math.min(free, wanted), limit - index);
        if (n == 0 || !used.compareAndSet(word, bits, bits | ((-1L >>> (64 - n)) << bit))) {
            return 0;
        }
        touch(index);
        return n;
    }

    private void touch(long index) {
        long page = index >>> PAGE_SHIFT;
        if (!isTouched(page)) {
            touched.getAndBitwiseOr(page >>> 6, 1L << page);
        }
    }

    private boolean isTouched(long page) {
        return (touched.get(page >>> 6) & 1L << page) != 0;
    }

    /** Makes slots available again. */
    void free(long slot, long slots) {
        for (long index = slot - first; index < slot - first + slots; index++) {
            used.getAndBitwiseAnd(index >>> 6, ~(1L << index));
        }
        lowerHint((slot - first) >>> 6);
    }

    private void lowerHint(long word) {
        long now = hint.get();
        while (word < now && !hint.compareAndSet(now, word)) {
            now = hint.get();
        }
    }

    /** How many slots are in use. */
    long used() {
        long sum = 0;
        for (long index = find(0, count, 0); index < count; index = find((index | 63) + 1, count, 0)) {
            sum += Long.bitCount(used.get(index >>> 6));
        }
        return sum;
    }

    /** The number after that of the last slot in use; that of the first slot when none is. */
    long endOfUsed() {
        for (long word = touched.length() - 1; word >= 0; word--) {
            long pages = touched.get(word);
            while (pages != 0) {
                long bit = Long.highestOneBit(pages);
                long end = endOfUsedIn((word << 6) + Long.numberOfTrailingZeros(bit));
                if (end > 0) {
                    return first + end;
                }
                pages &= ~bit;
            }
        }
        return first;
    }

    /** The index after that of the last slot in use whose bit is in {@code page}; 0 when none is. */
    private long endOfUsedIn(long page) {
        long firstWord = page << (PAGE_SHIFT - 6);
        for (long word = Math.min(used.length(), firstWord + (1 << (PAGE_SHIFT - 6))) - 1; word >= firstWord; word--) {
            long bits = used.get(word);
            if (bits != 0) {
                return ((word + 1) << 6) - Long.numberOfLeadingZeros(bits);
            }
        }
        return 0;
    }

    /**
     * Hands out no slot past the last one in use until {@link #openEnd}, so that the file can be cut off there. Whoever finds
     * no other waits meanwhile.
     *
     * @return as {@link #endOfUsed}
     */
    long shutEnd() {
        endLock.lock();
        try {
            long end;
            do {
                end = endOfUsed();
                ceiling = end - first;
            } while (endOfUsed() > end);
            return end;
        } finally {
            endLock.unlock();
        }
    }

    /** Ends what {@link #shutEnd} began. */
    void openEnd() {
        endLock.lock();
        try {
            ceiling = Long.MAX_VALUE;
            endOpened.signalAll();
        } finally {
            endLock.unlock();
        }
    }

    private void awaitEndOpened() {
        endLock.lock();
        try {
            while (ceiling != Long.MAX_VALUE) {
                endOpened.awaitUninterruptibly();
            }
        } finally {
            endLock.unlock();
        }
    }

    /** Calls {@code visitor} for each maximal run of free slots below {@code end}. */
    void forEachFreeRun(long end, RunVisitor visitor) throws IOException {
        long stop = Math.min(end - first, count);
        long index = 0;
        while (index < stop) {
            long from = find(index, stop, -1);
            long to = find(from, stop, 0);
            if (from < to) {
                visitor.visit(first + from, to - from);
            }
            index = to;
        }
    }

    /** The first slot from {@code index} whose bit, inverted by {@code inversion}, is set; {@code stop} if none is. */
    private long find(long index, long stop, long inversion) {
        while (index < stop) {
            if (inversion == 0 && !isTouched(index >>> PAGE_SHIFT)) {
                // A sparse file can have thousands of millions of slots.
                index = ((index >>> PAGE_SHIFT) + 1) << PAGE_SHIFT;
                continue;
            }
            long bits = (used.get(index >>> 6) ^ inversion) & -1L << index;
            if (bits != 0) {
                return Math.min(stop, (index & ~63L) + Long.numberOfTrailingZeros(bits));
            }
            index = (index | 63) + 1;
        }
        return stop;
    }

    /** Receives runs of slots. */
    interface RunVisitor {
        void visit(long slot, long slots) throws IOException;
    }

    @Override
    public void close() throws NativeException {
        used.close();
        touched.close();
    }
}
