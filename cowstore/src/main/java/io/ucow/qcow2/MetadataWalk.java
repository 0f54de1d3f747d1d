package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.Zeros;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Goes through what refers to clusters of an image, all but its refcounts: what the header names, the L1 and L2 tables of
 * the disk and of its internal snapshots, bitmaps. And says of an entry why it cannot be.
 *
 * <p>Threading: for one thread.
 */
final class MetadataWalk {
    private static final int MAX_BITMAP_DIRECTORY_BYTES = 64 << 20;

    /** What lies in the file where something else than the map says. */
    enum Area {
        HEADER,
        L1_TABLE,
        SNAPSHOT_TABLE,
        BITMAPS
    }

    /**
     * The L1 table of the disk, or of a snapshot.
     *
     * @param number 0 for the disk, and from 1 on the snapshots
     * @param name for messages
     * @param snapshot its name, or else its id; empty for the disk
     */
    record L1Table(int number, String name, String snapshot, long offset, int size) {
        boolean isActive() {
            return number == 0;
        }

        long bytes() {
            return (long) size * L1Entry.BYTES;
        }
    }

    /** Is told what there is, each time that something refers to it. */
    interface Visitor {
        /**
         * Bytes of the file, which may be impossible.
         *
         * @return false to pass over what is in there
         */
        boolean area(Area area, long offset, long bytes, String what) throws IOException;

        /**
         * An entry of an L1 table that is not 0.
         *
         * @return true to be shown its table; only where {@link #tableFault} has found nothing
         */
        boolean table(L1Table l1, int index, long entry) throws IOException;

        /**
         * The L2 table that was asked for.
         *
         * @param offset where it is in the file
         * @param l2 its entries, good until the next call
         */
        void entries(L1Table l1, int index, long offset, L2Table l2) throws IOException;

        /** The directory of bitmaps, or a bitmap, cannot be followed. */
        void damagedBitmaps(String what) throws IOException;
    }

    /** A table's entries, in memory. */
    static final class L2Table {
        private final ByteBuffer bytes;
        private final int entryBytes;

        private L2Table(ByteBuffer bytes, int entryBytes) {
            this.bytes = bytes;
            this.entryBytes = entryBytes;
        }

        int size() {
            return bytes.capacity() / entryBytes;
        }

        long entry(int index) {
            return bytes.getLong(index * entryBytes);
        }

        /** 0 without extended L2 entries. */
        long bitmap(int index) {
            return entryBytes == L2Entry.BYTES ? 0 : bytes.getLong(index * entryBytes + L2Entry.BYTES);
        }

        void set(int index, long entry, long bitmap) {
            bytes.putLong(index * entryBytes, entry);
            if (entryBytes != L2Entry.BYTES) {
                bytes.putLong(index * entryBytes + L2Entry.BYTES, bitmap);
            }
        }

        ByteBuffer bytes() {
            return bytes.clear();
        }
    }

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final int clusterBits;
    private final long clusters;
    private final L2Table l2;

    MetadataWalk(PositionalFile file, Qcow2Image image) throws IOException {
        this.file = file;
        this.image = image;
        this.header = image.header();
        this.clusterBits = header.clusterBits();
        this.clusters = (file.size() + header.clusterSize() - 1) >>> clusterBits;
        if (clusters > HostClusters.MAX_CLUSTERS) {
            throw new UnsupportedFormatException(
                    image.image() + ": its file has more than 2^36 clusters, which are too many to check");
        }
        this.l2 = new L2Table(Qcow2Image.readAt(file, 0, header.clusterSize()), header.l2EntryBytes());
    }

    /** Clusters of the file, the last one perhaps in part. */
    long clusters() {
        return clusters;
    }

    /** @throws CorruptStoreException if the table of snapshots cannot be followed */
    void run(Visitor visitor) throws IOException {
        visitor.area(Area.HEADER, 0, 1, "header");
        L1Table active = new L1Table(0, "active", "", header.l1TableOffset(), header.l1Size());
        walk(active, visitor);
        walkSnapshots(visitor);
        walkBitmaps(visitor);
    }

