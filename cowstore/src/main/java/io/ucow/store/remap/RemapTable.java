package io.ucow.store.remap;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.util.concurrent.atomic.LongAdder;

/**
 * The remap map of one device: a {@link RemapEntry} for each chunk, and which leaves changed since the last checkpoint.
 *
 * <p>Chunks are grouped into leaves of {@code fanout} chunks, leaves into nodes of {@code fanout} children and so on up
 * to one root: the shape of the tree on disk. A dirty bit is kept for every node; publishing sets them from the leaf
 * upwards, a checkpoint clears them from the root downwards, so a publication that races with a checkpoint is either
 * in the page being written or finds its whole path dirty for the next one.
 *
 * <p>A chunk that is about to move is <em>frozen</em>: to lookups it is what it was, but no longer to those that would
 * write it in place.
 *
 * <p>Threading: all methods are lock-free. Of {@link #publish}, {@link #freeze} and {@link #thaw} no two may run at the
 * same time for one chunk: the caller holds the chunk's future.
 */
public final class RemapTable implements AutoCloseable {
    private final int fanout;
    private final long chunkCount;
    private final SparseLongs entries;
    private final SparseLongs[] dirty;
    private final SparseLongs present;
    private final long[] nodeCounts;
    private final LongAdder alteredChunks = new LongAdder();
    private final LongAdder zeroChunks = new LongAdder();
    private final LongAdder packedChunks = new LongAdder();
    private final LongAdder packedBytes = new LongAdder();

    /**
     * @param chunkCount number of chunks, {@code >= 1}
     * @param fanout children of a node and chunks of a leaf, {@code >= 2}
     * @throws NativeException if the address space cannot be had
     */
    public RemapTable(long chunkCount, int fanout) throws NativeException {
        this.fanout = fanout;
        this.chunkCount = chunkCount;
        this.nodeCounts = nodeCounts(chunkCount, fanout);
        this.entries = new SparseLongs(chunkCount);
        this.present = new SparseLongs((nodeCounts[0] + 63) / 64);
        this.dirty = new SparseLongs[nodeCounts.length];
        for (int level = 0; level < dirty.length; level++) {
            dirty[level] = new SparseLongs((nodeCounts[level] + 63) / 64);
        }
    }

    private static long[] nodeCounts(long chunkCount, int fanout) {
        long[] counts = new long[16];
        int levels = 0;
        long nodes = chunkCount;
        do {
            nodes = (nodes + fanout - 1) / fanout;
            counts[levels++] = nodes;
        } while (nodes > 1);
        return java.util.Arrays.copyOf(counts, levels);
    }

    /** Levels of the tree; level 0 are the leaves, the last one is the root alone. */
    public int levels() {
        return nodeCounts.length;
    }

    /** Nodes on {@code level}, {@code 0 <= level < levels()}. */
    public long nodeCount(int level) {
        return nodeCounts[level];
    }

    /** Number of chunks. */
    public long chunkCount() {
        return chunkCount;
    }

    /** Chunks now held in the store. */
    public long alteredChunks() {
        return alteredChunks.sum();
    }

    /** Chunks that now read as zeros without a slot. */
    public long zeroChunks() {
        return zeroChunks.sum();
    }

    /** Those of {@link #alteredChunks} that are packed. */
    public long packedChunks() {
        return packedChunks.sum();
    }

    /** Bytes that these take in the file. */
    public long packedBytes() {
        return packedBytes.sum();
    }

    /** The entry of {@code chunk}, {@code 0 <= chunk < chunkCount()}. */
    public long lookup(long chunk) {
        return RemapEntry.thawed(entries.get(chunk));
    }

    /** As {@link #lookup}; while the chunk is frozen, an entry for which {@link RemapEntry#isSlot} does not hold. */
    public long lookupToWrite(long chunk) {
        return entries.get(chunk);
    }

    /** Freezes {@code chunk}, until {@link #thaw} or {@link #publish}. Lookups that start after this returns see it. */
    public void freeze(long chunk) {
        entries.set(chunk, RemapEntry.frozen(entries.get(chunk)));
    }

    /** Ends what {@link #freeze} began, the entry unchanged. */
    public void thaw(long chunk) {
        entries.set(chunk, lookup(chunk));
    }

    /**
     * Points {@code chunk} at {@code entry}: every lookup that starts after this returns sees it, and the next
     * checkpoint writes it.
     *
     * @return the entry it had
     */
    public long publish(long chunk, long entry) {
        long previous = load(chunk, entry);
        markDirty(chunk / fanout);
        return previous;
    }

    /** As {@link #publish}, for an entry that the map on disk has already. */
    public long load(long chunk, long entry) {
        long previous = lookup(chunk);
        entries.set(chunk, entry);
        count(previous, -1);
        count(entry, 1);
        setBit(present, chunk / fanout);
        return previous;
    }

    private void count(long entry, int by) {
        if (RemapEntry.isZero(entry)) {
            zeroChunks.add(by);
        } else if (!RemapEntry.isOrigin(entry)) {
            alteredChunks.add(by);
            if (RemapEntry.isPacked(entry)) {
                packedChunks.add(by);
                packedBytes.add((long) by * RemapEntry.packedBytes(entry));
            }
        }
    }

    private void markDirty(long leaf) {
        markDirty(0, leaf);
    }

    /** Has the next checkpoint write a node, and all above it, as if something below it had changed. */
    public void markDirty(int firstLevel, long firstNode) {
        long node = firstNode;
        for (int level = firstLevel; level < dirty.length; level++) {
            setBit(dirty[level], node);
            node /= fanout;
        }
    }

    /** Clears the dirty bit of a node. @return whether it was set */
    public boolean takeDirty(int level, long node) {
        long mask = 1L << node;
        return (dirty[level].get(node >>> 6) & mask) != 0
                && (dirty[level].getAndBitwiseAnd(node >>> 6, ~mask) & mask) != 0;
    }

    /** Sets the dirty bits of a leaf and all above it: for a checkpoint that failed after it took them. */
    public void restoreDirty(long leaf) {
        markDirty(leaf);
    }

    /**
     * The first chunk at or after {@code chunk} that may differ from ORIGIN, in whole leaves.
     *
     * @return a chunk number, or {@link #chunkCount} when all the rest is unaltered
     */
    public long nextPresent(long chunk) {
        long leaf = chunk / fanout;
        long word = leaf >>> 6;
        long bits = word < present.length() ? present.get(word) & (-1L << leaf) : 0;
        while (bits == 0) {
            if (++word >= present.length()) {
                return chunkCount;
            }
            bits = present.get(word);
        }
        long found = (word << 6) + Long.numberOfTrailingZeros(bits);
        return Math.max(chunk, found * fanout);
    }

    private static void setBit(SparseLongs bits, long index) {
        long mask = 1L << index;
        if ((bits.get(index >>> 6) & mask) == 0) {
            bits.getAndBitwiseOr(index >>> 6, mask);
        }
    }

    /** Gives the memory back; no other call may follow or be under way. */
    @Override
    public void close() throws NativeException {
        entries.close();
        present.close();
        for (SparseLongs bits : dirty) {
            bits.close();
        }
    }
}
