package io.ucow.sys;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.StampedLock;

/**
 * A file read and written past the page cache, with {@code O_DIRECT}, wherever direct I/O can: offset and length are
 * multiples of what {@code statx} names, 512 bytes as a rule. Memory that is not aligned as the device wants it goes by
 * way of a buffer that is. Other ranges (a journal's records, a guest's parts of a sector, a file's odd end) go through a
 * second, buffered descriptor of the same file.
 *
 * <p>Coherence of the two. Linux writes the dirty pages of a range back before a direct read or write of it, and drops
 * them before and after a direct write; so requests that come one after the other see each other's effect, whichever way
 * they go. What is left is a buffered write that runs <em>while</em> a direct write goes to other bytes of the same page:
 * it may fetch the page from before the direct write, make it dirty, and have it written back later over the new bytes.
 * So the file is cut into regions, each with a lock: direct writes of a region share it, a buffered write has it alone.
 * Reads take no lock: the pages they bring in are clean, and a direct write drops those. A region is no smaller than the
 * largest folio, which the kernel drops, or keeps because a part is dirty, as a whole.
 *
 * <p>Locks, {@code fdatasync} and {@code fallocate} belong to the file, not to the way to it, and use the buffered
 * descriptor.
 *
 * <p>Threading: as {@link PositionalFile}, except that a write of which an end is not aligned waits for others in its
 * region. Read and write allocate nothing unless they wait. Buffers must be direct.
 */
public final class DirectFile implements PositionalFile {
    /** 2 MiB, a huge page. */
    private static final int REGION_SHIFT = 21;
    /** Regions that are this many apart share a lock: the least memory with which strangers hardly ever meet. */
    private static final int LOCKS = 256;
    /** The most that one bounce carries. Regions are multiples of it. */
    private static final int PIECE = 1 << 20;

    private final NativeFile buffered;
    private final NativeFile direct;
    private final int memoryMask;
    private final int offsetMask;
    private final StampedLock[] regions = new StampedLock[LOCKS];

    private DirectFile(NativeFile buffered, NativeFile direct, FileStatus status) {
        this.buffered = buffered;
        this.direct = direct;
        this.memoryMask = status.directMemoryAlign() - 1;
        this.offsetMask = status.directOffsetAlign() - 1;
        for (int i = 0; i < LOCKS; i++) {
            regions[i] = new StampedLock();
        }
    }

    /**
     * Adds direct I/O to an open file and takes it over; when this throws, it stays the caller's.
     *
     * @param access {@link Libc#O_RDONLY} or {@link Libc#O_RDWR}, as {@code file} was opened
     * @throws NativeException {@code EINVAL} if the file system has no direct I/O for this file
     */
    public static DirectFile over(NativeFile file, int access) throws NativeException {
        FileStatus status = file.status();
        if (!isUsable(status.directMemoryAlign()) || !isUsable(status.directOffsetAlign())) {
            throw new NativeException("open(O_DIRECT) " + file.name(), Errno.EINVAL);
        }
        return new DirectFile(file, file.reopen(access | Libc.O_DIRECT), status);
    }

    private static boolean isUsable(int align) {
        return Integer.bitCount(align) == 1 && align > 0 && align <= BufferPool.ALIGNMENT;
    }

    @Override
    public String name() {
        return buffered.name();
    }

    @Override
    public int read(ByteBuffer dst, long offset) throws IOException {
        if (!isAligned(offset, dst.remaining())) {
            return buffered.read(dst, offset);
        }
        int wanted = dst.remaining();
        int done = isAligned(dst) ? direct.readOnce(dst, offset) : readThroughBounce(dst, offset);
        // Short at the end of the file, perhaps within a sector: from there on it cannot be asked for directly.
        return done == wanted ? done : done + buffered.read(dst, offset + done);
    }

    private int readThroughBounce(ByteBuffer dst, long offset) throws IOException {
        int wanted = dst.remaining();
        int done = 0;
        while (done < wanted) {
            int length = Math.min(wanted - done, PIECE);
            BufferPool pool = poolFor(length);
            ByteBuffer bounce = pool.take();
            try {
                int n = direct.readOnce(bounce.limit(length), offset + done);
                dst.put(bounce.flip());
                done += n;
                if (n < length) {
                    break;
                }
            } finally {
                pool.give(bounce);
            }
        }
        return done;
    }

    @Override
    public void write(ByteBuffer src, long offset) throws IOException {
        int end = src.limit();
        try {
            while (src.hasRemaining()) {
                int n = (int) Math.min(end - src.position(), PIECE - (offset & (PIECE - 1)));
                src.limit(src.position() + n);
                writePiece(src, offset);
                src.limit(end);
                offset += n;
            }
        } finally {
            src.limit(end);
        }
    }

    /** Writes what lies within one region. */
    private void writePiece(ByteBuffer src, long offset) throws IOException {
        StampedLock region = regions[(int) (offset >>> REGION_SHIFT) & (LOCKS - 1)];
        boolean aligned = isAligned(offset, src.remaining());
        long stamp = aligned ? region.readLock() : region.writeLock();
        try {
            if (!aligned) {
                buffered.write(src, offset);
            } else if (isAligned(src)) {
                direct.write(src, offset);
            } else {
                writeThroughBounce(src, offset);
            }
        } finally {
            region.unlock(stamp);
        }
    }

    private void writeThroughBounce(ByteBuffer src, long offset) throws IOException {
        BufferPool pool = poolFor(src.remaining());
        ByteBuffer bounce = pool.take();
        try {
            direct.write(bounce.put(src).flip(), offset);
        } finally {
            pool.give(bounce);
        }
    }

    private boolean isAligned(long offset, int lengthBytes) {
        return ((offset | lengthBytes) & offsetMask) == 0;
    }

    private boolean isAligned(ByteBuffer memory) {
        return (Libc.addressOf(memory) + memory.position() & memoryMask) == 0;
    }

    /** The smallest shared buffers that hold {@code bytes}, {@code 1..PIECE}. */
    private static BufferPool poolFor(int bytes) {
        return BufferPool.shared(Integer.SIZE - Integer.numberOfLeadingZeros(bytes - 1));
    }

    @Override
    public void sync() throws IOException {
        buffered.sync();
    }

    @Override
    public void punchHole(long offset, long lengthBytes) throws IOException {
        buffered.punchHole(offset, lengthBytes);
    }

    @Override
    public void preallocate(long offset, long lengthBytes) throws IOException {
        buffered.preallocate(offset, lengthBytes);
    }

    @Override
    public long size() throws IOException {
        return buffered.size();
    }

    @Override
    public void truncate(long sizeBytes) throws IOException {
        buffered.truncate(sizeBytes);
    }

    @Override
    public long allocatedBytes() throws IOException {
        return buffered.allocatedBytes();
    }

    @Override
    public long dataBytes(long offset, long lengthBytes) throws IOException {
        return buffered.dataBytes(offset, lengthBytes);
    }

    @Override
    public long seekData(long offset) throws IOException {
        return buffered.seekData(offset);
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return buffered.seekHole(offset);
    }

    @Override
    public boolean tryLock(boolean exclusive) throws IOException {
        return buffered.tryLock(exclusive);
    }

    /** Closes both descriptors, the one with the lock last. */
    @Override
    public void close() throws IOException {
        try (buffered) {
            direct.close();
        }
    }
}
