package io.ucow.store;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The read-only image behind a store. Never written.
 *
 * <p>Threading: any number of threads may read at once.
 */
public interface Origin extends Closeable {
    /** Length in bytes, {@code >= 0}; constant while open. */
    long sizeBytes();

    /** Fills {@code dst}, which must be direct, from {@code offset}; what lies past the end reads as zeros. */
    void read(ByteBuffer dst, long offset) throws IOException;
}
