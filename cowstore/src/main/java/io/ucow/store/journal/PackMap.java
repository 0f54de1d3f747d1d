package io.ucow.store.journal;

import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What is used of the slots that hold packs, runs of slots in which packed chunks lie one behind another, across slots'
 * edges: one bit for each sector, derived from the map at open and never written to disk. A slot belongs to a pack as long
 * as any of its bits is set; its bit in {@link SlotAllocator} is set as long.
 *
 * <p>Memory follows the packs: a 4096th of their size.
 *
 * <p>Threading: {@link #take} and lookups are lock-free; {@link #release} has a lock, so that of several that empty a slot
 * one alone gives it back. A slot's first marks are set by who has just allocated it, all of them before any is released.
 */
final class PackMap implements AutoCloseable {
    private static final int SECTOR_SHIFT = 9;
    /** What file systems take and give back, in sectors. */
    private static final int BLOCK_SECTORS = 8;
    /** Sectors whose bits share 4 KiB of memory. */
    private static final int PAGE_SHIFT = 15;

    private final long firstSector;
    private final int slotShift;
    private final SparseLongs used;
    /** One bit for each page of {@code used} that has ever had a bit set: what a walk need look at. */
    private final SparseLongs touched;

    private final ReentrantLock lock = new ReentrantLock();

    /**
     * @param firstSlot number of the first slot
     * @param slots slots there may ever be
     */
    PackMap(long firstSlot, long slots, int chunkShift) throws NativeException {
        this.slotShift = chunkShift - SECTOR_SHIFT;
        this.firstSector = firstSlot << slotShift;
        long words = ((slots << slotShift) + Long.SIZE - 1) / Long.SIZE;
        this.used = new SparseLongs(words);
        this.touched = new SparseLongs((words >>> (PAGE_SHIFT - 6)) / Long.SIZE + 1);
    }

    /** The slot in which a packed entry begins. */
    long firstSlot(long entry) {
        return RemapEntry.packedOffset(entry) >>> (slotShift + SECTOR_SHIFT);
    }

    /** The slot in which a packed entry ends, often the same. */
    long lastSlot(long entry) {
        return (RemapEntry.packedOffset(entry) + RemapEntry.packedBytes(entry) - 1) >>> (slotShift + SECTOR_SHIFT);
    }

    /** Marks the sectors of a packed entry whose slots are in range. @return false when some were marked already */
    boolean take(long entry) {
        boolean free = true;
        long from = sectorOf(entry);
        long to = from + sectorsOf(entry);
        for (long at = from; at < to; at = wordEnd(at, to)) {
            long mask = mask(at, wordEnd(at, to));
            touch(at);
            free &= (used.getAndBitwiseOr(at >>> 6, mask) & mask) == 0;
        }
        return free;
    }

    /** True when any sector of a packed entry is marked. */
    boolean isTaken(long entry) {
        return any(sectorOf(entry), sectorOf(entry) + sectorsOf(entry));
    }

    /** True when a slot that is in range belongs to a pack. */
    boolean isPack(long slot) {
        long from = (slot << slotShift) - firstSector;
        return any(from, from + (1L << slotShift));
    }

    /** Sectors of a slot that are marked. */
    int usedSectors(long slot) {
        long from = (slot << slotShift) - firstSector;
        long to = from + (1L << slotShift);
        int count = 0;
        for (long at = from; at < to; at = wordEnd(at, to)) {
            count += Long.bitCount(used.get(at >>> 6) & mask(at, wordEnd(at, to)));
        }
        return count;
    }

    /** Receives unused parts of slots of which other parts are used, in blocks of 4 KiB. */
    interface BlockVisitor {
        void blocks(long storeOffset, long lengthBytes) throws IOException;
    }

    /** Receives what can be given back. */
    interface Visitor extends BlockVisitor {
        /** A slot of which nothing is used any more. */
        void slot(long slot);

        @Override
        void blocks(long storeOffset, long lengthBytes);
    }

    /**
     * Takes the marks of a packed entry away, and passes on what is free now and was not before. The slot may be somebody
     * else's as soon as {@link Visitor#slot} has made it available, so the lock is held until all is passed on.
     */
    void release(long entry, Visitor visitor) {
        long from = sectorOf(entry);
        long to = from + sectorsOf(entry);
        lock.lock();
        try {
            for (long at = from; at < to; at = wordEnd(at, to)) {
                used.getAndBitwiseAnd(at >>> 6, ~mask(at, wordEnd(at, to)));
            }
            for (long slot = firstSlot(entry); slot <= lastSlot(entry); slot++) {
                if (!isPack(slot)) {
                    visitor.slot(slot);
                    continue;
                }
                long start = (slot << slotShift) - firstSector;
                long end = Math.min(start + (1L << slotShift), (to + BLOCK_SECTORS - 1) & -BLOCK_SECTORS);
                long at = Math.max(start, from & -BLOCK_SECTORS);
                for (long run = unusedBlocks(at, end); at < end; run = unusedBlocks(at, end)) {
                    if (run > at) {
                        visitor.blocks((firstSector + at) << SECTOR_SHIFT, (run - at) << SECTOR_SHIFT);
                    }
                    at = run + BLOCK_SECTORS;
                }
            }
        } finally {
            lock.unlock();
        }
    }

    /** Passes on all blocks of packs that are not used. */
    void forEachUnusedBlocks(BlockVisitor visitor) throws IOException {
        long pages = used.length() >>> (PAGE_SHIFT - 6);
        for (long page = 0; page <= pages; page++) {
            long bits = touched.get(page >>> 6) >>> page;
            if (bits == 0) {
                page |= 63;
            } else if ((bits & 1) != 0) {
                visitPage(page, visitor);
            }
        }
    }

    private void visitPage(long page, BlockVisitor visitor) throws IOException {
        long end = Math.min((page + 1) << PAGE_SHIFT, used.length() << 6);
        long slotSectors = 1L << slotShift;
        for (long at = page << PAGE_SHIFT; at < end; at += slotSectors) {
            if (any(at, Math.min(at + slotSectors, used.length() << 6))) {
                visitBlocks(at, at + slotSectors, visitor);
            }
        }
    }

    private void visitBlocks(long from, long to, BlockVisitor visitor) throws IOException {
        long at = from;
        for (long run = unusedBlocks(at, to); at < to; run = unusedBlocks(at, to)) {
            if (run > at) {
                visitor.blocks((firstSector + at) << SECTOR_SHIFT, (run - at) << SECTOR_SHIFT);
            }
            at = run + BLOCK_SECTORS;
        }
    }

    /** Where the run of unused blocks from {@code from} on ends; {@code from} where the first is used. */
    private long unusedBlocks(long from, long to) {
        long at = from;
        while (at < to && !any(at, at + BLOCK_SECTORS)) {
            at += BLOCK_SECTORS;
        }
        return at;
    }

    private boolean any(long from, long to) {
        for (long at = from; at < to; at = wordEnd(at, to)) {
            if ((used.get(at >>> 6) & mask(at, wordEnd(at, to))) != 0) {
                return true;
            }
        }
        return false;
    }

    private long sectorOf(long entry) {
        return (RemapEntry.packedOffset(entry) >>> SECTOR_SHIFT) - firstSector;
    }

    private static int sectorsOf(long entry) {
        return RemapEntry.packedBytes(entry) >>> SECTOR_SHIFT;
    }

    private void touch(long sector) {
        long page = sector >>> PAGE_SHIFT;
        if ((touched.get(page >>> 6) & 1L << page) == 0) {
            touched.getAndBitwiseOr(page >>> 6, 1L << page);
        }
    }

    /** Where the word that has {@code at} ends, {@code to} at the latest. */
    private static long wordEnd(long at, long to) {
        return Math.min(to, (at | 63) + 1);
    }

    /** The bits {@code from..to-1} of one word. */
    private static long mask(long from, long to) {
        return -1L >>> (Long.SIZE - (to - from)) << from;
    }

    @Override
    public void close() throws NativeException {
        used.close();
        touched.close();
    }
}
