package io.ucow.it;

import io.ucow.store.BlockDevice;
import io.ucow.store.FaultFile;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * A disk with a volatile cache that remembers all it was told, so that any power loss can be looked at afterwards.
 *
 * <p>Threading: as {@link BlockDevice}.
 */
final class RecordedDisk implements BlockDevice {
    private final FaultFile record;
    private final long sizeBytes;

    /** @param record of a fixed length, which the disk has, too */
    RecordedDisk(FaultFile record) {
        this.record = record;
        this.sizeBytes = record.size();
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
        record.read(dst, guestOffset);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes);
        record.write(src, guestOffset);
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        record.punchHole(guestOffset, lengthBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) {
        writeZeroes(guestOffset, lengthBytes);
    }

    @Override
    public void flush() {
        record.sync();
    }

    @Override
    public int granularityBytes() {
        return FaultFile.SECTOR;
    }

    @Override
    public long allocatedBytes() {
        return sizeBytes;
    }

    @Override
    public void close() {}
}
