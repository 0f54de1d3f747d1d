package io.ucow.store.remap;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;

/**
 * The checksums of a store's blocks: one for each 4 KiB of the file, two in a value of the tree, the even block's in the
 * low half. 0 stands for <em>unknown</em>: nobody knows what the block must hold. It costs memory where there is a checksum.
 *
 * <p>The tree has as many levels as the largest file needs, so that one that grows needs no other tree.
 *
 * <p>Threading: {@link #get} is lock-free. Of those who change one block or its neighbour in the value no two may run at
 * the same time.
 */
public final class SumTable extends TreeTable {
    /** Binary logarithm of the bytes that a checksum is of. */
    public static final int BLOCK_SHIFT = 12;

    public static final int BLOCK_BYTES = 1 << BLOCK_SHIFT;
    /** Levels of every tree of checksums. */
    public static final int LEVELS = 5;

    /** What {@link #get} says of a block that may hold anything. */
    public static final int UNKNOWN = 0;

    private final int fanout;
    private final SparseLongs values;
    private final SparseLongs present;

    /**
     * @param fileBytes where the file ends at the most, {@code > 0}
     * @param fanout as in {@link TreeTable}
     */
    public SumTable(long fileBytes, int fanout) throws NativeException {
        super(valuesOf(fileBytes), fanout, LEVELS);
        this.fanout = fanout;
        this.values = new SparseLongs(valueCount());
        this.present = new SparseLongs((nodeCount(0) + 63) / 64);
    }

    /** Values that a file of so many bytes takes. */
    public static long valuesOf(long fileBytes) {
        return (fileBytes + 2 * BLOCK_BYTES - 1) >>> (BLOCK_SHIFT + 1);
    }

    @Override
    public long value(long index) {
        return values.get(index);
    }

    /** Stores a value that the tree on disk has. */
    public void load(long index, long value) {
        values.set(index, value);
        setBit(present, index / fanout);
    }

    /** The checksum of {@code block}, its offset in the file divided by the block size; or {@link #UNKNOWN}. */
    public int get(long block) {
        return (int) (values.get(block >>> 1) >>> shift(block));
    }

    /**
     * Copies the values of {@code count} blocks from {@code first} on, for {@link #get(long[], long, long)}. They may be older than
     * this call: who finds that one does not fit asks for it again.
     *
     * @param into has room for {@code count / 2 + 1}
     */
    public void copy(long first, int count, long[] into) {
        long index = first >>> 1;
        values.get(index, (int) (((first + count - 1) >>> 1) - index) + 1, into);
    }

    /** As {@link #get(long)}, of what was copied from the block {@code first} on. */
    public static int get(long[] copied, long first, long block) {
        return (int) (copied[(int) ((block >>> 1) - (first >>> 1))] >>> shift(block));
    }

    /** Stores a checksum, or {@link #UNKNOWN}; {@link #changed} must follow. */
    public void set(long block, int sum) {
        long index = block >>> 1;
        int shift = shift(block);
        values.set(index, (values.get(index) & ~(0xffffffffL << shift)) | Integer.toUnsignedLong(sum) << shift);
    }

    private static int shift(long block) {
        return (int) (block & 1) << 5;
    }

    /** Has the next checkpoint write the checksums of the blocks {@code first..end-1}, which were {@link #set}. */
    public void changed(long first, long end) {
        long last = leafOf(end - 1);
        for (long leaf = leafOf(first); leaf <= last; leaf++) {
            setBit(present, leaf);
            markDirty(0, leaf);
        }
    }

    /** Makes the checksums of the blocks {@code first..end-1} unknown, as far as there are any. */
    public void forget(long first, long end) {
        long stop = Math.min(end, 2 * valueCount());
        long block = first;
        while (block < stop) {
            long leaf = nextSetBit(present, leafOf(block));
            if (leaf < 0) {
                return;
            }
            block = Math.max(block, leaf * fanout * 2);
            long leafEnd = Math.min(stop, (leaf + 1) * fanout * 2);
            boolean any = false;
            for (; block < leafEnd; block++) {
                if (get(block) != UNKNOWN) {
                    set(block, UNKNOWN);
                    any = true;
                }
            }
            if (any) {
                markDirty(0, leaf);
            }
        }
    }

    private long leafOf(long block) {
        return (block >>> 1) / fanout;
    }

    @Override
    public void close() throws NativeException {
        super.close();
        values.close();
        present.close();
    }
}
