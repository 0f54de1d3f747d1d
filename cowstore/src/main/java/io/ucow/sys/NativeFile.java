package io.ucow.sys;

import com.kenai.jffi.MemoryIO;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A {@link PositionalFile} on a file descriptor, through {@code pread}, {@code pwrite} and friends.
 *
 * <p>Not a {@link java.nio.channels.FileChannel}: that one takes a lock for each call, closes the file when a reader is
 * interrupted, and drops all its locks when any other descriptor of the same file is closed.
 *
 * <p>Threading: as {@link PositionalFile}. Read and write allocate nothing. Buffers must be direct.
 */
public final class NativeFile implements PositionalFile {
    private static final MemoryIO MEMORY = MemoryIO.getInstance();
    private static final int CLOSED = -1;
    /**
     * Longest write to the page cache in one call. File systems with large folios (ext4 since Linux 6.16) make one folio of
     * all that a call writes, and later look at each of its blocks for every small write: after filling a file by 1 MiB,
     * 4 KiB rewrites ran at half the rate.
     */
    private static final int MAX_BUFFERED_WRITE_BYTES = 64 << 10;

    /** As much as a disk wants to be kept busy; a power of two. */
    private static final long WRITEBACK_EVERY_BYTES = 16 << 20;

    private final String name;
    private final AtomicInteger fd;
    private final int maxWriteBytes;
    /** Shared by all descriptors of one open file. */
    private final OpenFile openFile;
    /** Bytes written since {@link #writeBehind}; null before. */
    private volatile AtomicLong writtenBehind;

    private NativeFile(String name, int flags, int mode) throws NativeException {
        this(name, name, flags, mode);
    }

    private NativeFile(String name, String path, int flags, int mode) throws NativeException {
        this(
                Libc.open(path, flags, mode),
                name,
                (flags & Libc.O_DIRECT) != 0 ? Integer.MAX_VALUE : MAX_BUFFERED_WRITE_BYTES,
                new OpenFile());
    }

    private NativeFile(int fd, String name, int maxWriteBytes, OpenFile openFile) {
        this.name = name;
        this.fd = new AtomicInteger(fd);
        this.maxWriteBytes = maxWriteBytes;
        this.openFile = openFile;
    }

    /** What has the locks. */
    private static final class OpenFile {
        private final AtomicInteger descriptors = new AtomicInteger(1);
        /** Whether there may be any. */
        private volatile boolean locked;
    }

    /**
     * Opens an existing file or block device.
     *
     * @param flags {@code O_*} of {@link Libc}; {@code O_CLOEXEC} is added
     * @throws NativeException with {@code ENOENT}, {@code EACCES}, {@code EROFS} and so on, naming the path
     */
    public static NativeFile open(Path path, int flags) throws NativeException {
        return new NativeFile(path.toString(), flags, 0);
    }

    /**
     * Creates a file that must not exist yet, open for reading and writing.
     *
     * @param mode permission bits, before the umask
     * @throws NativeException with {@code EEXIST} when there is one
     */
    public static NativeFile create(Path path, int mode) throws NativeException {
        return new NativeFile(path.toString(), Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL, mode);
    }

    /** As {@link #create}. @throws FileAlreadyExistsException when there is one, with the path as its message */
    public static NativeFile createNew(Path path, int mode) throws IOException {
        try {
            return create(path, mode);
        } catch (NativeException e) {
            if (e.errno() == Errno.EEXIST) {
                throw new FileAlreadyExistsException(path.toString());
            }
            throw e;
        }
    }

    /** Another descriptor of the same file, also when its name means another one by now. Flags as {@link #open}. */
    NativeFile reopen(int flags) throws NativeException {
        return new NativeFile(name, "/proc/self/fd/" + fd.get(), flags, 0);
    }

    /** Another descriptor of this very open file, locks included: they are held until the last one is closed. */
    public NativeFile another() throws NativeException {
        NativeFile other = new NativeFile(Libc.duplicate(fd.get(), name), name, maxWriteBytes, openFile);
        openFile.descriptors.incrementAndGet();
        return other;
    }

    /** The descriptor, owned by this object; for ioctls. */
    public int fd() {
        return fd.get();
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int read(ByteBuffer dst, long offset) throws IOException {
        long address = MEMORY.getDirectBufferAddress(dst) + dst.position();
        int wanted = dst.remaining();
        int done = 0;
        while (done < wanted) {
            long n = Libc.pread(fd.get(), address + done, wanted - done, offset + done);
            if (n < 0) {
                throw failure("pread", (int) -n);
            }
            if (n == 0) {
                break;
            }
            done += (int) n;
        }
        dst.position(dst.position() + done);
        return done;
    }

    @Override
    public boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return target.take(fd.get(), offset, lengthBytes);
    }

    /** One {@code pread} into {@code dst}, which is advanced. @return bytes read, perhaps fewer than fit */
    int readOnce(ByteBuffer dst, long offset) throws IOException {
        long address = MEMORY.getDirectBufferAddress(dst) + dst.position();
        long n = Libc.pread(fd.get(), address, dst.remaining(), offset);
        if (n < 0) {
            throw failure("pread", (int) -n);
        }
        dst.position(dst.position() + (int) n);
        return (int) n;
    }

