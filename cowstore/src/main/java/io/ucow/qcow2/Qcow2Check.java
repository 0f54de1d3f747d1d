package io.ucow.qcow2;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Counts what refers to each cluster of a file and compares that with the reference counts: fewer recorded than there are
 * is an error, more is a leak. Entries that cannot be, and COPIED flags that the counts contradict, are errors as well. What
 * is said of an image is what {@code qemu-img check} says.
 *
 * <p>Threading: for one thread.
 */
final class Qcow2Check {
    private static final int MAX_PROBLEMS = 1000;
    private static final long MAX_CLUSTERS = 1L << 36;
    private static final int MAX_BITMAP_DIRECTORY_BYTES = 64 << 20;
    private static final long SECTOR_MASK = ~511L;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final int clusterBits;
    private final long clusters;
    private final List<String> problems = new ArrayList<>();
    private long checkedClusters;

    Qcow2Check(PositionalFile file, Qcow2Image image) throws IOException {
        this.file = file;
        this.image = image;
        this.header = image.header();
        this.clusterBits = header.clusterBits();
        this.clusters = (file.size() + header.clusterSize() - 1) >>> clusterBits;
        if (clusters > MAX_CLUSTERS) {
            throw new UnsupportedFormatException(
                    image.image() + ": its file has more than 2^36 clusters, which are too many to check");
        }
    }

    /** Reads all metadata. Memory is 16 bytes for each cluster that is in use. */
    CheckReport run() throws IOException {
        try (SparseLongs references = new SparseLongs(clusters);
                SparseLongs recorded = new SparseLongs(clusters)) {
            long leaked = 0;
            try {
                refer(references, 0, 1, "header");
                readRefcounts(references, recorded);
                walk(references, header.l1TableOffset(), header.l1Size(), "active");
                walkSnapshots(references);
                walkBitmaps(references);
                leaked = compare(references, recorded);
                requireCopiedFlags(recorded);
            } catch (CorruptStoreException e) {
                // That many problems, or a table that is not readable at all.
                problems.add(e.getMessage());
            }
            return new CheckReport(problems, leaked, checkedClusters << image.subclusterShift());
        }
    }

    private void problem(String what) throws CorruptStoreException {
        if (problems.size() == MAX_PROBLEMS) {
            throw new CorruptStoreException(image.image() + ": more problems than the first " + MAX_PROBLEMS);
        }
        problems.add(image.image() + ": " + what);
    }

