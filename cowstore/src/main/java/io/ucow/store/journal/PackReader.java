package io.ucow.store.journal;

import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.StampedLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads packed chunks. Whole segments are unpacked straight into the reader's buffer; of parts of one, the whole segment is
 * kept for a while, for whoever reads on.
 *
 * <p>What is kept is known by its place in the file. {@link #forget} drops it before that can become somebody else's.
 *
 * <p>Threading: any number of threads, inside sections of the readers' grace period or with the chunk's future. Who wants
 * the very segment that another thread is unpacking waits for it; nobody waits for anything else. Nothing is allocated but
 * by a wait, the first use of a place to keep segments in, and errors.
 */
final class PackReader {
    private static final Logger LOG = LoggerFactory.getLogger(PackReader.class);
    private static final int SECTOR = PackedForm.SECTOR;
    /** The first read of a packed chunk: the header, and as a rule all the rest. */
    private static final int FIRST_READ_BYTES = 32 << 10;
    /** What is kept of unpacked segments, for each device. */
    private static final int KEPT_BYTES = 512 << 10;

    private static final int MIN_LINES = 8;
    /** Bits 56 to 60 of a packed entry are zero, and there are at most sixteen segments. */
    private static final int SEGMENT_SHIFT = 56;

    /** A place for one unpacked segment. */
    private static final class Line {
        final StampedLock lock = new StampedLock();
        /** Entry and segment, 0 for nothing. Guarded by lock. */
        long key;
        /** Guarded by lock; null before the first use. */
        ByteBuffer bytes;
        /** What {@link #key} is about to be, else 0. */
        volatile long loading;
    }

    private final PositionalFile file;
    private final PackedForm form;
    private final int segmentSize;
    private final BufferPool storedBuffers;
    private final BufferPool segmentBuffers;
    private final Line[] lines;
    private final AtomicLong damaged = new AtomicLong();

    PackReader(PositionalFile file, PackedForm form, int chunkShift) {
        this.file = file;
        this.form = form;
        this.segmentSize = 1 << form.segmentShift();
        this.storedBuffers = BufferPool.shared(chunkShift);
        this.segmentBuffers = BufferPool.shared(form.segmentShift());
        this.lines = new Line[Integer.highestOneBit(Math.max(MIN_LINES, KEPT_BYTES / segmentSize))];
        for (int i = 0; i < lines.length; i++) {
            lines[i] = new Line();
        }
    }

    /** Reads that found a packed chunk damaged. */
    long damagedReads() {
        return damaged.get();
    }

    /**
     * Fills {@code dst} from {@code within} of a chunk on, not beyond its end.
     *
     * @throws IOException if what is stored is damaged, of this chunk or not; {@code dst} holds anything then
     */
    void read(long chunk, long entry, int within, ByteBuffer dst) throws IOException {
        ByteBuffer stored = null;
        try {
            while (dst.hasRemaining()) {
                int segment = within >>> form.segmentShift();
                int start = within & (segmentSize - 1);
                int n = Math.min(dst.remaining(), segmentSize - start);
                long key = entry | (long) segment << SEGMENT_SHIFT;
                if (n == segmentSize || !readKept(key, start, n, dst)) {
                    if (stored == null) {
                        stored = loadHeader(chunk, entry);
                    }
                    loadSegment(stored, entry, segment);
                    if (n == segmentSize) {
                        form.unpack(stored, segment, dst, dst.position());
                    } else {
                        unpackPart(stored, segment, key, start, n, dst);
                    }
                }
                dst.position(dst.position() + n);
                within += n;
            }
        } catch (IOException e) {
            throw damaged(chunk, entry, e);
        } finally {
            if (stored != null) {
                storedBuffers.give(stored);
            }
        }
    }

    private IOException damaged(long chunk, long entry, IOException cause) {
        IOException e = new IOException(at(chunk, entry) + cause.getMessage(), cause);
        if (damaged.getAndIncrement() == 0) { // of the others there is the count
            LOG.error("{}; its reads fail, see 'ucow check'", e.getMessage());
        }
        return e;
    }

    private String at(long chunk, long entry) {
        return String.format("%s at 0x%x: packed chunk %d: ", file.name(), RemapEntry.packedOffset(entry), chunk);
    }

    /** Copies from what is kept. @return false if that is not this segment */
    private boolean readKept(long key, int start, int n, ByteBuffer dst) {
        Line line = line(key);
        long stamp = line.lock.tryReadLock();
        if (stamp == 0 && line.loading == key) {
            stamp = line.lock.readLock();
        }
        if (stamp == 0) {
            return false;
        }
        try {
            if (line.key != key) {
                return false;
            }
            dst.put(dst.position(), line.bytes, start, n);
            return true;
        } finally {
            line.lock.unlockRead(stamp);
        }
    }

    /** Unpacks a segment to where it is kept, or aside if somebody uses that for another one just now. */
    private void unpackPart(ByteBuffer stored, int segment, long key, int start, int n, ByteBuffer dst)
            throws IOException {
        Line line = line(key);
        long stamp = line.lock.tryWriteLock();
        if (stamp == 0) {
            ByteBuffer aside = segmentBuffers.take();
            try {
                form.unpack(stored, segment, aside, 0);
                dst.put(dst.position(), aside, start, n);
            } finally {
                segmentBuffers.give(aside);
            }
            return;
        }
        try {
            line.loading = key;
            line.key = 0;
            if (line.bytes == null) {
                line.bytes = BufferPool.allocate(segmentSize);
            }
            form.unpack(stored, segment, line.bytes, 0);
            line.key = key;
            dst.put(dst.position(), line.bytes, start, n);
        } finally {
            line.loading = 0;
            line.lock.unlockWrite(stamp);
        }
    }

    private Line line(long key) {
        return lines[(int) ((key * 0x9E3779B97F4A7C15L) >>> 40) & (lines.length - 1)];
    }

    /** Drops what is kept of a place in the file, of which no reader that is under way knows any more. */
    void forget(long entry) {
        for (int segment = 0; segment < form.segments(); segment++) {
            long key = entry | (long) segment << SEGMENT_SHIFT;
            Line line = line(key);
            long stamp = line.lock.writeLock();
            try {
                if (line.key == key) {
                    line.key = 0;
                }
            } finally {
                line.lock.unlockWrite(stamp);
            }
        }
    }

    /** Reads the beginning of a packed chunk. @return a buffer of which position says how much it has */
    private ByteBuffer loadHeader(long chunk, long entry) throws IOException {
        int bytes = RemapEntry.packedBytes(entry);
        ByteBuffer stored = storedBuffers.take();
        boolean done = false;
        try {
            readFully(stored.limit(Math.min(bytes, FIRST_READ_BYTES)), RemapEntry.packedOffset(entry));
            stored.limit(stored.capacity());
            form.requireHeader(stored, chunk, bytes);
            done = true;
            return stored;
        } finally {
            if (!done) {
                storedBuffers.give(stored);
            }
        }
    }

    /** Reads the bytes of a segment, in their place in {@code stored}, unless that has them. */
    private void loadSegment(ByteBuffer stored, long entry, int segment) throws IOException {
        int has = stored.position();
        int end = form.end(stored, segment);
        if (end <= has) {
            return;
        }
        int from = Math.max(has, form.start(stored, segment) & -SECTOR);
        int to = Math.min(RemapEntry.packedBytes(entry), (end + SECTOR - 1) & -SECTOR);
        readFully(stored.limit(to).position(from), RemapEntry.packedOffset(entry) + from);
        stored.limit(stored.capacity()).position(has);
    }

    private void readFully(ByteBuffer dst, long offset) throws IOException {
        file.read(dst, offset);
        if (dst.hasRemaining()) {
            throw new IOException("the file ends within it");
        }
    }

    /** What is wrong with a packed chunk, null if nothing is. {@code stored} and {@code raw} are scratch, of a chunk's size. */
    String problem(long chunk, long entry, ByteBuffer stored, ByteBuffer raw) {
        int bytes = RemapEntry.packedBytes(entry);
        try {
            readFully(stored.clear().limit(bytes), RemapEntry.packedOffset(entry));
            stored.clear();
            form.requireHeader(stored, chunk, bytes);
            for (int i = 0; i < form.segments(); i++) {
                form.unpack(stored, i, raw, 0);
            }
            return null;
        } catch (IOException e) {
            return at(chunk, entry) + e.getMessage();
        }
    }
}
