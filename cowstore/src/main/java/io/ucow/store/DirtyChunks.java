package io.ucow.store;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;

/**
 * Which chunks of a device were changed since somebody looked.
 *
 * <p>Whoever changes a chunk marks it <em>afterwards</em>, before the request is answered; whoever looks takes the mark away
 * before he reads the chunk. So what he missed is marked, at the latest when no request is under way.
 *
 * <p>Threading: marking by any thread, lock-free and without allocation; taking by one.
 */
final class DirtyChunks implements AutoCloseable {
    private final SparseLongs bits;
    private final int chunkShift;

    DirtyChunks(Geometry geometry) throws NativeException {
        this.bits = new SparseLongs((geometry.chunkCount() + Long.SIZE - 1) / Long.SIZE);
        this.chunkShift = geometry.chunkShift();
    }

    /** Marks the chunks that any of these bytes are in; none if there are none. */
    void mark(long guestOffset, long lengthBytes) {
        if (lengthBytes == 0) {
            return;
        }
        long first = guestOffset >>> chunkShift;
        long last = (guestOffset + lengthBytes - 1) >>> chunkShift;
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

    /** The first chunk at or after {@code from} that is marked, and is not any more; -1 if there is none. */
    long take(long from) {
        long word = from >>> 6;
        long found = word < bits.length() ? bits.get(word) & (-1L << from) : 0;
        while (found == 0) {
            if (++word >= bits.length()) {
                return -1;
            }
            found = bits.get(word);
        }
        int bit = Long.numberOfTrailingZeros(found);
        bits.getAndBitwiseAnd(word, ~(1L << bit));
        return (word << 6) + bit;
    }

    /** How many are marked. */
    long count() {
        long sum = 0;
        for (long word = 0; word < bits.length(); word++) {
            sum += Long.bitCount(bits.get(word));
        }
        return sum;
    }

    /** Gives the memory back; nothing may be marked or taken any more. */
    @Override
    public void close() throws NativeException {
        bits.close();
    }
}
