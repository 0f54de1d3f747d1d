package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.TreeMap;

/**
 * A sparse file in memory on a disk of limited size: blocks of 4 KiB are taken by writes and preallocation, given back
 * by holes, and when the disk is full a write fails with ENOSPC like a kernel's, part of it done.
 *
 * <p>{@link #close} leaves the content, so that the same object can be opened again. Threading: one lock.
 */
public final class SparseFile implements PositionalFile {
    public static final int BLOCK = 4096;

    private final TreeMap<Long, byte[]> blocks = new TreeMap<>();
    private long size;
    private long limitBytes = Long.MAX_VALUE;

    public SparseFile() {}

    /** A file with this content; blocks of zeros are holes. */
    public SparseFile(byte[] content) {
        for (int at = 0; at < content.length; at += BLOCK) {
            int n = Math.min(BLOCK, content.length - at);
            byte[] block = new byte[BLOCK];
            System.arraycopy(content, at, block, 0, n);
            if (!isZero(block)) {
                blocks.put((long) at / BLOCK, block);
            }
        }
        size = content.length;
    }

    private SparseFile(SparseFile other) {
        other.blocks.forEach((number, block) -> blocks.put(number, block.clone()));
        size = other.size;
    }

    private static boolean isZero(byte[] block) {
        for (byte b : block) {
            if (b != 0) {
                return false;
            }
        }
        return true;
    }

    /** A file of its own with the same content, on a disk without limit. */
    public synchronized SparseFile copy() {
        return new SparseFile(this);
    }

    /** True when both hold the same bytes. */
    public synchronized boolean sameAs(SparseFile other) {
        return size == other.size && contains(other) && other.contains(this);
    }

    private boolean contains(SparseFile other) {
        return other.blocks.entrySet().stream()
                .allMatch(e -> Arrays.equals(e.getValue(), blocks.getOrDefault(e.getKey(), new byte[BLOCK])));
    }

    /** Sets the size of the disk; less than what is in use means that nothing new can be taken. */
    public synchronized void limitAllocationTo(long bytes) {
        limitBytes = bytes;
    }

    /** Fills the disk: not one block more. */
    public synchronized void fillDisk() {
        limitBytes = allocatedBytes();
    }

    /** One byte as it is. */
    public synchronized byte byteAt(long offset) {
        byte[] block = blocks.get(offset / BLOCK);
        return block == null ? 0 : block[(int) (offset % BLOCK)];
    }

    @Override
    public String name() {
        return "/sparse.cow";
    }

    @Override
    public synchronized int read(ByteBuffer dst, long offset) {
        if (offset < 0) {
            throw new AssertionError("read at " + offset);
        }
        int n = (int) Math.max(0, Math.min(dst.remaining(), size - offset));
        for (int done = 0; done < n; ) {
            long at = offset + done;
            int within = (int) (at % BLOCK);
            int step = Math.min(n - done, BLOCK - within);
            byte[] block = blocks.get(at / BLOCK);
            dst.put(block == null ? new byte[BLOCK] : block, within, step);
            done += step;
        }
        return n;
    }

    @Override
    public synchronized void write(ByteBuffer src, long offset) throws IOException {
        if (offset < 0 || offset + src.remaining() < 0) {
            throw new AssertionError("write at " + offset);
        }
        while (src.hasRemaining()) {
            int within = (int) (offset % BLOCK);
            int step = Math.min(src.remaining(), BLOCK - within);
            src.get(take(offset / BLOCK, "pwrite"), within, step);
            offset += step;
            size = Math.max(size, offset);
        }
    }

    private byte[] take(long number, String call) throws NativeException {
        byte[] block = blocks.get(number);
        if (block == null) {
            if (allocatedBytes() + BLOCK > limitBytes) {
                throw new NativeException(call + " " + name(), Errno.ENOSPC);
            }
            block = new byte[BLOCK];
            blocks.put(number, block);
        }
        return block;
    }

    @Override
    public void sync() {}

    @Override
    public synchronized void punchHole(long offset, long lengthBytes) {
        if (offset < 0 || lengthBytes <= 0 || offset + lengthBytes < 0) {
            throw new AssertionError("hole at " + offset + " of " + lengthBytes);
        }
        long end = offset + lengthBytes;
        var touched = blocks.subMap(offset / BLOCK, true, (end - 1) / BLOCK, true);
        touched.entrySet().removeIf(e -> {
            long start = e.getKey() * BLOCK;
            int from = (int) Math.max(0, offset - start);
            int to = (int) Math.min(BLOCK, end - start);
            Arrays.fill(e.getValue(), from, to, (byte) 0);
            return from == 0 && to == BLOCK;
        });
    }

    @Override
    public synchronized void preallocate(long offset, long lengthBytes) throws IOException {
        for (long number = offset / BLOCK; number * BLOCK < offset + lengthBytes; number++) {
            take(number, "fallocate");
        }
        size = Math.max(size, offset + lengthBytes);
    }

    @Override
    public synchronized long size() {
        return size;
    }

    @Override
    public synchronized void truncate(long sizeBytes) {
        if (sizeBytes < size) {
            if (sizeBytes % BLOCK != 0) {
                byte[] last = blocks.get(sizeBytes / BLOCK);
                if (last != null) {
                    Arrays.fill(last, (int) (sizeBytes % BLOCK), BLOCK, (byte) 0);
                }
            }
            blocks.tailMap((sizeBytes + BLOCK - 1) / BLOCK, true).clear();
        }
        size = sizeBytes;
    }

    @Override
    public synchronized long allocatedBytes() {
        return (long) blocks.size() * BLOCK;
    }

    @Override
    public synchronized long dataBytes(long offset, long lengthBytes) {
        return blocks.subMap(offset / BLOCK, (offset + lengthBytes - 1) / BLOCK + 1)
                        .size()
                * (long) BLOCK;
    }

    @Override
    public synchronized long seekData(long offset) {
        Long block = blocks.ceilingKey(offset / BLOCK);
        return block == null ? Long.MAX_VALUE : Math.max(offset, block * BLOCK);
    }

    @Override
    public boolean tryLock(boolean exclusive) {
        return true;
    }

    @Override
    public void close() {}
}
