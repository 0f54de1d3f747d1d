package io.ucow.store;

import io.ucow.sys.SpliceTarget;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * A disk: a number of bytes that can be read, written, zeroed and flushed. All that a transport sees of a device.
 *
 * <p>Offsets and lengths are bytes and need no alignment. Every range must lie inside {@code [0, sizeBytes())}; a range
 * that does not is the caller's bug and throws {@link IndexOutOfBoundsException} with nothing changed. A failed request
 * throws an {@link IOException} from which {@link io.ucow.sys.Errno#of} takes the errno; the device goes on serving.
 *
 * <p>Threading: any number of threads may call at once. Overlapping concurrent requests may take effect in any order;
 * a request that starts after another returned sees its effect. {@link #close} must not race with other calls.
 */
public interface BlockDevice extends Closeable {
    /** Capacity in bytes; never less than it was before while the device is open. */
    long sizeBytes();

    /** True when every changing call will be refused with {@code EROFS}. */
    boolean isReadOnly();

    /** Fills {@code dst} with what the device holds from {@code guestOffset}; {@code dst} must be direct. */
    void read(long guestOffset, ByteBuffer dst) throws IOException;

    /**
     * Reads without a copy: if all of the range lies in one piece of one file, {@code target} is given that place, and
     * nobody else gets it before this call returns.
     *
     * @param lengthBytes {@code > 0}
     * @return what {@code target} said; false, too, where the range has no such place: {@link #read} it then
     */
    default boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        return false;
    }

    /**
     * Writes all of {@code src}, which must be direct. On return the bytes survive the death of this process, and power
     * loss only after the next {@link #flush}.
     *
     * @throws IOException {@code ENOSPC} when the store cannot grow: any part of the range may have been written, the
     *     rest reads as before
     */
    void write(long guestOffset, ByteBuffer src) throws IOException;

    /** Makes the range read as zeros, as if written; gives storage back where it can. */
    void writeZeroes(long guestOffset, long lengthBytes) throws IOException;

    /** Makes the range read as zeros and gives its storage back. Whole chunks need no new storage. */
    void discard(long guestOffset, long lengthBytes) throws IOException;

    /**
     * The first byte at or after {@code guestOffset} that storage is spent on, here or in the base: what lies before it
     * reads as zeros. A hole may be told as data, never data as a hole. While others change the device the answer may be
     * that of no single instant.
     *
     * <p>A device that keeps no holes answers as a file system that cannot tell: all of it is data.
     *
     * @param guestOffset {@code 0 <= guestOffset < sizeBytes()}
     * @return {@link #sizeBytes} when only holes follow
     */
    default long seekData(long guestOffset) throws IOException {
        return Objects.checkIndex(guestOffset, sizeBytes());
    }

    /**
     * The first byte at or after {@code guestOffset} that lies in a hole, as {@link #seekData} sees them.
     *
     * @param guestOffset {@code 0 <= guestOffset < sizeBytes()}
     * @return {@link #sizeBytes} when only data follows
     */
    default long seekHole(long guestOffset) throws IOException {
        Objects.checkIndex(guestOffset, sizeBytes());
        return sizeBytes();
    }

    /**
     * Makes every request that returned before this call survive power loss.
     *
     * @throws IOException if that could not be assured; from then on changing calls and flushes are refused
     */
    void flush() throws IOException;

    /** The size in bytes below which storage is neither taken nor given back: a power of two, the chunk size. */
    int granularityBytes();

    /** Bytes of storage this device occupies of its own, metadata included: what {@code du} would say. */
    long allocatedBytes() throws IOException;

    /** Flushes, then releases every resource. A second call does nothing. */
    @Override
    void close() throws IOException;
}
