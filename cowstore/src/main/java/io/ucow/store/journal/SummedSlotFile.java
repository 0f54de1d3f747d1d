package io.ucow.store.journal;

import io.ucow.store.ChecksummedStore.BlockState;
import io.ucow.store.ChecksummedStore.BlockVisitor;
import io.ucow.store.DamagedBlockException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What chunks have in their slots, with a checksum of each block of 4 KiB: a write notes it, a read compares.
 *
 * <p>Block and checksum cannot change in one step. Whoever changes them holds the lock of their piece of the file from
 * before the first to after the second. A read takes no lock. If it finds another checksum than expected, a write is the
 * usual reason: it reads once more, with the lock, and believes only that.
 *
 * <p>Of a block that a write covers in part, the rest is read and compared first; were it not, the new checksum would make
 * good what was damaged. A block of which no checksum is known stays so until it is written as a whole, or scrubbed.
 *
 * <p>Threading: any number of threads. Who holds locks waits for I/O, and for locks of a higher number, alone. Nothing is
 * allocated but by errors and by a thread's first request.
 */
final class SummedSlotFile extends SlotFile {
    private static final Logger LOG = LoggerFactory.getLogger(SummedSlotFile.class);
    private static final int BLOCK = SumTable.BLOCK_BYTES;
    /** Bytes in a row that share a lock. */
    private static final int LOCKED_SHIFT = 16;

    private static final int LOCKS = Long.SIZE;
    /** A checksum of 0 is noted as this one, for 0 stands for unknown. */
    private static final int INSTEAD_OF_ZERO = 1;

    private static final ThreadLocal<CRC32C> CHECKSUMS = ThreadLocal.withInitial(CRC32C::new);
    /** Blocks of which the checksums are fetched at once: those of the largest request. */
    private static final int MANY_BLOCKS = 256;

    private static final ThreadLocal<long[]> EXPECTED = ThreadLocal.withInitial(() -> new long[MANY_BLOCKS / 2 + 1]);
    private static final int SUM_OF_ZEROS = sum(ByteBuffer.allocate(BLOCK), 0);

    private final SumTable sums;
    private final BufferPool blocks = BufferPool.shared(SumTable.BLOCK_SHIFT);
    private final ReentrantLock[] locks = new ReentrantLock[LOCKS];
    private final AtomicLong damaged = new AtomicLong();

    SummedSlotFile(PositionalFile file, SumTable sums, boolean keepsSpace) {
        super(file, keepsSpace);
        this.sums = sums;
        for (int i = 0; i < locks.length; i++) {
            locks[i] = new ReentrantLock();
        }
    }

    /** The checksum of the block at {@code at}; never {@link SumTable#UNKNOWN}. */
    private static int sum(ByteBuffer buffer, int at) {
        return sum(buffer, at, CHECKSUMS.get());
    }

    /** The same for who has many: {@code crc} is this thread's, which takes a third as long to find as to use. */
    private static int sum(ByteBuffer buffer, int at, CRC32C crc) {
        int position = buffer.position();
        int limit = buffer.limit();
        int sum = sumOfNext(buffer.limit(at + BLOCK).position(at), crc);
        buffer.limit(limit).position(position);
        return sum;
    }

    /** The same of the block that {@code buffer} has from its position to its limit, where its position is then. */
    private static int sumOfNext(ByteBuffer buffer, CRC32C crc) {
        crc.reset();
        crc.update(buffer);
        int sum = (int) crc.getValue();
        return sum == SumTable.UNKNOWN ? INSTEAD_OF_ZERO : sum;
    }

    @Override
    void read(ByteBuffer dst, long offset) throws IOException {
        int limit = dst.limit();
        int start = dst.position();
        try {
            while (dst.position() < limit) {
                long at = offset + dst.position() - start;
                int within = (int) at & (BLOCK - 1);
                int left = limit - dst.position();
                if (within == 0 && left >= BLOCK) {
                    readBlocks(dst.limit(dst.position() + (left & -BLOCK)), at, start);
                } else {
                    readPart(dst.limit(dst.position() + Math.min(left, BLOCK - within)), at, start);
                }
                dst.limit(limit);
            }
        } finally {
            dst.limit(limit);
        }
    }

