package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import io.ucow.store.CacheMode;
import io.ucow.store.DirectIoUnavailableException;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreInUseException;
import io.ucow.store.Zeros;
import io.ucow.store.format.Superblock;
import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A regular file or block device, read and written in place. {@link TableDevice} adds the offset of each target.
 *
 * <p>It holds the file's lock, so that no store and no other process writes to it at the same time.
 *
 * <p>Threading: as {@link BlockDevice}.
 */
final class LinearDevice implements BlockDevice {
    /** Holes are punched in units of a page; what is left at either end is overwritten. */
    private static final int GRANULARITY = 4096;

    private final PositionalFile file;
    private final long sizeBytes;
    private final boolean readOnly;
    private final boolean sparse;
    private final AtomicBoolean closed = new AtomicBoolean();
    /** Set once and for good: what the kernel dropped at a failed sync cannot be synced by the next one. */
    private volatile boolean flushFailed;

    /**
     * @param file to read and write; closed with this device, or by the caller when this throws
     * @param sparse whether the file can say how much storage it occupies; a block device occupies all of its own
     * @throws StoreInUseException if somebody else has it open in a way that conflicts
     */
    LinearDevice(PositionalFile file, boolean readOnly, boolean sparse) throws IOException {
        if (!file.tryLock(!readOnly)) {
            throw new StoreInUseException(
                    file.name() + " is in use by another device or process; detach that one first");
        }
        this.file = file;
        this.sizeBytes = file.size();
        this.readOnly = readOnly;
        this.sparse = sparse;
    }

    /**
     * Opens a file or block device.
     *
     * @throws StoreInUseException if it is open elsewhere; read-only openers do not disturb one another
     * @throws DirectIoUnavailableException as {@link CacheMode#accessTo}
     * @throws TableMismatchException if it is neither a regular file nor a block device, or is a store
     */
    static LinearDevice open(Path path, OpenOptions options) throws IOException {
        boolean readOnly = options.readOnly();
        NativeFile opened = NativeFile.open(path, readOnly ? Libc.O_RDONLY : Libc.O_RDWR);
        PositionalFile file = opened;
        try {
            FileStatus status = opened.status();
            if (!status.isRegular() && !status.isBlockDevice()) {
                throw new TableMismatchException(
                        path + " is neither a regular file nor a block device; name one in the linear target");
            }
            requireNoStore(opened);
            file = options.cache().accessTo(opened, readOnly);
            return new LinearDevice(file, readOnly, status.isRegular());
        } catch (IOException | RuntimeException e) {
            Backing.closeAfter(e, file);
            throw e;
        }
    }

    /** Slots of a store move and are reused: written behind its back they would change other chunks, too. */
    private static void requireNoStore(NativeFile file) throws IOException {
        ByteBuffer head = ByteBuffer.allocateDirect(2 * Superblock.SIZE);
        file.read(head, 0);
        head.flip();
        if (Superblock.hasMagic(head, 0) || Superblock.hasMagic(head, Superblock.SIZE)) {
            throw new TableMismatchException(file.name()
                    + " is a ucow image; name it in a cow target of the same device, or attach it by itself");
        }
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
        int wanted = dst.remaining();
        int done = file.read(dst, guestOffset);
        if (done < wanted) {
            throw becameShorter(guestOffset + done);
        }
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        return file.splice(guestOffset, lengthBytes, target);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes);
        requireWritable("write");
        file.write(src, guestOffset);
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        discard(guestOffset, lengthBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes);
        requireWritable("discard");
        long end = guestOffset + lengthBytes;
        long firstPage = guestOffset + (-guestOffset & (GRANULARITY - 1));
        long lastPage = end & -GRANULARITY;
        if (firstPage >= lastPage) {
            Zeros.write(file, guestOffset, lengthBytes);
        } else {
            Zeros.write(file, guestOffset, firstPage - guestOffset);
            punch(firstPage, lastPage - firstPage);
            Zeros.write(file, lastPage, end - lastPage);
        }
    }

    private void punch(long offset, long lengthBytes) throws IOException {
        try {
            file.punchHole(offset, lengthBytes);
        } catch (NativeException e) {
            // EINVAL: a block device with sectors larger than a page. The others: a file system or disk without holes.
            switch (e.errno()) {
                case Errno.EINVAL, Errno.EOPNOTSUPP, Errno.ENOSYS, Errno.ENODEV ->
                    Zeros.write(file, offset, lengthBytes);
                default -> throw e;
            }
        }
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        long found = file.seekData(Objects.checkIndex(guestOffset, sizeBytes));
        long end = found == Long.MAX_VALUE ? file.size() : sizeBytes;
        if (end < sizeBytes) {
            throw becameShorter(end); // what was cut off is no hole
        }
        return Math.min(sizeBytes, found);
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        return Math.min(sizeBytes, file.seekHole(Objects.checkIndex(guestOffset, sizeBytes)));
    }

    private IOException becameShorter(long end) {
        return new IOException(
                file.name() + " ends at " + end + ", but had " + sizeBytes + " bytes when it was opened");
    }

    @Override
    public void flush() throws IOException {
        if (readOnly) {
            return;
        }
        requireWritable("flush");
        try {
            file.sync();
        } catch (IOException e) {
            flushFailed = true;
            throw e;
        }
    }

    @Override
    public int granularityBytes() {
        return GRANULARITY;
    }

    @Override
    public long allocatedBytes() throws IOException {
        return sparse ? file.allocatedBytes() : sizeBytes;
    }

    @Override
    public void close() throws IOException {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        try (PositionalFile open = file) {
            if (!readOnly && !flushFailed) {
                open.sync();
            }
        }
    }

    private void requireWritable(String request) throws NativeException {
        if (readOnly) {
            throw new NativeException(request + " " + file.name(), Errno.EROFS);
        }
        if (flushFailed) {
            throw new NativeException(request + " " + file.name() + " after a failed flush", Errno.EIO);
        }
    }
}
