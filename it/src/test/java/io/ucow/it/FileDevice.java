package io.ucow.it;

import io.ucow.store.BlockDevice;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;

/** The simplest device there is, a file, so that a transport can be tested without the engine, or a file be a disk. */
final class FileDevice implements BlockDevice {
    final AtomicInteger flushes = new AtomicInteger();
    /** Bytes of reads that were handed on without a copy. */
    final LongAdder spliced = new LongAdder();

    volatile boolean readOnly;
    volatile boolean closed;

    private final PositionalFile file;
    private final long sizeBytes;
    private final int granularityBytes;

    /** Creates {@code path}, full of zeros. */
    FileDevice(Path path, long sizeBytes, int granularityBytes) throws IOException {
        this(created(path, sizeBytes), granularityBytes);
    }

    /** @param file of a fixed size, which the device has, too; closed with it */
    FileDevice(PositionalFile file, int granularityBytes) throws IOException {
        this.file = file;
        this.sizeBytes = file.size();
        this.granularityBytes = granularityBytes;
    }

    private static NativeFile created(Path path, long sizeBytes) throws IOException {
        NativeFile file = NativeFile.create(path, 0600);
        file.truncate(sizeBytes);
        return file;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean isReadOnly() {
        return readOnly;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        Objects.checkFromIndexSize(guestOffset, dst.remaining(), sizeBytes);
        file.read(dst, guestOffset);
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        boolean taken = file.splice(guestOffset, lengthBytes, target);
        if (taken) {
            spliced.add(lengthBytes);
        }
        return taken;
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes);
        if (readOnly) {
            throw new NativeException("write", Errno.EROFS);
        }
        file.write(src, guestOffset);
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        file.punchHole(guestOffset, lengthBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        file.punchHole(guestOffset, lengthBytes);
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        return Math.min(sizeBytes, file.seekData(Objects.checkIndex(guestOffset, sizeBytes)));
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        return Math.min(sizeBytes, file.seekHole(Objects.checkIndex(guestOffset, sizeBytes)));
    }

    @Override
    public void flush() throws IOException {
        flushes.incrementAndGet();
        file.sync();
    }

    @Override
    public int granularityBytes() {
        return granularityBytes;
    }

    @Override
    public long allocatedBytes() throws IOException {
        return file.allocatedBytes();
    }

    @Override
    public void close() throws IOException {
        closed = true;
        file.close();
    }
}
