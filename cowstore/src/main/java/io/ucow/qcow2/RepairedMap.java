package io.ucow.qcow2;

import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;

/**
 * The tables of an image as they are to be: those that differ from what they were, and all refcounts, are written past the end
 * of the file. The old ones stay, and count as free.
 *
 * <p>Threading: for one thread.
 */
final class RepairedMap implements AutoCloseable {
    /** Only a table's cluster, and so at most one for each that there is, moves; refcounts are less than that. */
    private static final int MOST_GROWTH = 4, MORE_CLUSTERS = 1 << 16;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final int clusterBits;
    private final MetadataWalk walk;
    private final Qcow2Salvage salvage;
    /** What refers to each cluster. */
    private final SparseLongs counts;
    /** The first cluster after all that is written. */
    private long end;
    /** Where tables have gone, by where they were. */
    private final Map<Long, Long> moved = new HashMap<>();
    /** Where L1 tables have gone, by their number. */
    private final Map<Integer, Long> movedL1 = new HashMap<>();

    RepairedMap(PositionalFile file, Qcow2Image image, MetadataWalk walk, Qcow2Salvage salvage) throws NativeException {
        this.file = file;
        this.image = image;
        this.header = image.header();
        this.clusterBits = header.clusterBits();
        this.walk = walk;
        this.salvage = salvage;
        this.end = walk.clusters();
        this.counts = new SparseLongs(MOST_GROWTH * walk.clusters() + MORE_CLUSTERS);
    }

    /**
     * Writes all of it, not durably.
     *
     * @param old the header
     * @return the header that refers to it, marked as corrupt where it can be
     */
    ByteBuffer write(ByteBuffer old) throws IOException {
        boolean keepsBitmaps = salvage.keepsBitmaps();
        walk.run(new Count(keepsBitmaps));
        Rewrite rewrite = new Rewrite();
        walk.run(rewrite);
        rewrite.finishL1();
        ByteBuffer fields = ByteBuffer.allocateDirect(old.capacity()).put(old.clear());
        if (movedL1.containsKey(0)) {
            fields.putLong(Header.L1_TABLE_OFFSET_AT, movedL1.remove(0));
        }
        if (!movedL1.isEmpty()) {
            fields.putLong(Header.SNAPSHOTS_OFFSET_AT, moveSnapshotTable());
        }
        if (header.nbSnapshots() == 0 && header.hasOddSnapshotTable()) {
            fields.putLong(Header.SNAPSHOTS_OFFSET_AT, 0);
        }
        RefcountRebuild.Table table = new RefcountRebuild(file, image).write(counts, end);
        fields.putLong(Header.REFCOUNT_TABLE_OFFSET_AT, table.offset());
        fields.putInt(Header.REFCOUNT_TABLE_CLUSTERS_AT, table.clusters());
        if (header.version() >= 3) {
            fields.putLong(Header.INCOMPATIBLE_AT, header.incompatibleFeatures() | Header.CORRUPT);
            if (!keepsBitmaps) {
                fields.putLong(Header.AUTOCLEAR_AT, header.autoclearFeatures() & ~Header.BITMAPS);
            }
        }
        return fields;
    }

    private void count(long first, long last) {
        for (long cluster = first; cluster <= last; cluster++) {
            counts.set(cluster, counts.get(cluster) + 1);
        }
    }

    /** Counts what is kept. */
    private final class Count implements MetadataWalk.Visitor {
        private final boolean keepsBitmaps;

        Count(boolean keepsBitmaps) {
            this.keepsBitmaps = keepsBitmaps;
        }

