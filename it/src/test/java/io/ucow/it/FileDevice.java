package io.ucow.it;

import io.ucow.store.BlockDevice;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;

/** The simplest device there is, a plain file, so that a transport can be tested without the engine. */
final class FileDevice implements BlockDevice {
    final AtomicInteger flushes = new AtomicInteger();
    volatile boolean readOnly;
    volatile boolean closed;

    private final NativeFile file;
    private final long sizeBytes;
    private final int granularityBytes;

    /** Creates {@code path}, full of zeros. */
    FileDevice(Path path, long sizeBytes, int granularityBytes) throws IOException {
        this.file = NativeFile.create(path, 0600);
        this.file.truncate(sizeBytes);
        this.sizeBytes = sizeBytes;
        this.granularityBytes = granularityBytes;
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
        int mode = Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE;
        int result = Libc.fallocate(file.fd(), mode, guestOffset, lengthBytes);
        if (result < 0) {
            throw new NativeException("fallocate(ZERO_RANGE)", -result);
        }
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
