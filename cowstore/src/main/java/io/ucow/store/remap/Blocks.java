package io.ucow.store.remap;

/**
 * How a chunk is cut into blocks, the parts of it that a slot may hold or lack: up to sixteen, one bit each in an entry's
 * {@link RemapEntry#missing missing} mask, bit 0 for the first. Offsets are bytes from the chunk's start.
 *
 * @param chunkShift binary logarithm of the chunk size
 * @param blockShift binary logarithm of the block size, {@code chunkShift - 4 .. chunkShift}
 */
public record Blocks(int chunkShift, int blockShift) {
    private static final int MAX_BLOCKS_SHIFT = 4;
    /** Smallest block worth the bookkeeping: a page, what file systems allocate and guests write. */
    private static final int MIN_BLOCK_SHIFT = 12;

    /** @throws IllegalArgumentException if there would be more than sixteen blocks, or not even one */
    public Blocks {
        if (blockShift > chunkShift || blockShift < chunkShift - MAX_BLOCKS_SHIFT) {
            throw new IllegalArgumentException("blocks of 2^" + blockShift + " bytes in chunks of 2^" + chunkShift);
        }
    }

    /** The finest cut: sixteen blocks, or as many as there are pages. */
    public static Blocks finest(int chunkShift) {
        return new Blocks(chunkShift, Math.max(MIN_BLOCK_SHIFT, chunkShift - MAX_BLOCKS_SHIFT));
    }

    /** Bytes in a block. */
    public int blockSize() {
        return 1 << blockShift;
    }

    /** The mask of all blocks of a chunk. */
    public int all() {
        return (1 << (1 << (chunkShift - blockShift))) - 1;
    }

    /** The mask of the blocks that have any of the bytes {@code from..to-1}, {@code 0 <= from < to <= chunk size}. */
    public int touched(int from, int to) {
        return (2 << blockOf(to - 1)) - (1 << blockOf(from));
    }

    /** True when {@code mask} has the block that {@code offset} lies in. */
    public boolean contains(int mask, int offset) {
        return (mask & (1 << blockOf(offset))) != 0;
    }

    /** First byte of the block that {@code offset} lies in. */
    public int startOf(int offset) {
        return offset & -blockSize();
    }

    /** The end, exclusive, of the block whose last byte is at {@code end - 1} or after it. */
    public int endOf(int end) {
        return startOf(end - 1) + blockSize();
    }

    /** Where the run of blocks that are in {@code mask}, or not in it, like that of {@code offset} ends, exclusive. */
    public int runEnd(int mask, int offset) {
        int block = blockOf(offset);
        int alike = (contains(mask, offset) ? ~mask : mask) & all() & -(1 << block);
        return alike == 0 ? 1 << chunkShift : Integer.numberOfTrailingZeros(alike) << blockShift;
    }

    /** Bytes from the chunk's start to the end of the last block that is not in {@code missing}. */
    public int endOfHeld(int missing) {
        return (Integer.SIZE - Integer.numberOfLeadingZeros(all() & ~missing)) << blockShift;
    }

    /** Bytes of the blocks that are not in {@code missing}. */
    public int heldBytes(int missing) {
        return Integer.bitCount(all() & ~missing) << blockShift;
    }

    private int blockOf(int offset) {
        return offset >>> blockShift;
    }
}
