package io.ucow.qcow2;

import io.ucow.store.GracePeriod;
import io.ucow.store.Zeros;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;

/**
 * Commits that no L2 table has yet: a ring of records within the image, by which the next process in the same boot finds
 * what a killed one acknowledged. Power loss makes all of it void, so nothing in it need ever be synced, and nothing that
 * is not durable is believed. The same records are kept in memory, for who loads an L2 table meanwhile.
 *
 * <p>Record {@code s} lies at place {@code 1 + s mod capacity}. Place 0 is the head: the number of the first record that
 * counts. A record, 32 bytes, big-endian:
 * <pre>
 *    0 u64 number   1, 2, ...; of the head: the first that counts
 *    8 u64 chunk    16 u64 entry, a {@link io.ucow.store.remap.RemapEntry}    24 u32 count of chunks    0 of the head
 *   28 u32 CRC32C of bytes 0..27 and the salt, a number that this ring alone has, as 8 bytes
 * </pre>
 *
 * <p>Threading: {@link #take}, {@link #append} and {@link #remember} run in parallel, all three inside one section of
 * {@link #appends}; {@link #advance} is called by one thread at a time. Appending allocates nothing in steady state.
 */
final class PendingLog implements AutoCloseable {
    /** Returned by {@link #take} when what there is must be written to the L2 tables first. */
    static final long FULL = -1;

    private static final int RECORD = 32;
    private static final int CRC_AT = 28;
    private static final int SALTED = CRC_AT + Long.BYTES;
    /** Longs of a record in memory: the chunk plus one, the entry, the count. */
    private static final int WORDS = 3;

    private static final ThreadLocal<CRC32C> CHECKSUM = ThreadLocal.withInitial(CRC32C::new);

    private final PositionalFile file;
    private final LogExtension place;
    private final int capacity;
    private final SparseLongs ring;
    private final BufferPool buffers = new BufferPool(SALTED);
    private final GracePeriod appends = new GracePeriod();
    private final AtomicLong next = new AtomicLong(1);
    private volatile long head = 1;

    private PendingLog(PositionalFile file, LogExtension place) throws IOException {
        this.file = file;
        this.place = place;
        this.capacity = place.bytes() / RECORD - 1;
        this.ring = new SparseLongs((long) capacity * WORDS);
    }

    /** An empty ring at {@code place}, all of whose bytes can be written. */
    static PendingLog create(PositionalFile file, LogExtension place) throws IOException {
        PendingLog log = new PendingLog(file, place);
        try {
            log.write(1, 0, 0, 0, log.place.offset());
        } catch (IOException e) {
            log.close();
            throw e;
        }
        return log;
    }

    /** The ring that a killed process of this boot left; null if there is none. */
    static PendingLog left(PositionalFile file, Qcow2Image image, UUID bootId) throws IOException {
        LogExtension place = LogExtension.read(file, image);
        if (place == null || !place.bootId().equals(bootId)) {
            return null;
        }
        PendingLog log = new PendingLog(file, place);
        boolean done = false;
        try {
            log.readAll();
            done = true;
            return log;
        } finally {
            if (!done) {
                log.close();
            }
        }
    }

    private void readAll() throws IOException {
        ByteBuffer bytes = ByteBuffer.allocateDirect(place.bytes()).order(ByteOrder.BIG_ENDIAN);
        file.read(bytes, place.offset());
        Zeros.fill(bytes);
        ByteBuffer record = ByteBuffer.allocateDirect(SALTED).order(ByteOrder.BIG_ENDIAN);
        if (!isRecord(bytes, 0, record)) {
            return; // it had not begun
        }
        head = record.getLong(0);
        long end = head;
        for (int at = 1; at <= capacity; at++) {
            if (!isRecord(bytes, at, record)) {
                continue;
            }
            long number = record.getLong(0);
            if (number >= head && number < head + capacity && number % capacity == at - 1) {
                remember(number, record.getLong(8), record.getInt(24), record.getLong(16));
                end = Math.max(end, number + 1);
            }
        }
        next.set(end);
    }

    /** Copies a record out of {@code bytes}. @return whether it is one of this ring */
    private boolean isRecord(ByteBuffer bytes, int at, ByteBuffer record) {
        record.clear().put(0, bytes, at * RECORD, RECORD);
        int found = record.getInt(CRC_AT);
        return record.getLong(0) > 0 && found == checksum(record);
    }

    /** Where it is. */
    LogExtension place() {
        return place;
    }

    /** Sections around an append and its publication. */
    GracePeriod appends() {
        return appends;
    }

    /** The first record that counts. */
    long head() {
        return head;
    }

    /** The number that the next record gets. */
    long next() {
        return next.get();
    }

    /** Records it can hold. */
    int capacity() {
        return capacity;
    }

    /** Records that count. */
    long length() {
        return next.get() - head;
    }

    /** Takes a record's number, which may be left unused. @return {@link #FULL} if there is no room */
    long take() {
        while (true) {
            long number = next.get();
            if (number - head >= capacity) {
                return FULL;
            }
            if (next.compareAndSet(number, number + 1)) {
                return number;
            }
        }
    }

    /** Writes a record: from now on a process that comes after this one finds it. */
    void append(long number, long chunk, int count, long entry) throws IOException {
        write(number, chunk, count, entry, place.offset() + (1 + number % capacity) * RECORD);
    }

    private void write(long number, long chunk, int count, long entry, long at) throws IOException {
        ByteBuffer record = buffers.take().order(ByteOrder.BIG_ENDIAN);
        try {
            record.putLong(0, number).putLong(8, chunk).putLong(16, entry).putInt(24, count);
            record.putInt(CRC_AT, checksum(record));
            file.write(record.limit(RECORD).position(0), at);
        } finally {
            buffers.give(record.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    /** Of a record, behind which it puts the salt. */
    private int checksum(ByteBuffer record) {
        record.putLong(CRC_AT, place.salt());
        CRC32C crc = CHECKSUM.get();
        crc.reset();
        crc.update(record.limit(SALTED).position(0));
        return (int) crc.getValue();
    }

    /** Keeps a record in memory; the caller holds the lock of the chunk's L2 table. */
    void remember(long number, long chunk, int count, long entry) {
        long at = number % capacity * WORDS;
        ring.set(at + 1, entry);
        ring.set(at + 2, count);
        // Last: whoever looks for records of other tables has no lock of this one.
        ring.set(at, chunk + 1);
    }

    /** The first chunk of a record that counts; -1 if its number was left unused. */
    long chunk(long number) {
        return ring.get(number % capacity * WORDS) - 1;
    }

    /** What a record that counts says of its first chunk. */
    long entry(long number) {
        return ring.get(number % capacity * WORDS + 1);
    }

    /** How many chunks a record that counts is of. */
    int count(long number) {
        return (int) ring.get(number % capacity * WORDS + 2);
    }

    /** Drops all records below {@code newHead}, once the L2 tables have them. */
    void advance(long newHead) throws IOException {
        write(newHead, 0, 0, 0, place.offset());
        for (long number = head; number < newHead; number++) {
            ring.set(number % capacity * WORDS, 0);
        }
        head = newHead;
    }

    @Override
    public void close() throws IOException {
        ring.close();
    }
}
