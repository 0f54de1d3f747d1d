package io.ucow.store;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Direct buffers of one size that threads borrow for the length of a call. It keeps a few; under an unusual crowd it
 * makes more and lets the surplus go.
 *
 * <p>Threading: lock-free; a borrowed buffer is the borrower's alone.
 */
public final class BufferPool {
    private static final int KEPT = 16;
    private static final BufferPool[] CHUNKS = new BufferPool[Geometry.MAX_CHUNK_SHIFT + 1];

    static {
        for (int shift = Geometry.MIN_CHUNK_SHIFT; shift < CHUNKS.length; shift++) {
            CHUNKS[shift] = new BufferPool(1 << shift);
        }
    }

    private final int bytes;
    private final AtomicReferenceArray<ByteBuffer> kept = new AtomicReferenceArray<>(KEPT);

    /** @param bytes capacity of each buffer */
    public BufferPool(int bytes) {
        this.bytes = bytes;
    }

    /** The pool of chunk-sized buffers that all devices with that chunk size share. */
    static BufferPool ofChunks(int chunkShift) {
        return CHUNKS[chunkShift];
    }

    /** A cleared little-endian buffer with undefined content. */
    public ByteBuffer take() {
        for (int i = 0; i < KEPT; i++) {
            ByteBuffer buffer = kept.get(i);
            if (buffer != null && kept.compareAndSet(i, buffer, null)) {
                return buffer.clear();
            }
        }
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Returns a buffer that {@link #take} gave. */
    public void give(ByteBuffer buffer) {
        for (int i = 0; i < KEPT; i++) {
            if (kept.get(i) == null && kept.compareAndSet(i, null, buffer)) {
                return;
            }
        }
    }
}
