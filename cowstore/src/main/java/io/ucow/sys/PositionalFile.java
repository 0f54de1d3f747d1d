package io.ucow.sys;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A file read and written at explicit offsets: what the store's format and the base are read through.
 *
 * <p>Production code uses {@link NativeFile}; tests put a jimfs channel or a fault-injecting file behind the same
 * interface. Offsets and lengths are bytes, {@code >= 0}.
 *
 * <p>Threading: any number of threads may call any method at once; calls to disjoint ranges do not wait for each
 * other. A call that races with {@link #close} fails.
 */
public interface PositionalFile extends Closeable {
    /** How messages name this file. */
    String name();

    /**
     * Reads until {@code dst} is full or the file ends; advances {@code dst}'s position by what was read.
     *
     * @return the bytes read; less than {@code dst.remaining()} was before the call only at the end of the file
     * @throws IOException with the errno of the failed call; {@code dst}'s position is then unspecified
     */
    int read(ByteBuffer dst, long offset) throws IOException;

    /**
     * Gives {@code target} the place of a range, to take it from the page cache as it is.
     *
     * @return what {@code target} said; false, too, where there is no such place: the range is to be read then
     */
    default boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return false;
    }

    /**
     * Writes all of {@code src}, extending the file if need be; advances {@code src} to its limit. On return the
     * bytes are in the page cache: they outlive this process, and power loss only after {@link #sync}.
     *
     * @throws IOException with the errno of the failed call; any prefix may have been written
     */
    void write(ByteBuffer src, long offset) throws IOException;

    /**
     * Says that much will be written before the next {@link #sync}, which is to find little left to do: from now on the
     * disk is kept busy meanwhile. Nothing is any more durable for it, and a write may throw what {@link #sync} would.
     */
    default void writeBehind() {}

    /** Makes every write that returned before this call, and the file's size, survive power loss: {@code fdatasync}. */
    void sync() throws IOException;

    /**
     * Makes {@code [offset, offset + lengthBytes)} read as zeros and gives its storage back. The size stays as it is.
     *
     * @throws IOException {@code EOPNOTSUPP} where the file system cannot
     */
    void punchHole(long offset, long lengthBytes) throws IOException;

    /** As {@link #punchHole}, where the file system can. @return false, with nothing changed, where it cannot */
    default boolean tryPunchHole(long offset, long lengthBytes) throws IOException {
        try {
            punchHole(offset, lengthBytes);
            return true;
        } catch (IOException e) {
            if (Errno.of(e) != Errno.EOPNOTSUPP) {
                throw e;
            }
            return false;
        }
    }

    /** Reserves storage for the range, so that writing it cannot fail for want of space; its content stays. */
    void preallocate(long offset, long lengthBytes) throws IOException;

    /** Current length in bytes; a block device's capacity. */
    long size() throws IOException;

    /** Sets the length; what is added reads as zeros. */
    void truncate(long sizeBytes) throws IOException;

    /** Bytes of storage in use, at most {@link #size} plus file-system overhead. */
    long allocatedBytes() throws IOException;

    /** Bytes of {@code [offset, offset + lengthBytes)} that are not holes; all of them where the file system cannot tell. */
    long dataBytes(long offset, long lengthBytes) throws IOException;

    /**
     * The first byte at or after {@code offset} that is not in a hole; {@link Long#MAX_VALUE} when only holes, or
     * nothing, follow. Where the file system cannot tell, all of the file is data.
     */
    default long seekData(long offset) throws IOException {
        return offset < size() ? offset : Long.MAX_VALUE;
    }

    /** The first byte at or after {@code offset} that lies in a hole; at the latest the end of the file. */
    default long seekHole(long offset) throws IOException {
        return Math.max(offset, size());
    }

    /**
     * Takes the whole-file lock without waiting; it is held until {@link #close}.
     *
     * @param exclusive true to shut out every other holder, false to shut out exclusive ones only
     * @return false when somebody else, in this process or another, holds it in a way that conflicts
     */
    boolean tryLock(boolean exclusive) throws IOException;
}