    @Override
    public void write(ByteBuffer src, long offset) throws IOException {
        long address = MEMORY.getDirectBufferAddress(src) + src.position();
        int wanted = src.remaining();
        int done = 0;
        while (done < wanted) {
            int part = Math.min(wanted - done, maxWriteBytes);
            long n = Libc.pwrite(fd.get(), address + done, part, offset + done);
            if (n < 0) {
                throw failure("pwrite", (int) -n);
            }
            done += (int) n;
        }
        src.position(src.limit());
        AtomicLong counter = writtenBehind;
        if (counter != null) {
            noteWritten(counter, wanted);
        }
    }

    private void noteWritten(AtomicLong counter, int lengthBytes) throws IOException {
        long before = counter.getAndAdd(lengthBytes);
        if ((before ^ (before + lengthBytes)) >= WRITEBACK_EVERY_BYTES) {
            // Of several threads one sees to it, the others go on writing.
            check("sync_file_range", Libc.startWriteback(fd.get()));
        }
    }

    @Override
    public void writeBehind() {
        writtenBehind = new AtomicLong();
    }

    @Override
    public void sync() throws IOException {
        check("fdatasync", Libc.fdatasync(fd.get()));
    }

    @Override
    public void punchHole(long offset, long lengthBytes) throws IOException {
        int mode = Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE;
        check("fallocate(PUNCH_HOLE)", Libc.fallocate(fd.get(), mode, offset, lengthBytes));
    }

    @Override
    public void preallocate(long offset, long lengthBytes) throws IOException {
        check("fallocate", Libc.fallocate(fd.get(), 0, offset, lengthBytes));
    }

    @Override
    public long size() throws IOException {
        long end = Libc.seek(fd.get(), 0, Libc.SEEK_END);
        if (end < 0) {
            throw failure("lseek", (int) -end);
        }
        return end;
    }

    @Override
    public void truncate(long sizeBytes) throws IOException {
        check("ftruncate", Libc.ftruncate(fd.get(), sizeBytes));
    }

    @Override
    public long allocatedBytes() throws IOException {
        return status().allocatedBytes();
    }

    @Override
    public long dataBytes(long offset, long lengthBytes) throws IOException {
        long end = offset + lengthBytes;
        long sum = 0;
        long data = seekData(offset);
        while (data < end) {
            long hole = seekHole(data);
            sum += Math.min(hole, end) - data;
            data = seekData(hole);
        }
        return sum;
    }

    @Override
    public long seekData(long offset) throws IOException {
        long found = Libc.seek(fd.get(), offset, Libc.SEEK_DATA);
        return switch ((int) Math.min(found, 0)) {
            case 0 -> found;
            case -Errno.ENXIO -> Long.MAX_VALUE;
            case -Errno.EINVAL -> PositionalFile.super.seekData(offset); // a block device
            default -> throw failure("lseek(SEEK_DATA)", (int) -found);
        };
    }

    @Override
    public long seekHole(long offset) throws IOException {
        long found = Libc.seek(fd.get(), offset, Libc.SEEK_HOLE);
        return switch ((int) Math.min(found, 0)) {
            case 0 -> found;
            case -Errno.ENXIO -> offset; // past the end
            case -Errno.EINVAL -> PositionalFile.super.seekHole(offset); // a block device
            default -> throw failure("lseek(SEEK_HOLE)", (int) -found);
        };
    }

    /** What {@code statx} says of the open file. */
    public FileStatus status() throws NativeException {
        return Libc.statx(fd.get(), name);
    }

    /** An open-file-description lock: unlike a POSIX lock it conflicts within one process, too, and NFS honours it. */
    @Override
    public boolean tryLock(boolean exclusive) throws IOException {
        openFile.locked = true;
        return Libc.tryLock(fd.get(), exclusive, 0, 0, name);
    }

    /** As {@link #tryLock}, of the byte at {@code offset} alone, which the file need not have. */
    public boolean tryLockByte(boolean exclusive, long offset) throws IOException {
        openFile.locked = true;
        return Libc.tryLock(fd.get(), exclusive, offset, 1, name);
    }

    /**
     * Gives up what locks this open file has on any of these bytes.
     *
     * @param lengthBytes 0 for all that follow
     */
    public void unlock(long offset, long lengthBytes) throws IOException {
        Libc.unlock(fd.get(), offset, lengthBytes, name);
    }

    /** True when another open file, of this process or another, has a lock on any of these bytes. */
    public boolean isLocked(long offset, long lengthBytes) throws IOException {
        return Libc.isLocked(fd.get(), offset, lengthBytes, name);
    }

    /**
     * Closes the descriptor; a second call does nothing. Locks end with it even if a process that another thread is about
     * to start has inherited it for the moment.
     */
    @Override
    public void close() throws IOException {
        int open = fd.getAndSet(CLOSED);
        if (open == CLOSED) {
            return;
        }
        try {
            if (openFile.descriptors.decrementAndGet() == 0 && openFile.locked) {
                Libc.unlock(open, 0, 0, name);
            }
        } finally {
            check("close", Libc.close(open));
        }
    }

    private void check(String call, int negativeErrno) throws NativeException {
        if (negativeErrno < 0) {
            throw failure(call, -negativeErrno);
        }
    }

    private NativeException failure(String call, int errno) {
        return new NativeException(call + " " + name, errno);
    }
}