    private void readBlocks(ByteBuffer dst, long offset, int start) throws IOException {
        int from = dst.position();
        int end = dst.limit();
        super.read(dst, offset);
        CRC32C crc = CHECKSUMS.get();
        long[] expected = EXPECTED.get();
        for (int at = from; at < end; at += MANY_BLOCKS * BLOCK) {
            long first = (offset + at - from) >>> SumTable.BLOCK_SHIFT;
            int count = Math.min(MANY_BLOCKS, (end - at) >>> SumTable.BLOCK_SHIFT);
            sums.copy(first, count, expected);
            dst.position(at);
            for (long block = first; block < first + count; block++) {
                int blockAt = dst.position();
                dst.limit(blockAt + BLOCK);
                int sum = SumTable.get(expected, first, block);
                if (sum == SumTable.UNKNOWN) {
                    dst.position(blockAt + BLOCK);
                } else if (sumOfNext(dst, crc) != sum) {
                    readLocked(block, dst, blockAt, blockAt - start);
                }
            }
            dst.limit(end);
        }
        dst.position(end);
    }

    /** Reads a part of one block, by way of the whole of it where there is anything to compare. */
    private void readPart(ByteBuffer dst, long offset, int start) throws IOException {
        long block = offset >>> SumTable.BLOCK_SHIFT;
        int expected = sums.get(block);
        if (expected == SumTable.UNKNOWN) {
            super.read(dst, offset);
            return;
        }
        int within = (int) offset & (BLOCK - 1);
        ByteBuffer whole = blocks.take();
        try {
            super.read(whole, offset - within);
            if (sum(whole, 0) != expected) {
                readLocked(block, whole, 0, dst.position() - start - within);
            }
            dst.put(dst.position(), whole, within, dst.remaining());
            dst.position(dst.limit());
        } finally {
            blocks.give(whole);
        }
    }

    /**
     * Reads a block while nobody changes it.
     *
     * @param at where in {@code dst}, the position of which stays
     * @param distance as in {@link DamagedBlockException}
     */
    private void readLocked(long block, ByteBuffer dst, int at, int distance) throws IOException {
        int position = dst.position();
        int limit = dst.limit();
        long locked = lock(block, block + 1);
        try {
            super.read(dst.limit(at + BLOCK).position(at), block << SumTable.BLOCK_SHIFT);
            requireSum(block, dst, at, distance);
        } finally {
            unlock(locked);
            dst.limit(limit).position(position);
        }
    }

    private void requireSum(long block, ByteBuffer whole, int at, int distance) throws DamagedBlockException {
        int expected = sums.get(block);
        int found = sum(whole, at);
        if (expected != SumTable.UNKNOWN && found != expected) {
            throw damaged(new DamagedBlockException(
                    file.name() + " at 0x" + Long.toHexString(block << SumTable.BLOCK_SHIFT),
                    distance,
                    found,
                    expected));
        }
    }

    private DamagedBlockException damaged(DamagedBlockException e) {
        if (damaged.getAndIncrement() == 0) { // of the others there is the count
            LOG.error("{}; its reads fail, see 'ucow scrub'", e.getMessage());
        }
        return e;
    }

    /** What nobody looks at nobody can vouch for. */
    @Override
    boolean splice(long offset, int lengthBytes, SpliceTarget target) {
        return false;
    }

    @Override
    void write(ByteBuffer src, long offset) throws IOException {
        change(offset, src.remaining(), src);
    }

    @Override
    void zero(long offset, int lengthBytes) throws IOException {
        change(offset, lengthBytes, null);
    }

