package io.ucow.store.journal;

import io.ucow.store.GracePeriod;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;

/**
 * The ring of records since the last checkpoint. A record with sequence number {@code s} lives at position {@code s mod
 * capacity}; numbers are handed out without a lock and records written by plain positional writes, so the ring can have
 * holes where a writer died or failed. That is harmless: a commit is acknowledged only after its own record is written,
 * and a barrier names the number below which everything was written, and synced, before the barrier itself.
 *
 * <p>A session that does not simply continue one killed in this boot starts {@code capacity} numbers further on, so
 * records that an earlier one left in the ring, trusted or not, are never taken for records of this one.
 *
 * <p>Threading: {@link #append} runs in parallel, inside a section of {@link #appends}; {@link #barrier} likewise.
 * {@link #advanceHead} is called by one checkpoint at a time. Appending allocates nothing in steady state.
 */
final class Journal {
    /** Returned by {@link #append} when a checkpoint must make room first. */
    static final long FULL = -1;
    /** Records kept back for barriers: remaps stop first, and without remaps no further barrier is needed. */
    private static final int BARRIER_RESERVE = 16;

    private final PositionalFile file;
    private final long offset;
    private final long capacity;
    private final byte[] uuid;
    private final BufferPool buffers = new BufferPool(JournalRecord.SIZE);
    private final ThreadLocal<CRC32C> checksums = ThreadLocal.withInitial(CRC32C::new);
    private final GracePeriod appends = new GracePeriod();
    private final AtomicLong next;
    private final AtomicLong lastRemap;
    private volatile long head;

    /**
     * @param head first sequence number that the map on disk does not include
     * @param next first sequence number to use, above that of every record in the ring
     * @param lastRemap number of the last remap in the ring, -1 when there is none
     */
    Journal(PositionalFile file, Superblock superblock, long head, long next, long lastRemap) {
        this.file = file;
        this.offset = superblock.journalOffset();
        this.capacity = superblock.journalCapacity();
        this.uuid = Superblock.bytes(superblock.uuid());
        this.next = new AtomicLong(next);
        this.lastRemap = new AtomicLong(lastRemap);
        this.head = head;
    }

    /** Continues another session's ring; before the first append. Parameters as in the constructor. */
    void resume(long oldHead, long oldNext) {
        head = oldHead;
        next.set(oldNext);
    }

    /** Sections around append and publication; a grace period means that all records so far are written and visible. */
    GracePeriod appends() {
        return appends;
    }

    /** The number the next record will get: every acknowledged commit has a lower one. */
    long next() {
        return next.get();
    }

    /** The highest number of a remap in the ring, an earlier session's included; -1 when there is none. */
    long lastRemap() {
        return lastRemap.get();
    }

    /** Records that no checkpoint has folded in yet, holes included. */
    long length() {
        return next.get() - head;
    }

    /** Records the ring can hold. */
    long capacity() {
        return capacity;
    }

    /**
     * Writes a remap record.
     *
     * @param reserve records to leave free for others, {@code >= 0}
     * @return its sequence number, or {@link #FULL} with nothing written
     */
    long append(long chunk, int count, long entry, long reserve) throws IOException {
        long seq = take(reserve + BARRIER_RESERVE);
        if (seq != FULL) {
            write(JournalRecord.REMAP, seq, chunk, count, entry);
            long last = lastRemap.get();
            while (last < seq && !lastRemap.compareAndSet(last, seq)) {
                last = lastRemap.get();
            }
        }
        return seq;
    }

    /** Writes a barrier. @return false with nothing written when there is no room even in the reserve */
    boolean barrier(long covers) throws IOException {
        long seq = take(0);
        if (seq == FULL) {
            return false;
        }
        write(JournalRecord.BARRIER, seq, 0, 0, covers);
        return true;
    }

    /**
     * Writes an overwrite, which counts once it is durable, whether a barrier covers it or not.
     *
     * @param region the first of {@code count} regions, {@code 0 <= region < MAX_REGIONS}
     * @param reserve records to leave free for others, {@code >= 0}
     * @return false with nothing written when there is no room
     */
    boolean overwrite(long region, int count, long reserve) throws IOException {
        long seq = take(reserve);
        if (seq == FULL) {
            return false;
        }
        write(JournalRecord.OVERWRITE, seq, region, count, 0);
        return true;
    }

    /** Whether a remap that leaves {@code reserve} records free would find room now. */
    boolean hasRoom(long reserve) {
        return length() < capacity - reserve - BARRIER_RESERVE;
    }

    private long take(long reserve) {
        while (true) {
            long seq = next.get();
            if (seq - head >= capacity - reserve) {
                return FULL;
            }
            if (next.compareAndSet(seq, seq + 1)) {
                return seq;
            }
        }
    }

    private void write(int type, long seq, long chunk, int count, long value) throws IOException {
        ByteBuffer record = buffers.take();
        try {
            CRC32C salt = checksums.get();
            salt.reset();
            salt.update(uuid);
            JournalRecord.encode(record, 0, salt, type, seq, chunk, count, value);
            file.write(record, offset + seq % capacity * JournalRecord.SIZE);
        } finally {
            buffers.give(record);
        }
    }

    /** Gives the room of all records below {@code newHead} back, once the map on disk includes them. */
    void advanceHead(long newHead) {
        head = newHead;
    }
}
