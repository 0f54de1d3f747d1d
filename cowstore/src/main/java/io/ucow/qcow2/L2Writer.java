package io.ucow.qcow2;

import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Writes L2 entries: what a {@link PendingLog} has, in few writes, or those of one commit at once. Tells which clusters they
 * named before. Tables are there, and nobody shares them.
 *
 * <p>Threading: {@link #fold} for one thread at a time, which takes the tables' locks; {@link #write} for any that holds
 * them, allocating nothing in steady state.
 */
final class L2Writer {
    /** Binary logarithm of the bytes that are read and written at once, if a table has as many. */
    private static final int WINDOW_BITS = 16;
    /** No place: reads as zeros. */
    private static final long ZEROS = -1;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final FreedClusters freed;
    private final int clusterBits;
    private final int chunkShift;
    /** Binary logarithm of the chunks in a cluster. */
    private final int groupShift;

    private final int entryBytes;
    private final boolean extended;
    /** Whether clusters of data are another file's, and not counted. */
    private final boolean external;
    /** Binary logarithm of a window's chunks. */
    private final int windowShift;

    private final BufferPool buffers;
    /** Window and record of what is folded, one beside the other; of the thread that folds. */
    private long[] keys = new long[64];

    L2Writer(PositionalFile file, Qcow2Image image, ClusterMap map, FreedClusters freed) {
        this.file = file;
        this.image = image;
        this.map = map;
        this.freed = freed;
        this.clusterBits = image.header().clusterBits();
        this.chunkShift = image.geometry().chunkShift();
        this.groupShift = image.subclusterShift();
        this.entryBytes = image.header().l2EntryBytes();
        this.extended = image.header().hasExtendedL2();
        this.external = image.header().hasExternalData();
        int windowBits = Math.min(clusterBits, WINDOW_BITS);
        this.windowShift = windowBits - Integer.numberOfTrailingZeros(entryBytes) + groupShift;
        this.buffers = new BufferPool(1 << windowBits);
    }

    private long windowEnd(long chunk) {
        return ((chunk >>> windowShift) + 1) << windowShift;
    }

    /** Writes what the records {@code from..to-1} of {@code log} say, window by window, each in the records' order. */
    void fold(PendingLog log, long from, long to) throws IOException {
        int count = 0;
        for (long number = from; number < to; number++) {
            if (log.chunk(number) < 0) {
                continue;
            }
            long last = (log.chunk(number) + log.count(number) - 1) >>> windowShift;
            for (long window = log.chunk(number) >>> windowShift; window <= last; window++) {
                if (count + 2 > keys.length) {
                    keys = Arrays.copyOf(keys, 2 * keys.length);
                }
                keys[count++] = window * log.capacity() + (number - from);
            }
        }
        Arrays.sort(keys, 0, count);
        for (int i = 0; i < count; ) {
            long window = keys[i] / log.capacity();
            int end = i + 1;
            while (end < count && keys[end] / log.capacity() == window) {
                end++;
            }
            foldWindow(log, window << windowShift, from, i, end);
            i = end;
        }
    }

    private void foldWindow(PendingLog log, long start, long from, int first, int end) throws IOException {
        long lowest = Long.MAX_VALUE;
        long highest = 0;
        for (int i = first; i < end; i++) {
            long number = from + keys[i] % log.capacity();
            lowest = Math.min(lowest, log.chunk(number));
            highest = Math.max(highest, log.chunk(number) + log.count(number));
        }
        lowest = Math.max(lowest, start);
        highest = Math.min(highest, windowEnd(start));
        ByteBuffer before = take();
        ByteBuffer after = take();
        ReentrantLock lock = map.lockOf(start);
        lock.lock();
        try {
            long place = read(lowest, highest, before, after);
            for (int i = first; i < end; i++) {
                long number = from + keys[i] % log.capacity();
                put(lowest >>> groupShift, before, after, log.chunk(number), log.count(number), log.entry(number));
            }
            file.write(after.position(0), place);
            letGo(before, after);
        } finally {
            lock.unlock();
            give(before);
            give(after);
        }
    }

    /**
     * Writes the L2 entries of a commit within one table, and publishes it. The caller holds the table's lock.
     *
     * @param count 1..{@link Writer#MAX_COMMIT}
     */
    void write(long chunk, int count, long entry) throws IOException {
        ByteBuffer before = take();
        ByteBuffer after = take();
        try {
            long place = read(chunk, chunk + count, before, after);
            put(chunk >>> groupShift, before, after, chunk, count, entry);
            file.write(after.position(0), place);
            // First: whoever lets go of a cluster waits for those alone who have looked it up by then.
            map.publish(chunk, count, entry);
            letGo(before, after);
        } finally {
            give(before);
            give(after);
        }
    }

    private ByteBuffer take() {
        return buffers.take().order(ByteOrder.BIG_ENDIAN);
    }

    private void give(ByteBuffer buffer) {
        buffers.give(buffer.order(ByteOrder.LITTLE_ENDIAN));
    }

    /** Reads the entries of the chunks {@code from..to-1} into both buffers. @return where they are */
    private long read(long from, long to, ByteBuffer before, ByteBuffer after) throws IOException {
        long first = from >>> groupShift;
        int bytes = (int) (((to - 1) >>> groupShift) + 1 - first) * entryBytes;
        long place = map.l2Place(first);
        if (file.read(before.limit(bytes), place) < bytes) {
            throw Qcow2Image.corrupt(image.image(), place, "the file ends within an L2 table");
        }
        after.limit(bytes).put(0, before, 0, bytes);
        return place;
    }

    /**
     * Has those of the chunks be at {@code entry}, and on from there, whose entries are in {@code after}, which begins with
     * that of guest cluster {@code first}.
     */
    private void put(long first, ByteBuffer before, ByteBuffer after, long chunk, int count, long entry) {
        long from = Math.max(chunk, first << groupShift);
        long end = Math.min(chunk + count, (first + after.limit() / entryBytes) << groupShift);
        for (long c = from; c < end; c = ((c >>> groupShift) + 1) << groupShift) {
            long start = c >>> groupShift << groupShift;
            int at = (int) ((c >>> groupShift) - first) * entryBytes;
            long offset = RemapEntry.isZero(entry) ? ZEROS : (RemapEntry.slotOf(entry) + start - chunk) << chunkShift;
            long old = after.getLong(at);
            change(after, at, offset, (int) (c - start), (int) (Math.min(end, start + (1L << groupShift)) - start));
            if (!isSamePlace(old, before.getLong(at))) {
                // What was there at first is let go of when it is known what takes its place.
                letGo(old, after.getLong(at));
            }
        }
    }

    /** Has an L2 entry say that the chunks {@code from..to-1} of its cluster are in the one at {@code offset}, or are {@link #ZEROS}. */
    private void change(ByteBuffer table, int at, long offset, int from, int to) {
        long old = table.getLong(at);
        long now = L2Entry.COPIED | offset;
        if (!extended) {
            if (offset == ZEROS) {
                now = image.header().version() >= 3 ? L2Entry.ZERO : 0;
            }
        } else {
            long bitmap =
                    L2Entry.isCompressed(old) ? L2Entry.bitmap(L2Entry.ALL, 0) : table.getLong(at + L2Entry.BYTES);
            int mask = L2Entry.mask(from, to);
            int allocated = L2Entry.allocated(bitmap) | mask;
            int zeros = L2Entry.zeros(bitmap) & ~mask;
            if (offset == ZEROS) {
                allocated &= ~mask;
                zeros |= mask;
                now = allocated == 0 ? 0 : old;
            }
            table.putLong(at + L2Entry.BYTES, L2Entry.bitmap(allocated, zeros));
        }
        table.putLong(at, now);
    }

    private void letGo(ByteBuffer before, ByteBuffer after) {
        for (int at = 0; at < after.limit(); at += entryBytes) {
            letGo(before.getLong(at), after.getLong(at));
        }
    }

    private void letGo(long old, long now) {
        if (!external && !isSamePlace(old, now)) {
            freed.addAll(old, clusterBits);
        }
    }

    private static boolean isSamePlace(long l2, long other) {
        return l2 == other
                || (!L2Entry.isCompressed(l2)
                        && !L2Entry.isCompressed(other)
                        && L2Entry.offset(l2) == L2Entry.offset(other));
    }
}