    private void walk(L1Table l1, Visitor visitor) throws IOException {
        if (!visitor.area(Area.L1_TABLE, l1.offset(), l1.bytes(), l1.name() + " L1 table")) {
            return;
        }
        ByteBuffer entries = Qcow2Image.readAt(file, l1.offset(), (int) l1.bytes());
        long tables = 0;
        for (int i = 0; i < l1.size(); i++) {
            long entry = entries.getLong(i * L1Entry.BYTES);
            if (entry == 0 || !visitor.table(l1, i, entry)) {
                continue;
            }
            // Else a small file could have whoever looks at all of its tables look at the same one for hours.
            if (++tables > clusters) {
                throw new CorruptStoreException(
                        image.image() + ": " + l1.name() + " L1 table names more L2 tables than the file has clusters");
            }
            read(l2.bytes(), L1Entry.offset(entry));
            visitor.entries(l1, i, L1Entry.offset(entry), l2);
        }
    }

    /** Reads into all of {@code buffer}, zeros where the file has ended. */
    void read(ByteBuffer buffer, long offset) throws IOException {
        buffer.clear();
        file.read(buffer, offset);
        Zeros.fill(buffer);
        buffer.clear();
    }

    private void walkSnapshots(Visitor visitor) throws IOException {
        if (header.nbSnapshots() == 0) {
            if (header.hasOddSnapshotTable()) {
                visitor.area(Area.SNAPSHOT_TABLE, header.snapshotsOffset(), 0, "snapshot table, of none,");
            }
            return;
        }
        ByteBuffer table = image.snapshotTable(file);
        long l1Bytes = 0;
        for (int i = 0; i < header.nbSnapshots(); i++) {
            SnapshotEntry snapshot = SnapshotEntry.decode(table, image.image().toString());
            String name = "snapshot '" + snapshot.id().replaceAll("\\p{Cntrl}", "?") + "'";
            l1Bytes += (long) snapshot.l1Size() * L1Entry.BYTES;
            if (snapshot.l1Size() < 0 || l1Bytes > file.size()) {
                throw new CorruptStoreException(image.image() + ": " + name + " has an L1 table of "
                        + Integer.toUnsignedString(snapshot.l1Size()) + " entries, more than the file has room for");
            }
            String title = (snapshot.name().isEmpty() ? snapshot.id() : snapshot.name()).replaceAll("\\p{Cntrl}", "?");
            walk(new L1Table(1 + i, name, title, snapshot.l1TableOffset(), snapshot.l1Size()), visitor);
        }
        visitor.area(Area.SNAPSHOT_TABLE, header.snapshotsOffset(), table.position(), "snapshot table");
    }

    /** Bitmaps count for as long as the header says that they are consistent; else they are leaks, as to QEMU. */
    private void walkBitmaps(Visitor visitor) throws IOException {
        if (!header.hasBitmaps()) {
            return;
        }
        HeaderExtensions extensions = image.extensions();
        long offset = extensions.bitmapDirectoryOffset();
        long bytes = extensions.bitmapDirectorySize();
        if (bytes <= 0 || bytes > MAX_BITMAP_DIRECTORY_BYTES) {
            visitor.damagedBitmaps("the directory of bitmaps has " + bytes + " bytes");
            return;
        }
        if (!visitor.area(Area.BITMAPS, offset, bytes, "bitmap directory")) {
            return;
        }
        ByteBuffer directory = Qcow2Image.readAt(file, offset, (int) bytes);
        long tableBytes = 0;
        for (long i = 0; i < Integer.toUnsignedLong(extensions.bitmaps()); i++) {
            BitmapEntry bitmap;
            try {
                bitmap = BitmapEntry.decode(directory, image.image().toString());
            } catch (CorruptStoreException e) {
                visitor.damagedBitmaps(e.getMessage());
                return;
            }
            tableBytes += (long) bitmap.tableSize() * Long.BYTES;
            if (bitmap.tableSize() < 0 || tableBytes > Math.min(file.size(), Integer.MAX_VALUE)) {
                visitor.damagedBitmaps("bitmap " + i + " has a table that the file has no room for");
                return;
            }
            walkBitmap(bitmap, "bitmap " + i, visitor);
        }
    }