        @Override
        public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) {
            if (area == MetadataWalk.Area.BITMAPS && !keepsBitmaps) {
                return false;
            }
            if (bytes != 0) {
                count(offset >>> clusterBits, (offset + bytes - 1) >>> clusterBits);
            }
            return true;
        }

        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) {
            boolean kept = salvage.keeps(l1, index, entry);
            if (kept) {
                count(L1Entry.offset(entry) >>> clusterBits, L1Entry.offset(entry) >>> clusterBits);
            }
            return kept;
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2) {
            salvage.mend(l2);
            for (int i = 0; i < l2.size(); i++) {
                if (walk.refers(l2.entry(i))) {
                    count(
                            L2Entry.firstCluster(l2.entry(i), clusterBits),
                            L2Entry.lastCluster(l2.entry(i), clusterBits));
                }
            }
        }

        @Override
        public void damagedBitmaps(String what) {}
    }

    /** Writes what changes. One L1 table comes after another, the disk's first. */
    private final class Rewrite extends Qcow2Salvage.Tables {
        private MetadataWalk.L1Table current;
        /** Of the current table; null while it has not changed. */
        private ByteBuffer changed;

        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) throws IOException {
            if (current == null || current.number() != l1.number()) {
                finishL1();
                current = l1;
            }
            if (!salvage.keeps(l1, index, entry)) {
                set(index, 0);
                return false;
            }
            if (moved.containsKey(L1Entry.offset(entry))) {
                refer(index, entry, moved.get(L1Entry.offset(entry)));
                return false;
            }
            return true;
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2)
                throws IOException {
            boolean mended = salvage.mend(l2);
            boolean changes = (l1.isActive() && setCopied(l2)) || mended;
            long to = offset;
            if (changes) {
                to = end << clusterBits;
                file.write(l2.bytes(), to);
                counts.set(end, counts.get(offset >>> clusterBits));
                counts.set(offset >>> clusterBits, 0);
                moved.put(offset, to);
                end++;
            }
            refer(index, l1Entry(index), to);
        }

        private boolean setCopied(MetadataWalk.L2Table l2) {
            boolean changes = false;
            for (int i = 0; i < l2.size(); i++) {
                long entry = l2.entry(i);
                if (L2Entry.isCompressed(entry) || L2Entry.offset(entry) == 0) {
                    continue;
                }
                boolean sole = header.hasExternalData() || counts.get(L2Entry.offset(entry) >>> clusterBits) == 1;
                if (sole != L2Entry.isCopied(entry)) {
                    l2.set(i, entry ^ L2Entry.COPIED, l2.bitmap(i));
                    changes = true;
                }
            }
            return changes;
        }

        private long l1Entry(int index) throws IOException {
            return Qcow2Image.readAt(file, current.offset() + (long) index * L1Entry.BYTES, L1Entry.BYTES)
                    .getLong(0);
        }

        private void refer(int index, long entry, long offset) throws IOException {
            boolean copied = current.isActive() ? counts.get(offset >>> clusterBits) == 1 : L1Entry.isCopied(entry);
            set(index, offset | (copied ? L1Entry.COPIED : 0));
        }

        private void set(int index, long entry) throws IOException {
            if (changed == null && entry != l1Entry(index)) {
                changed = Qcow2Image.readAt(file, current.offset(), (int) current.bytes());
            }
            if (changed != null) {
                changed.putLong(index * L1Entry.BYTES, entry);
            }
        }

        void finishL1() throws IOException {
            if (changed != null) {
                movedL1.put(current.number(), move(current.offset(), changed));
                changed = null;
            }
        }
    }

    /** Writes an area as it is to be. @return its new place */
    private long move(long from, ByteBuffer bytes) throws IOException {
        long to = end << clusterBits;
        file.write(bytes, to);
        long clusters = (bytes.capacity() + (1L << clusterBits) - 1) >>> clusterBits;
        for (long i = 0; i < clusters; i++) {
            counts.set((from >>> clusterBits) + i, 0);
            counts.set(end + i, 1);
        }
        end += clusters;
        return to;
    }

    private long moveSnapshotTable() throws IOException {
        ByteBuffer table = image.snapshotTable(file);
        for (int i = 0; i < header.nbSnapshots(); i++) {
            int at = table.position();
            SnapshotEntry.decode(table, image.image().toString());
            if (movedL1.containsKey(1 + i)) {
                table.putLong(at, movedL1.get(1 + i));
            }
        }
        ByteBuffer used = ByteBuffer.allocateDirect(table.position()).put(table.flip());
        return move(header.snapshotsOffset(), used.flip());
    }

    @Override
    public void close() throws NativeException {
        counts.close();
    }
}
