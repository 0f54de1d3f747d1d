package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Objects;
import java.util.Random;

/** A device in memory that counts what is asked of it and fails when told to. */
final class MemoryDevice implements BlockDevice {
    final ByteBuffer content;
    private final int granularityBytes;
    int flushes;
    int closes;
    boolean readOnly;
    IOException failure;

    MemoryDevice(int sizeBytes, int granularityBytes) {
        this.content = ByteBuffer.allocate(sizeBytes);
        this.granularityBytes = granularityBytes;
    }

    /** A device full of noise. */
    static MemoryDevice random(int sizeBytes, long seed) {
        MemoryDevice device = new MemoryDevice(sizeBytes, 4096);
        new Random(seed).nextBytes(device.content.array());
        return device;
    }

    byte[] bytes() {
        return content.array();
    }

    @Override
    public long sizeBytes() {
        return content.capacity();
    }

    @Override
    public boolean isReadOnly() {
        return readOnly;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        failIfTold();
        int n = dst.remaining();
        dst.put(dst.position(), content, (int) guestOffset, n).position(dst.position() + n);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        failIfTold();
        content.put((int) guestOffset, src, src.position(), src.remaining());
        src.position(src.limit());
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        failIfTold();
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        Arrays.fill(bytes(), (int) guestOffset, (int) (guestOffset + lengthBytes), (byte) 0);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        writeZeroes(guestOffset, lengthBytes);
    }

    /** Here a byte of zero is a hole. */
    @Override
    public long seekData(long guestOffset) throws IOException {
        failIfTold();
        int at = (int) guestOffset;
        while (at < content.capacity() && content.get(at) == 0) {
            at++;
        }
        return at;
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        failIfTold();
        int at = (int) guestOffset;
        while (at < content.capacity() && content.get(at) != 0) {
            at++;
        }
        return at;
    }

    @Override
    public void flush() throws IOException {
        flushes++;
        failIfTold();
    }

    @Override
    public int granularityBytes() {
        return granularityBytes;
    }

    @Override
    public long allocatedBytes() {
        return sizeBytes();
    }

    @Override
    public void close() throws IOException {
        closes++;
        failIfTold();
    }

    private void failIfTold() throws IOException {
        if (failure != null) {
            throw failure;
        }
    }
}
