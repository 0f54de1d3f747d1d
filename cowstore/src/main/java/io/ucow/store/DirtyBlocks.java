package io.ucow.store;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;

/**
 * Which blocks of a device were changed since somebody looked. A block has 4 KiB, whatever the chunk size: a guest that
 * writes small blocks all over its disk is to be caught up with.
 *
 * <p>Whoever changes a block marks it <em>afterwards</em>, before the request is answered; whoever looks takes the mark away
 * before he reads the block. So what he missed is marked, at the latest when no request is under way.
 *
 * <p>Threading: marking by any thread, lock-free and without allocation; taking by one.
 */
final class DirtyBlocks implements AutoCloseable {
    private static final int BLOCK_SHIFT = 12;

    /** Bytes in a block; the device's last one may have fewer. */
    static final int BLOCK_BYTES = 1 << BLOCK_SHIFT;

    private final SparseLongs bits;

    DirtyBlocks(long deviceBytes) throws NativeException {
        this.bits = new SparseLongs(((deviceBytes - 1) >>> (BLOCK_SHIFT + 6)) + 1);
    }

    /** Marks the blocks that any of these bytes are in; none if there are none. */
    void mark(long guestOffset, long lengthBytes) {
        if (lengthBytes == 0) {
            return;
        }
        long first = guestOffset >>> BLOCK_SHIFT;
        long last = (guestOffset + lengthBytes - 1) >>> BLOCK_SHIFT;
        for (long word = first >>> 6; word <= last >>> 6; word++) {
            long mask = -1L;
            if (word == first >>> 6) {
                mask &= -1L << first;
            }
            if (word == last >>> 6) {
                mask &= -1L >>> ~last;
            }
            if ((bits.get(word) & mask) != mask) {
                bits.getAndBitwiseOr(word, mask);
            }
        }
    }

    /** The first block at or after {@code from} that is marked, and is not any more; -1 if there is none. */
    long take(long from) {
        long word = from >>> 6;
        long found = word < bits.length() ? bits.get(word) & (-1L << from) : 0;
        while (found == 0) {
            if (++word >= bits.length()) {
                return -1;
            }
            found = bits.get(word);
        }
        long block = (word << 6) + Long.numberOfTrailingZeros(found);
        takeAt(block);
        return block;
    }

    /** Takes the mark of a block away. @return whether it had one; false past the device's end */
    boolean takeAt(long block) {
        long word = block >>> 6;
        long mask = 1L << block;
        return word < bits.length() && (bits.get(word) & mask) != 0 && (bits.getAndBitwiseAnd(word, ~mask) & mask) != 0;
    }

    /** How many bytes the marked blocks have. */
    long bytes() {
        long sum = 0;
        for (long word = 0; word < bits.length(); word++) {
            sum += Long.bitCount(bits.get(word));
        }
        return sum << BLOCK_SHIFT;
    }

    /** Gives the memory back; nothing may be marked or taken any more. */
    @Override
    public void close() throws NativeException {
        bits.close();
    }
}
