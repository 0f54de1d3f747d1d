package io.ucow.fuse;

import io.ucow.store.BlockDevice;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** A device in a byte array that notes what it was asked and fails on demand. */
public final class MemoryDevice implements BlockDevice {
    public static final int GRANULARITY = 4096;

    public final byte[] bytes;
    public final List<String> calls = new ArrayList<>();
    public boolean readOnly;
    /** Notes nothing while set, and then allocates nothing. */
    public boolean quiet;
    /** What has the bytes of reads that are spliced; null for none. */
    public PositionalFile inFile;
    /** Thrown by every request while set; an {@link IOException}, a {@link RuntimeException} or an {@link Error}. */
    public Throwable failure;

    public MemoryDevice(int sizeBytes) {
        bytes = new byte[sizeBytes];
    }

    @Override
    public long sizeBytes() {
        return bytes.length;
    }

    @Override
    public boolean isReadOnly() {
        return readOnly;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        note("read", guestOffset, dst.remaining());
        dst.put(bytes, (int) guestOffset, dst.remaining());
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        return inFile != null && inFile.splice(guestOffset, lengthBytes, target);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        note("write", guestOffset, src.remaining());
        src.get(bytes, (int) guestOffset, src.remaining());
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        note("writeZeroes", guestOffset, lengthBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        note("discard", guestOffset, lengthBytes);
    }

    /** The first quarter is data, the rest a hole. */
    @Override
    public long seekData(long guestOffset) throws IOException {
        note("seekData", guestOffset, 1);
        return guestOffset < sizeBytes() / 4 ? guestOffset : sizeBytes();
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        note("seekHole", guestOffset, 1);
        return Math.max(guestOffset, sizeBytes() / 4);
    }

    @Override
    public void flush() throws IOException {
        note("flush", 0, 0);
    }

    @Override
    public int granularityBytes() {
        return GRANULARITY;
    }

    @Override
    public long allocatedBytes() throws IOException {
        fail();
        return 513;
    }

    @Override
    public void close() {
        calls.add("close");
    }

    private void note(String call, long guestOffset, long lengthBytes) throws IOException {
        fail();
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        if (!quiet) {
            calls.add(call + " " + guestOffset + "+" + lengthBytes);
        }
    }

    private void fail() throws IOException {
        if (failure instanceof IOException e) {
            throw e;
        }
        if (failure instanceof Error e) {
            throw e;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }
}
