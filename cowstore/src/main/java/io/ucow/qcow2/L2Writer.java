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
 * Writes what a {@link PendingLog} has to the L2 tables, in few writes, and tells which clusters they named before. Tables
 * are there, nobody shares them, and entries are not extended ones.
 *
 * <p>Threading: for one thread at a time, which takes the tables' locks.
 */
final class L2Writer {
    /** Binary logarithm of the bytes that are read and written at once, if a table has as many. */
    private static final int WINDOW_BITS = 16;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final FreedClusters freed;
    private final int clusterBits;
    /** Binary logarithm of a window's entries. */
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
        this.windowShift = Math.min(clusterBits, WINDOW_BITS) - 3;
        this.buffers = new BufferPool(L2Entry.BYTES << windowShift);
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
        ReentrantLock lock = map.lockOf(start);
        lock.lock();
        try {
            Window window = new Window(lowest, (int) (Math.min(highest, windowEnd(start)) - lowest));
            try {
                for (int i = first; i < end; i++) {
                    long number = from + keys[i] % log.capacity();
                    window.put(log.chunk(number), log.count(number), log.entry(number));
                }
                window.write();
            } finally {
                window.close();
            }
        } finally {
            lock.unlock();
        }
    }

    /** Adjacent entries of a table, read to be written back. */
    private final class Window {
        private final long start;
        private final long place;
        private final ByteBuffer before = buffers.take().order(ByteOrder.BIG_ENDIAN);
        private final ByteBuffer after = buffers.take().order(ByteOrder.BIG_ENDIAN);

        Window(long chunk, int count) throws IOException {
            start = chunk;
            place = map.l2Place(chunk);
            before.limit(count * L2Entry.BYTES);
            after.limit(count * L2Entry.BYTES);
            if (file.read(before, place) < count * L2Entry.BYTES) {
                throw Qcow2Image.corrupt(image.image(), place, "the file ends within an L2 table");
            }
            after.put(0, before, 0, count * L2Entry.BYTES);
        }

        /** Has those of the chunks that are in the window be at {@code entry}, and on from there. */
        void put(long chunk, int count, long entry) {
            long to = Math.min(chunk + count, start + (after.limit() >> 3));
            for (long c = Math.max(chunk, start); c < to; c++) {
                int at = (int) (c - start) << 3;
                long old = after.getLong(at);
                long now = l2Entry(entry, c - chunk);
                // What was there at first is freed when it is known what takes its place.
                if (old != now && old != before.getLong(at)) {
                    freed.addAll(old, clusterBits);
                }
                after.putLong(at, now);
            }
        }

        void write() throws IOException {
            for (int at = 0; at < after.limit(); at += L2Entry.BYTES) {
                if (before.getLong(at) != after.getLong(at)) {
                    freed.addAll(before.getLong(at), clusterBits);
                }
            }
            file.write(after.position(0), place);
        }

        void close() {
            buffers.give(before.order(ByteOrder.LITTLE_ENDIAN));
            buffers.give(after.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private long l2Entry(long entry, long i) {
        return RemapEntry.isZero(entry) ? L2Entry.ZERO : L2Entry.COPIED | (RemapEntry.slotOf(entry) + i) << clusterBits;
    }
}
