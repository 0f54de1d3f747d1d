package io.ucow.store;

import java.nio.ByteBuffer;

/** Fills buffers with zeros without a loop over bytes in the caller. */
final class Zeros {
    private static final ByteBuffer BLOCK = ByteBuffer.allocateDirect(64 << 10).asReadOnlyBuffer();

    private Zeros() {}

    /** Fills {@code dst} from its position to its limit and advances it there. */
    static void fill(ByteBuffer dst) {
        while (dst.hasRemaining()) {
            int n = Math.min(dst.remaining(), BLOCK.capacity());
            dst.put(dst.position(), BLOCK, 0, n);
            dst.position(dst.position() + n);
        }
    }
}
