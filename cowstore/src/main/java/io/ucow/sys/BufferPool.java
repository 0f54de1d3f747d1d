package io.ucow.sys;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Direct buffers of one size that threads borrow for the length of a call. It keeps a few; under an unusual crowd it
 * makes more and lets the surplus go. Each begins at a page, so that direct I/O takes it as it is.
 *
 * <p>Threading: lock-free; a borrowed buffer is the borrower's alone.
 */
public final class BufferPool {
    /** What every buffer's address is a multiple of, in bytes. */
    public static final int ALIGNMENT = 4096;

    /** Binary logarithm of the largest {@link #shared} buffers: 2 MiB, the largest chunk of any format. */
    static final int MAX_SHARED_SHIFT = 21;

    private static final int KEPT = 16;
    private static final BufferPool[] SHARED = new BufferPool[MAX_SHARED_SHIFT + 1];

    static {
        for (int shift = 0; shift < SHARED.length; shift++) {
            SHARED[shift] = new BufferPool(1 << shift);
        }
    }

    private final int bytes;
    private final AtomicReferenceArray<ByteBuffer> kept = new AtomicReferenceArray<>(KEPT);

    /** @param bytes capacity of each buffer */
    public BufferPool(int bytes) {
        this.bytes = bytes;
    }

    /** The pool of buffers of {@code 1 << shift} bytes that everybody shares, {@code 0 <= shift <= 21}. */
    public static BufferPool shared(int shift) {
        return SHARED[shift];
    }

    /** A cleared little-endian buffer with undefined content. */
    public ByteBuffer take() {
        for (int i = 0; i < KEPT; i++) {
            ByteBuffer buffer = kept.get(i);
            if (buffer != null && kept.compareAndSet(i, buffer, null)) {
                return buffer.clear();
            }
        }
        return allocate(bytes);
    }

    /** Returns a buffer that {@link #take} gave. */
    public void give(ByteBuffer buffer) {
        for (int i = 0; i < KEPT; i++) {
            if (kept.get(i) == null && kept.compareAndSet(i, null, buffer)) {
                return;
            }
        }
    }

    /** A little-endian direct buffer of zeros that begins at a page, for its owner to keep. */
    public static ByteBuffer allocate(int bytes) {
        ByteBuffer slack = ByteBuffer.allocateDirect(bytes + ALIGNMENT - 1);
        int skew = slack.alignmentOffset(0, ALIGNMENT);
        return slack.slice(skew == 0 ? 0 : ALIGNMENT - skew, bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
