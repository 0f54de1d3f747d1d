package io.ucow.store;

import io.ucow.sys.SpliceTarget;
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

    /** As {@link BlockDevice#splice}; what lies past the end has no place. */
    default boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return false;
    }

    /**
     * The first byte at or after {@code offset} that is not in a hole; {@link Long#MAX_VALUE} when only holes follow.
     * What lies past the end is a hole; before it, an origin that cannot tell has none.
     */
    default long seekData(long offset) throws IOException {
        return offset < sizeBytes() ? offset : Long.MAX_VALUE;
    }

    /** The first byte at or after {@code offset} that lies in a hole; at the latest the end. */
    default long seekHole(long offset) throws IOException {
        return Math.max(offset, sizeBytes());
    }
}