    private void walkBitmap(BitmapEntry bitmap, String name, Visitor visitor) throws IOException {
        int bytes = bitmap.tableSize() * Long.BYTES;
        if (!visitor.area(Area.BITMAPS, bitmap.tableOffset(), bytes, "table of " + name)) {
            return;
        }
        ByteBuffer table = Qcow2Image.readAt(file, bitmap.tableOffset(), bytes);
        for (int i = 0; i < bitmap.tableSize(); i++) {
            long offset = L1Entry.offset(table.getLong(i * Long.BYTES));
            if (offset != 0) {
                visitor.area(Area.BITMAPS, offset, header.clusterSize(), name);
            }
        }
    }

    /** Why there can be nothing of {@code bytes} bytes at {@code offset}; null if there can. */
    String areaFault(long offset, long bytes) {
        if ((offset & (header.clusterSize() - 1)) != 0) {
            return at(offset) + "is not on a cluster boundary";
        }
        return offset < 0 || (offset + Math.max(bytes, 1) - 1) >>> clusterBits >= clusters
                ? at(offset) + "is past the file's end"
                : null;
    }

    private static String at(long offset) {
        return "at 0x" + Long.toHexString(offset) + " ";
    }

    /** Why {@code entry}, of an L1 table and not 0, cannot be; null if it can. */
    String tableFault(long entry) {
        if ((entry & L1Entry.RESERVED) != 0) {
            return "has reserved bits set: 0x" + Long.toHexString(entry);
        }
        if (L1Entry.offset(entry) == 0) {
            return "has no place, and is marked as if it had: 0x" + Long.toHexString(entry);
        }
        return areaFault(L1Entry.offset(entry), header.clusterSize());
    }

    /** Why an entry of an L2 table cannot be; null if it can. */
    String entryFault(long entry, long bitmap) {
        if (L2Entry.isCompressed(entry)) {
            if (L2Entry.isCopied(entry) || header.hasExternalData() || bitmap != 0) {
                return "is compressed, and cannot be: 0x" + Long.toHexString(entry);
            }
            return L2Entry.lastCluster(entry, clusterBits) >= clusters
                    ? at(entry & L2Entry.OFFSET_MASK) + "is past the file's end"
                    : null;
        }
        if ((entry & L2Entry.RESERVED) != 0) {
            return "has reserved bits set: 0x" + Long.toHexString(entry);
        }
        if (L2Entry.isAmbiguous(bitmap)) {
            return "has subclusters that are both allocated and zeros: 0x" + Long.toHexString(bitmap);
        }
        if (header.version() < 3 && L2Entry.isZero(entry)) {
            return "reads as zeros, which version 2 does not know";
        }
        if (!hasCluster(entry)) {
            return (int) bitmap == 0 ? null : "has allocated subclusters, and no cluster";
        }
        if (header.hasExternalData()) {
            return (L2Entry.offset(entry) & (header.clusterSize() - 1)) == 0
                    ? null
                    : at(L2Entry.offset(entry)) + "is not on a cluster boundary";
        }
        return areaFault(L2Entry.offset(entry), header.clusterSize());
    }

    /** True if a standard entry has a place: offset 0 is one only in an external data file, and if the entry says so. */
    boolean hasCluster(long entry) {
        return L2Entry.offset(entry) != 0 || (header.hasExternalData() && L2Entry.isCopied(entry));
    }

    /** True if an entry without fault refers to clusters of this file. */
    boolean refers(long entry) {
        return L2Entry.isCompressed(entry) || (L2Entry.offset(entry) != 0 && !header.hasExternalData());
    }
}