    private void refer(SparseLongs references, long offset, long bytes, String what) throws CorruptStoreException {
        if (bytes == 0) {
            return;
        }
        long last = (offset + bytes - 1) >>> clusterBits;
        if (last >= clusters) {
            problem(what + " at 0x" + Long.toHexString(offset) + " is past the file's end");
            return;
        }
        for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
            references.set(cluster, references.get(cluster) + 1);
        }
    }

    private boolean isAligned(long offset, String what) throws CorruptStoreException {
        boolean aligned = (offset & (header.clusterSize() - 1)) == 0;
        if (!aligned) {
            problem(what + " at 0x" + Long.toHexString(offset) + " is not on a cluster boundary");
        }
        return aligned;
    }

    private void readRefcounts(SparseLongs references, SparseLongs recorded) throws IOException {
        long tableBytes = (long) header.refcountTableClusters() << clusterBits;
        refer(references, header.refcountTableOffset(), tableBytes, "refcount table");
        ByteBuffer table = Qcow2Image.readAt(file, header.refcountTableOffset(), (int) tableBytes);
        ByteBuffer block = Qcow2Image.readAt(file, 0, header.clusterSize());
        int blockShift = Refcounts.blockShift(clusterBits, header.refcountOrder());
        for (int i = 0; i < tableBytes / Long.BYTES; i++) {
            long offset = table.getLong(i * Long.BYTES) & SECTOR_MASK;
            if (offset == 0 || !isAligned(offset, "refcount block " + i)) {
                continue;
            }
            refer(references, offset, header.clusterSize(), "refcount block " + i);
            long first = (long) i << blockShift;
            if (offset >>> clusterBits >= clusters || first >= clusters) {
                continue;
            }
            read(block, offset);
            for (int k = 0; k < 1 << blockShift && first + k < clusters; k++) {
                long count = Refcounts.get(block, header.refcountOrder(), k);
                if (count != 0) {
                    recorded.set(first + k, count);
                }
            }
        }
    }

    private void read(ByteBuffer buffer, long offset) throws IOException {
        buffer.clear();
        file.read(buffer, offset);
        while (buffer.hasRemaining()) {
            buffer.put((byte) 0);
        }
    }

    private void walk(SparseLongs references, long l1Offset, int l1Size, String name) throws IOException {
        refer(references, l1Offset, (long) l1Size * L1Entry.BYTES, name + " L1 table");
        if (problems.size() > 0 && l1Offset >>> clusterBits >= clusters) {
            return;
        }
        ByteBuffer l1 = Qcow2Image.readAt(file, l1Offset, l1Size * L1Entry.BYTES);
        ByteBuffer l2 = Qcow2Image.readAt(file, 0, header.clusterSize());
        long tables = 0;
        for (int i = 0; i < l1Size; i++) {
            long offset = L1Entry.offset(l1.getLong(i * L1Entry.BYTES));
            String what = name + " L2 table " + i;
            if (offset == 0 || !isAligned(offset, what)) {
                continue;
            }
            if (++tables > clusters) {
                problem(name + " L1 table names more L2 tables than the file has clusters");
                return;
            }
            refer(references, offset, header.clusterSize(), what);
            if (offset >>> clusterBits < clusters) {
                read(l2, offset);
                for (int k = 0; k < 1 << Qcow2Image.l2Shift(header); k++) {
                    referToCluster(references, l2, k, what);
                }
            }
        }
    }

    private int entryBytes() {
        return header.hasExtendedL2() ? L2Entry.EXTENDED_BYTES : L2Entry.BYTES;
    }

    private void referToCluster(SparseLongs references, ByteBuffer l2, int index, String table) throws IOException {
        long entry = l2.getLong(index * entryBytes());
        long bitmap = header.hasExtendedL2() ? l2.getLong(index * entryBytes() + L2Entry.BYTES) : 0;
        if (entry == 0 && bitmap == 0) {
            return;
        }
        checkedClusters++;
        String what = table + ", entry " + index;
        if (L2Entry.isCompressed(entry)) {
            long offset = L2Entry.compressedOffset(entry, clusterBits);
            long end = offset + L2Entry.compressedBytes(entry, clusterBits);
            if (L2Entry.isCopied(entry) || header.hasExternalData()) {
                problem(what + " is compressed, and cannot be: 0x" + Long.toHexString(entry));
            }
            refer(references, offset & SECTOR_MASK, end - (offset & SECTOR_MASK), what);
            return;
        }
        if ((int) (bitmap >>> 32 & bitmap) != 0) {
            problem(what + " has subclusters that are both allocated and zeros: 0x" + Long.toHexString(bitmap));
        }
        if (header.version() < 3 && L2Entry.isZero(entry)) {
            problem(what + " reads as zeros, which version 2 does not know");
        }
        long offset = L2Entry.offset(entry);
        if (offset == 0) {
            if ((int) bitmap != 0 && !header.hasExternalData()) {
                problem(what + " has allocated subclusters, and no cluster");
            }
        } else if (isAligned(offset, what) && !header.hasExternalData()) {
            refer(references, offset, header.clusterSize(), what);
        }
    }

    private void walkSnapshots(SparseLongs references) throws IOException {
        if (header.nbSnapshots() == 0) {
            return;
        }
        ByteBuffer table = image.snapshotTable(file);
        long l1Bytes = 0;
        for (int i = 0; i < header.nbSnapshots(); i++) {
            SnapshotEntry snapshot = SnapshotEntry.decode(table, image.image().toString());
            String name = "snapshot '" + snapshot.id() + "'";
            l1Bytes += (long) snapshot.l1Size() * L1Entry.BYTES;
            if (snapshot.l1Size() < 0 || l1Bytes > file.size()) {
                problem(name + " has an L1 table of " + Integer.toUnsignedString(snapshot.l1Size())
                        + " entries, more than the file has room for");
                return;
            }
            if (isAligned(snapshot.l1TableOffset(), "L1 table of " + name)) {
                walk(references, snapshot.l1TableOffset(), snapshot.l1Size(), name);
            }
        }
        refer(references, header.snapshotsOffset(), table.position(), "snapshot table");
    }

    /** Bitmaps count for as long as the header says that they are consistent; else they are leaks, as to QEMU. */
    private void walkBitmaps(SparseLongs references) throws IOException {
        HeaderExtensions extensions = image.extensions();
        if ((header.autoclearFeatures() & Header.BITMAPS) == 0) {
            return;
        }
        long offset = extensions.bitmapDirectoryOffset();
        long bytes = extensions.bitmapDirectorySize();
        if (bytes <= 0 || bytes > MAX_BITMAP_DIRECTORY_BYTES || !isAligned(offset, "bitmap directory")) {
            problem("the directory of bitmaps has " + bytes + " bytes");
            return;
        }
        refer(references, offset, bytes, "bitmap directory");
        ByteBuffer directory = Qcow2Image.readAt(file, offset, (int) bytes);
        long tableBytes = 0;
        for (long i = 0; i < Integer.toUnsignedLong(extensions.bitmaps()); i++) {
            BitmapEntry bitmap = BitmapEntry.decode(directory, image.image().toString());
            tableBytes += (long) bitmap.tableSize() * Long.BYTES;
            if (bitmap.tableSize() < 0 || tableBytes > Math.min(file.size(), Integer.MAX_VALUE)) {
                problem("bitmap " + i + " has a table that the file has no room for");
                return;
            }
            referToBitmap(references, bitmap, "bitmap " + i);
        }
    }

    private void referToBitmap(SparseLongs references, BitmapEntry bitmap, String name) throws IOException {
        int bytes = bitmap.tableSize() * Long.BYTES;
        if (!isAligned(bitmap.tableOffset(), "table of " + name)) {
            return;
        }
        refer(references, bitmap.tableOffset(), bytes, "table of " + name);
        ByteBuffer table = Qcow2Image.readAt(file, bitmap.tableOffset(), bytes);
        for (int i = 0; i < bitmap.tableSize(); i++) {
            long offset = L1Entry.offset(table.getLong(i * Long.BYTES));
            if (offset != 0 && isAligned(offset, name)) {
                refer(references, offset, header.clusterSize(), name);
            }
        }
    }

    /** Compares the two counts. @return bytes of clusters that are recorded as in use more often than they are */
    private long compare(SparseLongs references, SparseLongs recorded) throws CorruptStoreException {
        long leaked = 0;
        for (long cluster = 0; cluster < clusters; cluster++) {
            long used = references.get(cluster);
            long count = recorded.get(cluster);
            if (Long.compareUnsigned(count, used) < 0) {
                problem("cluster " + cluster + " has refcount " + Long.toUnsignedString(count) + ", and " + used
                        + " references");
            } else if (count != used) {
                leaked += header.clusterSize();
            }
        }
        return leaked;
    }

    /** In the active tables COPIED says that the recorded count is 1. */
    private void requireCopiedFlags(SparseLongs recorded) throws IOException {
        ByteBuffer l1 = Qcow2Image.readAt(file, header.l1TableOffset(), header.l1Size() * L1Entry.BYTES);
        ByteBuffer l2 = Qcow2Image.readAt(file, 0, header.clusterSize());
        for (int i = 0; i < header.l1Size(); i++) {
            long entry = l1.getLong(i * L1Entry.BYTES);
            long offset = L1Entry.offset(entry);
            if (offset == 0 || offset >>> clusterBits >= clusters) {
                continue;
            }
            requireCopied(recorded, offset, L1Entry.isCopied(entry), "L1 entry " + i);
            read(l2, offset);
            for (int k = 0; k < 1 << Qcow2Image.l2Shift(header); k++) {
                long cluster = l2.getLong(k * entryBytes());
                if (!L2Entry.isCompressed(cluster) && L2Entry.offset(cluster) != 0 && !header.hasExternalData()) {
                    String what = "active L2 table " + i + ", entry " + k;
                    requireCopied(recorded, L2Entry.offset(cluster), L2Entry.isCopied(cluster), what);
                }
            }
        }
    }

    private void requireCopied(SparseLongs recorded, long offset, boolean copied, String what)
            throws CorruptStoreException {
        long cluster = offset >>> clusterBits;
        if (cluster < clusters && copied != (recorded.get(cluster) == 1)) {
            problem(what + " is " + (copied ? "" : "not ")
                    + "marked as the only one of its cluster, which has refcount "
                    + Long.toUnsignedString(recorded.get(cluster)));
        }
    }
}
