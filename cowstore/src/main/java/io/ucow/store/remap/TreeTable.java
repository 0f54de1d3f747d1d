package io.ucow.store.remap;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.util.Arrays;

/**
 * Values in memory of which a tree of pages on disk keeps a copy, and what of them changed since that was written.
 *
 * <p>Values are grouped into leaves of {@code fanout} values, leaves into nodes of {@code fanout} children and so on up
 * to one root: the shape of the tree on disk. A dirty bit is kept for every node. Whoever changes a value sets them
 * afterwards, from the leaf upwards; a checkpoint clears them from the root downwards. So a change that races with a
 * checkpoint is either in the page being written or finds its whole path dirty for the next one.
 *
 * <p>Threading: all methods are lock-free.
 */
public abstract class TreeTable implements AutoCloseable {
    private static final int MAX_LEVELS = 16;

    private final int fanout;
    private final long valueCount;
    private final long[] nodeCounts;
    private final SparseLongs[] dirty;

    /**
     * @param valueCount number of values, {@code >= 1}
     * @param fanout children of a node and values of a leaf, {@code >= 2}
     * @param leastLevels levels to have even if fewer would do, {@code 1..16}
     * @throws NativeException if the address space cannot be had
     */
    protected TreeTable(long valueCount, int fanout, int leastLevels) throws NativeException {
        this.fanout = fanout;
        this.valueCount = valueCount;
        this.nodeCounts = nodeCounts(valueCount, fanout, leastLevels);
        this.dirty = new SparseLongs[nodeCounts.length];
        for (int level = 0; level < dirty.length; level++) {
            dirty[level] = new SparseLongs((nodeCounts[level] + 63) / 64);
        }
    }

    private static long[] nodeCounts(long valueCount, int fanout, int leastLevels) {
        long[] counts = new long[MAX_LEVELS];
        int levels = 0;
        long nodes = valueCount;
        do {
            nodes = (nodes + fanout - 1) / fanout;
            counts[levels++] = nodes;
        } while (nodes > 1 || levels < leastLevels);
        return Arrays.copyOf(counts, levels);
    }

    /** The value at {@code index}, {@code 0 <= index < valueCount()}, as the tree on disk is to have it. */
    public abstract long value(long index);

    /** How many values there are. */
    public final long valueCount() {
        return valueCount;
    }

    /** Levels of the tree; level 0 are the leaves, the last one is the root alone. */
    public final int levels() {
        return nodeCounts.length;
    }

    /** Nodes on {@code level}, {@code 0 <= level < levels()}. */
    public final long nodeCount(int level) {
        return nodeCounts[level];
    }

    /** Has the next checkpoint write a node, and all above it, as if something below it had changed. */
    public final void markDirty(int firstLevel, long firstNode) {
        long node = firstNode;
        for (int level = firstLevel; level < dirty.length; level++) {
            setBit(dirty[level], node);
            node /= fanout;
        }
    }

    /** Clears the dirty bit of a node. @return whether it was set */
    public final boolean takeDirty(int level, long node) {
        long mask = 1L << node;
        return (dirty[level].get(node >>> 6) & mask) != 0
                && (dirty[level].getAndBitwiseAnd(node >>> 6, ~mask) & mask) != 0;
    }

    /** Sets the dirty bits of a leaf and all above it: for a checkpoint that failed after it took them. */
    public final void restoreDirty(long leaf) {
        markDirty(0, leaf);
    }

    static void setBit(SparseLongs bits, long index) {
        long mask = 1L << index;
        if ((bits.get(index >>> 6) & mask) == 0) {
            bits.getAndBitwiseOr(index >>> 6, mask);
        }
    }

    /** The first index from {@code index} on whose bit is set, -1 if none is. */
    static long nextSetBit(SparseLongs bits, long index) {
        long word = index >>> 6;
        long found = word < bits.length() ? bits.get(word) & (-1L << index) : 0;
        while (found == 0) {
            if (++word >= bits.length()) {
                return -1;
            }
            found = bits.get(word);
        }
        return (word << 6) + Long.numberOfTrailingZeros(found);
    }

    /** Gives the memory back; no other call may follow or be under way. */
    @Override
    public void close() throws NativeException {
        for (SparseLongs bits : dirty) {
            bits.close();
        }
    }
}