    /** Writes {@code src}, or zeros if that is null. */
    private void change(long offset, int length, ByteBuffer src) throws IOException {
        if (length == 0) {
            return;
        }
        long end = offset + length;
        long first = offset >>> SumTable.BLOCK_SHIFT;
        long last = (end - 1) >>> SumTable.BLOCK_SHIFT;
        long locked = lock(first, last + 1);
        boolean done = false;
        try {
            // In this order: what is damaged must be found before anything is changed.
            int sumOfFirst = isWhole(first, offset, end) ? SumTable.UNKNOWN : merged(first, offset, end, src);
            int sumOfLast =
                    first == last || isWhole(last, offset, end) ? SumTable.UNKNOWN : merged(last, offset, end, src);
            int position = src == null ? 0 : src.position();
            try {
                if (src == null) {
                    super.zero(offset, length);
                } else {
                    super.write(src, offset);
                }
                CRC32C crc = CHECKSUMS.get();
                for (long block = first; block <= last; block++) {
                    if (isWhole(block, offset, end)) {
                        int at = position + (int) ((block << SumTable.BLOCK_SHIFT) - offset);
                        sums.set(block, src == null ? SUM_OF_ZEROS : sum(src, at, crc));
                    } else {
                        sums.set(block, block == first ? sumOfFirst : sumOfLast);
                    }
                }
                done = true;
            } finally {
                if (!done) {
                    // Nobody knows how far it got.
                    sums.forget(first, last + 1);
                }
            }
            sums.changed(first, last + 1);
        } finally {
            unlock(locked);
        }
    }

    private static boolean isWhole(long block, long offset, long end) {
        long start = block << SumTable.BLOCK_SHIFT;
        return offset <= start && start + BLOCK <= end;
    }

    /** What the checksum of a block will be of which the bytes {@code offset..end-1} of the file are about to change. */
    private int merged(long block, long offset, long end, ByteBuffer src) throws IOException {
        if (sums.get(block) == SumTable.UNKNOWN) {
            return SumTable.UNKNOWN;
        }
        long start = block << SumTable.BLOCK_SHIFT;
        int from = (int) (Math.max(offset, start) - start);
        int to = (int) (Math.min(end, start + BLOCK) - start);
        ByteBuffer whole = blocks.take();
        try {
            super.read(whole, start);
            requireSum(block, whole, 0, (int) (start - offset));
            if (src == null) {
                Zeros.fill(whole.limit(to).position(from));
                whole.clear();
            } else {
                whole.put(from, src, src.position() + (int) (start + from - offset), to - from);
            }
            return sum(whole, 0);
        } finally {
            blocks.give(whole);
        }
    }

    /**
     * Compares whole blocks with their checksums, and notes those that were not known.
     *
     * @param scratch has room for {@code lengthBytes}
     */
    void scrub(long offset, int lengthBytes, ByteBuffer scratch, BlockVisitor visitor) throws IOException {
        long first = offset >>> SumTable.BLOCK_SHIFT;
        long end = (offset + lengthBytes) >>> SumTable.BLOCK_SHIFT;
        long locked = lock(first, end);
        try {
            super.read(scratch.clear().limit(lengthBytes), offset);
            for (long block = first; block < end; block++) {
                int at = (int) (block - first) << SumTable.BLOCK_SHIFT;
                int expected = sums.get(block);
                int found = sum(scratch, at);
                if (expected == SumTable.UNKNOWN) {
                    sums.set(block, found);
                    sums.changed(block, block + 1);
                    visitor.block(at, BlockState.LEARNED);
                } else {
                    visitor.block(at, found == expected ? BlockState.SOUND : BlockState.DAMAGED);
                }
            }
        } finally {
            unlock(locked);
        }
    }

    /** Makes the checksums of whole blocks unknown. */
    void forget(long offset, int lengthBytes) {
        long first = offset >>> SumTable.BLOCK_SHIFT;
        long end = (offset + lengthBytes) >>> SumTable.BLOCK_SHIFT;
        long locked = lock(first, end);
        try {
            sums.forget(first, end);
        } finally {
            unlock(locked);
        }
    }

    @Override
    long damagedReads() {
        return damaged.get();
    }

    /** Locks the blocks {@code first..end-1}, the lock with the lowest number first. @return what {@link #unlock} takes */
    private long lock(long first, long end) {
        long from = first >>> (LOCKED_SHIFT - SumTable.BLOCK_SHIFT);
        long to = (end - 1) >>> (LOCKED_SHIFT - SumTable.BLOCK_SHIFT);
        long mask = to - from >= LOCKS ? -1 : Long.rotateLeft(-1L >>> (LOCKS - 1 - (to - from)), (int) from);
        for (long left = mask; left != 0; left &= left - 1) {
            locks[Long.numberOfTrailingZeros(left)].lock();
        }
        return mask;
    }

    private void unlock(long mask) {
        for (long left = mask; left != 0; left &= left - 1) {
            locks[Long.numberOfTrailingZeros(left)].unlock();
        }
    }
}
