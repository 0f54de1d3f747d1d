package io.ucow.store;

import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Zeros for buffers and files, without a loop over bytes.
 *
 * <p>Threading: every method may be called from any thread.
 */
public final class Zeros {
    private static final ByteBuffer BLOCK = BufferPool.allocate(64 << 10).asReadOnlyBuffer();

    private Zeros() {}

    /** Fills {@code dst} from its position to its limit and advances it there. */
    public static void fill(ByteBuffer dst) {
        while (dst.hasRemaining()) {
            int n = Math.min(dst.remaining(), BLOCK.capacity());
            dst.put(dst.position(), BLOCK, 0, n);
            dst.position(dst.position() + n);
        }
    }

    /**
     * True when the {@code length} bytes of {@code src} from index {@code from} on, at most its limit, are all zero. Its
     * position and limit are the same afterwards.
     */
    public static boolean isAll(ByteBuffer src, int from, int length) {
        int position = src.position();
        int limit = src.limit();
        int end = from + length;
        try {
            for (int at = from; at < end; at += BLOCK.capacity()) {
                int n = Math.min(BLOCK.capacity(), end - at);
                // Vector instructions, also where there is no C2; it stops at the first difference.
                int zeros = src.limit(at + n).position(at).mismatch(BLOCK);
                if (zeros >= 0 && zeros < n) {
                    return false;
                }
            }
            return true;
        } finally {
            src.limit(limit).position(position);
        }
    }

    /**
     * Writes zeros to {@code [offset, offset + lengthBytes)}: for where no hole can be punched.
     *
     * @throws IOException as {@link PositionalFile#write}; any prefix may have been written
     */
    public static void write(PositionalFile file, long offset, long lengthBytes) throws IOException {
        ByteBuffer zeros = BLOCK.duplicate();
        long end = offset + lengthBytes;
        for (long at = offset; at < end; at += BLOCK.capacity()) {
            file.write(zeros.clear().limit((int) Math.min(BLOCK.capacity(), end - at)), at);
        }
    }
}
