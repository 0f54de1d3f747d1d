package io.ucow.store.codec;

import java.io.IOException;
import java.nio.ByteBuffer;
import net.jpountz.lz4.LZ4Compressor;
import net.jpountz.lz4.LZ4Exception;
import net.jpountz.lz4.LZ4Factory;
import net.jpountz.lz4.LZ4SafeDecompressor;

/**
 * LZ4 blocks, without a frame. Native code does it where it can be loaded, Java else. The decompressor is the one that
 * checks every length: what it reads may be hostile, and it neither reads nor writes outside the ranges given.
 *
 * <p>Threading: any number of threads. Nothing is allocated, but in Java, which takes a table for each compression.
 * Positions and limits of buffers stay as they are.
 */
public final class Lz4Codec {
    private static final LZ4Factory FACTORY = LZ4Factory.fastestInstance();
    private static final LZ4Compressor FAST = FACTORY.fastCompressor();
    /** LZ4 HC: a tenth smaller than {@link #FAST}, at a fifth of its speed; higher levels gain another hundredth. */
    private static final LZ4Compressor THOROUGH = FACTORY.highCompressor(3);

    private static final LZ4SafeDecompressor DECOMPRESSOR = FACTORY.safeDecompressor();

    private Lz4Codec() {}

    /** True when native code does the work. */
    public static boolean isNative() {
        return FACTORY.toString().contains("JNI");
    }

    /** The most bytes that {@code lengthBytes} can become. */
    public static int bound(int lengthBytes) {
        return FAST.maxCompressedLength(lengthBytes);
    }

    /**
     * Compresses {@code lengthBytes} of {@code src} from {@code from} on to {@code dst} from {@code at} on, which has room
     * for {@link #bound} of them: what is packed is cold, and read more often than made. What does not become smaller takes
     * no more time than it takes to see that.
     *
     * @return how many bytes they became
     */
    public static int compress(ByteBuffer src, int from, int lengthBytes, ByteBuffer dst, int at) {
        int most = bound(lengthBytes);
        int n = FAST.compress(src, from, lengthBytes, dst, at, most);
        return n < lengthBytes ? THOROUGH.compress(src, from, lengthBytes, dst, at, most) : n;
    }

    /**
     * Turns {@code packedBytes} of {@code src} from {@code from} on back into {@code lengthBytes}, at {@code at} of {@code
     * dst}.
     *
     * @throws IOException if they are no block, or one of another length
     */
    public static void decompress(ByteBuffer src, int from, int packedBytes, ByteBuffer dst, int at, int lengthBytes)
            throws IOException {
        int n;
        try {
            n = DECOMPRESSOR.decompress(src, from, packedBytes, dst, at, lengthBytes);
        } catch (LZ4Exception e) {
            throw new IOException("no LZ4 block of " + lengthBytes + " bytes", e);
        }
        if (n != lengthBytes) {
            throw new IOException("an LZ4 block of " + n + " bytes, expected " + lengthBytes);
        }
    }
}
