package io.ucow.store.journal;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;

/**
 * Which slots were written to of late, and which it is no use to compress as long as they are not: two bits each, in memory
 * alone. A slot gets its second chance as with a clock: whoever goes round takes the mark away, and finds the slot cold the
 * next time if it has none by then.
 *
 * <p>Threading: lock-free. {@link #note} is what writers in place pay: a load for each slot, and a change of the bit once a
 * round.
 */
final class WriteMarks implements AutoCloseable {
    private final long firstSlot;
    private final SparseLongs written;
    private final SparseLongs incompressible;

    /** Parameters as in {@link PackMap}. */
    WriteMarks(long firstSlot, long slots) throws NativeException {
        this.firstSlot = firstSlot;
        this.written = new SparseLongs((slots + 63) / 64);
        this.incompressible = new SparseLongs((slots + 63) / 64);
    }

    /** Marks {@code count} slots as written. @return true if one was not */
    boolean note(long slot, int count) {
        boolean news = false;
        for (long index = slot - firstSlot; index < slot - firstSlot + count; index++) {
            if ((written.get(index >>> 6) & 1L << index) == 0) {
                written.getAndBitwiseOr(index >>> 6, 1L << index);
                news = true;
            }
        }
        return news;
    }

    /** Whether the slot has been written since it was last asked about. */
    boolean takeWritten(long slot) {
        long index = slot - firstSlot;
        long bit = 1L << index;
        if ((written.get(index >>> 6) & bit) == 0) {
            return false;
        }
        written.getAndBitwiseAnd(index >>> 6, ~bit);
        incompressible.getAndBitwiseAnd(index >>> 6, ~bit);
        return true;
    }

    /** Notes that it was of no use to compress what the slot holds. */
    void setIncompressible(long slot) {
        long index = slot - firstSlot;
        incompressible.getAndBitwiseOr(index >>> 6, 1L << index);
    }

    /** True for a slot of which that was noted, and that nobody was seen to write to since. */
    boolean isIncompressible(long slot) {
        long index = slot - firstSlot;
        return (incompressible.get(index >>> 6) & 1L << index) != 0;
    }

    @Override
    public void close() throws NativeException {
        written.close();
        incompressible.close();
    }
}
