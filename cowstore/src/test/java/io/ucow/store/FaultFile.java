package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;

/**
 * A file in memory that records every write and sync, from which the file can be rebuilt as power loss or the death of
 * the process might leave it at any point of the record.
 *
 * <p>Threading: the record is one sequence; calls from several threads take their places in it.
 */
public final class FaultFile implements PositionalFile {
    /** The unit that a disk writes whole or not at all, unless the file is made with another. */
    public static final int SECTOR = 512;

    /**
     * One recorded call; a hole is zeros, a sync has no data, nor has a cut, which makes the file end at its offset.
     *
     * @param end of what a sync makes durable, which begins at its offset
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    public record Event(long offset, byte[] data, boolean isSync, boolean isCut, long end) {
        /** A write, or a sync of all. */
        public Event(long offset, byte[] data, boolean isSync) {
            this(offset, data, isSync, false, Long.MAX_VALUE);
        }

        @Override
        public String toString() {
            if (isCut) {
                return "cut at 0x" + Long.toHexString(offset);
            }
            return isSync
                    ? "sync of 0x" + Long.toHexString(offset) + " on"
                    : "write of " + data.length + " at 0x" + Long.toHexString(offset);
        }
    }

    private final List<Event> events = new ArrayList<>();
    private final byte[] initial;
    private final int sectorBytes;
    private byte[] content;
    private final Prefix killed = new Prefix();
    private final Unsynced unsynced = new Unsynced();

    /** @param content the file's from now on; whoever gave it leaves it as it is */
    public FaultFile(byte[] content) {
        this(content, SECTOR);
    }

    /** @param sectorBytes what the disk writes whole or not at all */
    public FaultFile(byte[] content, int sectorBytes) {
        this.initial = content;
        this.sectorBytes = sectorBytes;
        this.content = content;
    }

    /** Calls recorded so far. */
    public synchronized int eventCount() {
        return events.size();
    }

    /** A copy of the record. */
    public synchronized List<Event> events() {
        return List.copyOf(events);
    }

    /** The record without those syncs whose index {@code drop} accepts: a program that forgot them. */
    public synchronized FaultFile forgetting(IntPredicate drop) {
        FaultFile other = new FaultFile(initial, sectorBytes);
        for (int i = 0; i < events.size(); i++) {
            Event e = events.get(i);
            // Keeps its place, so that the model's notes stay right.
            other.events.add(e.isSync() && drop.test(i) ? new Event(0, new byte[0], false) : e);
        }
        return other;
    }

    /** The record with each call as {@code change} makes it, in the same places: a program that wrote something else. */
    public synchronized FaultFile replacing(UnaryOperator<Event> change) {
        FaultFile other = new FaultFile(initial, sectorBytes);
        events.forEach(e -> other.events.add(change.apply(e)));
        return other;
    }

    /** The same file for the process that comes after one that died at {@code cut}: nothing more is durable than then. */
    public synchronized FaultFile continuedAt(int cut) {
        FaultFile other = new FaultFile(initial, sectorBytes);
        other.events.addAll(events.subList(0, cut));
        other.content = killedAt(cut);
        return other;
    }

    /** What the process that dies after {@code cut} calls leaves in the page cache. */
    public synchronized byte[] killedAt(int cut) {
        return killed.after(cut).clone();
    }

    /**
     * What power loss after {@code cut} calls may leave: each sector that was written since the last sync holds what it
     * had then or any one of the later writes, whatever the others hold; the size is the synced or a later one. What was
     * cut off may be there again.
     */
    public synchronized byte[] powerLostAt(int cut, Random random) {
        unsynced.advanceTo(cut);
        List<Integer> sizes = unsynced.sizes;
        int size = sizes.get(random.nextInt(4) == 0 ? random.nextInt(sizes.size()) : sizes.size() - 1);
        byte[] left = Arrays.copyOf(unsynced.durable, size);
        // Some runs lose nearly everything, some nearly nothing: uniform coin flips would do neither.
        int keepOf16 = random.nextInt(17);
        unsynced.versions.forEach((sector, candidates) -> {
            if (random.nextInt(16) < keepOf16) {
                byte[] chosen = candidates.get(
                        random.nextBoolean() ? candidates.size() - 1 : random.nextInt(candidates.size()));
                int at = (int) (sector * sectorBytes);
                if (at < left.length) {
                    System.arraycopy(chosen, 0, left, at, Math.min(sectorBytes, left.length - at));
                }
            }
        });
        return left;
    }

    /** The file after some of the calls; asked for more and more of them, it does each once. */
    private final class Prefix {
        private byte[] bytes;
        private int count;

        /** @return to be read until the next call */
        byte[] after(int calls) {
            if (bytes == null || calls < count) {
                bytes = initial.clone();
                count = 0;
            }
            while (count < calls) {
                bytes = apply(bytes, events.get(count++));
            }
            return bytes;
        }
    }

    /** What was written since the last sync before a cut; asked for later and later cuts, it looks at each call once. */
    private final class Unsynced {
        /** All that each sector may hold but what it had at that sync. */
        final TreeMap<Long, List<byte[]>> versions = new TreeMap<>();
        /** All sizes that the file has had since. */
        final List<Integer> sizes = new ArrayList<>();
        /** The file as of that sync. */
        byte[] durable;

        private byte[] bytes;
        private int count;

        void advanceTo(int cut) {
            if (bytes == null || cut < count) {
                count = 0;
                bytes = initial.clone();
                begin();
            }
            while (count < cut) {
                Event e = events.get(count++);
                if (e.isSync() && e.end() == Long.MAX_VALUE) {
                    begin();
                } else if (e.isSync()) {
                    settle(e.offset(), e.end());
                } else {
                    add(e);
                }
            }
        }

        private void begin() {
            durable = bytes.clone();
            versions.clear();
            sizes.clear();
            sizes.add(durable.length);
        }

        private void settle(long from, long end) {
            System.arraycopy(bytes, (int) from, durable, (int) from, (int) (end - from));
            versions.subMap(from / sectorBytes, end / sectorBytes).clear();
        }

        private void add(Event e) {
            int before = bytes.length;
            bytes = apply(bytes, e);
            sizes.add(bytes.length);
            long first = e.offset() / sectorBytes;
            long end = e.isCut() ? before : e.offset() + e.data().length;
            for (long s = first; s * sectorBytes < end && (e.isCut() || e.data().length > 0); s++) {
                int at = (int) Math.min(s * sectorBytes, bytes.length);
                byte[] sector = Arrays.copyOfRange(bytes, at, at + sectorBytes);
                versions.computeIfAbsent(s, k -> new ArrayList<>()).add(sector);
            }
        }
    }

    private static byte[] apply(byte[] bytes, Event e) {
        return e.isCut() ? Arrays.copyOf(bytes, (int) e.offset()) : apply(bytes, e.offset(), e.data());
    }

    private static byte[] apply(byte[] bytes, long offset, byte[] data) {
        int end = (int) offset + data.length;
        byte[] target = end > bytes.length && data.length > 0 ? Arrays.copyOf(bytes, end) : bytes;
        System.arraycopy(data, 0, target, (int) offset, data.length);
        return target;
    }

    private void record(long offset, byte[] data) {
        events.add(new Event(offset, data, false));
        if (content == initial) {
            content = initial.clone();
        }
        content = apply(content, offset, data);
    }

    @Override
    public String name() {
        return "fault.cow";
    }

    @Override
    public synchronized int read(ByteBuffer dst, long offset) {
        int n = (int) Math.max(0, Math.min(dst.remaining(), content.length - offset));
        if (n > 0) {
            dst.put(content, (int) offset, n);
        }
        return n;
    }

    @Override
    public synchronized void write(ByteBuffer src, long offset) {
        byte[] data = new byte[src.remaining()];
        src.get(data);
        record(offset, data);
    }

    @Override
    public synchronized void sync() {
        events.add(new Event(0, new byte[0], true));
    }

    @Override
    public synchronized void punchHole(long offset, long lengthBytes) {
        int end = (int) Math.min(content.length, offset + lengthBytes);
        if (offset < end) {
            record(offset, new byte[end - (int) offset]);
        }
    }

    @Override
    public synchronized void preallocate(long offset, long lengthBytes) {
        truncate(Math.max(content.length, offset + lengthBytes));
    }

    @Override
    public synchronized long size() {
        return content.length;
    }

    @Override
    public synchronized void truncate(long sizeBytes) {
        if (sizeBytes > content.length) {
            record(sizeBytes - 1, new byte[1]);
        } else if (sizeBytes < content.length) {
            Event e = new Event(sizeBytes, new byte[0], false, true, sizeBytes);
            events.add(e);
            content = apply(content, e);
        }
    }

    @Override
    public long allocatedBytes() {
        return size();
    }

    @Override
    public long dataBytes(long offset, long lengthBytes) {
        return 0; // neither keeps holes
    }

    @Override
    public boolean tryLock(boolean exclusive) {
        return true;
    }

    @Override
    public void close() {}

    /**
     * A region of this file as a file of its own, of a fixed length: it has its own syncs, and its calls their places in the
     * one record. So a store of several files is cut at every call.
     *
     * @param from where it begins, and {@code end} where it ends: of sectors, within this file
     */
    public PositionalFile part(String name, long from, long end) {
        return new Part(name, from, end);
    }

    private final class Part implements PositionalFile {
        private final String name;
        private final long from;
        private final long end;

        Part(String name, long from, long end) {
            this.name = name;
            this.from = from;
            this.end = end;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public int read(ByteBuffer dst, long offset) {
            int rest = (int) Math.max(0, Math.min(dst.remaining(), size() - offset));
            int limit = dst.limit();
            int n = FaultFile.this.read(dst.limit(dst.position() + rest), from + offset);
            dst.limit(limit);
            return n;
        }

        @Override
        public void write(ByteBuffer src, long offset) {
            if (offset + src.remaining() > size()) {
                throw new IllegalStateException(name + " takes more than its part of the file");
            }
            FaultFile.this.write(src, from + offset);
        }

        @Override
        public void sync() {
            synchronized (FaultFile.this) {
                events.add(new Event(from, new byte[0], true, false, end));
            }
        }

        @Override
        public void punchHole(long offset, long lengthBytes) {
            FaultFile.this.punchHole(from + offset, Math.max(0, Math.min(lengthBytes, size() - offset)));
        }

        @Override
        public void preallocate(long offset, long lengthBytes) {}

        @Override
        public long size() {
            return end - from;
        }

        /** What is past an end reads as zeros once the file is longer again. */
        @Override
        public void truncate(long sizeBytes) {
            punchHole(sizeBytes, size());
        }

        @Override
        public long allocatedBytes() {
            return size();
        }

        @Override
        public long dataBytes(long offset, long lengthBytes) {
            return 0;
        }

        @Override
        public boolean tryLock(boolean exclusive) {
            return true;
        }

        @Override
        public void close() {}
    }
}
