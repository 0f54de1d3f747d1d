package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import io.ucow.store.Zeros;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * Reads as zeros and forgets what is written, like dm-zero.
 *
 * <p>Threading: as {@link BlockDevice}; it holds nothing.
 */
final class ZeroDevice implements BlockDevice {
    private static final int GRANULARITY = 4096;

    private final long sizeBytes;

    ZeroDevice(long sizeBytes) {
        this.sizeBytes = sizeBytes;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean isReadOnly() {
        return false;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) {
        Objects.checkFromIndexSize(guestOffset, dst.remaining(), sizeBytes);
        Zeros.fill(dst);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes);
        src.position(src.limit());
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
    }

    @Override
    public long seekData(long guestOffset) {
        Objects.checkIndex(guestOffset, sizeBytes);
        return sizeBytes;
    }

    @Override
    public long seekHole(long guestOffset) {
        return Objects.checkIndex(guestOffset, sizeBytes);
    }

    @Override
    public void flush() {}

    @Override
    public int granularityBytes() {
        return GRANULARITY;
    }

    @Override
    public long allocatedBytes() {
        return 0;
    }

    @Override
    public void close() {}
}
