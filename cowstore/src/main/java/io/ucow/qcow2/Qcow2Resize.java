package io.ucow.qcow2;

import io.ucow.store.ExceptionStore;
import io.ucow.store.Geometry;
import io.ucow.store.GracePeriod;
import io.ucow.store.Origin;
import io.ucow.store.StoreContext;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.PositionalFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.UUID;
import java.util.stream.LongStream;

/**
 * Gives an image that is closed another size. What changes it is one write to one sector of the header: a kill or power loss
 * leaves the old size or the new one, and at worst clusters that are counted and not used.
 *
 * <p>To grow, a larger L1 table is written elsewhere, durable before the header names it; then what must read as zeros past
 * the old end is made so, which nobody sees; the size comes last. To shrink, the size comes first; what is past it is let go
 * of afterwards. An external data file is as long as the disk: it has the new length before the size, or loses it after that.
 *
 * <p>Threading: confined to one thread.
 */
final class Qcow2Resize {
    private static final int SIZE_AT = 24;
    private static final int SECTOR_BYTES = 512;

    private final PositionalFile file;
    /** {@link #file}, or the external data file. */
    private final PositionalFile data;

    private final Path image;
    private final UUID bootId;
    private final Origin origin;

    /**
     * @param data {@code file}, or the external data file
     * @param bootId this boot
     * @param origin what is behind the image
     */
    Qcow2Resize(PositionalFile file, PositionalFile data, Path image, UUID bootId, Origin origin) {
        this.file = file;
        this.data = data;
        this.image = image;
        this.bootId = bootId;
        this.origin = origin;
    }

    /** As {@link io.ucow.store.ExceptionStoreProvider#resize}. */
    void run(long sizeBytes, boolean mayShrink) throws IOException {
        Qcow2Image now = Qcow2Image.read(file, image);
        Writer.requireWritable(now);
        Header header = now.header();
        if (sizeBytes == header.size()) {
            return;
        }
        if (sizeBytes % SECTOR_BYTES != 0) {
            throw new IllegalArgumentException(image + ": a qcow2 image has a size that is a multiple of "
                    + SECTOR_BYTES + " bytes, and " + sizeBytes + " is not");
        }
        if (header.nbSnapshots() > 0 && header.version() < 3) {
            throw new UnsupportedFormatException(
                    image + ": is of qcow2 version 2 and has internal snapshots, which do not"
                            + " say what size they have; convert it first: qemu-img amend -o compat=1.1 " + image);
        }
        if (sizeBytes > header.size()) {
            grow(now, sizeBytes);
            return;
        }
        if (!mayShrink) {
            throw new IllegalArgumentException(image + ": has " + header.size() + " bytes, and what is past "
                    + sizeBytes + " would be lost; add --shrink if nobody needs it");
        }
        shrink(now, sizeBytes);
    }

    private void grow(Qcow2Image now, long sizeBytes) throws IOException {
        // Found too large before anything is written.
        now.withDisk(now.header().withDisk(sizeBytes, 0, 0));
        enlargeL1(now, Qcow2Image.l1Needed(now.header(), sizeBytes));
        Qcow2Image ready = Qcow2Image.read(file, image); // its reference counts may have moved as well
        Header header = ready.header();
        Header grown = header.withDisk(sizeBytes, header.l1Size(), header.l1TableOffset());
        StoreContext context = new StoreContext(false, bootId, new GracePeriod(), false);
        Qcow2Store store = new Qcow2Store(file, data, ready.withDisk(grown), context, 0);
        Closeable releasing = store::release; // the file is the caller's
        try (releasing) {
            if (header.hasExternalData()) {
                // What it has past the old end is not the disk's. What is not mapped there reads as zeros in it, too.
                data.truncate(Math.min(data.size(), header.size()));
                data.truncate(sizeBytes);
            }
            hidePastEnd(store, header.size());
            store.flush();
            writeDisk(grown);
        }
    }

    /** Makes what is past the old end read as zeros, whatever origin and image have there. */
    private void hidePastEnd(ExceptionStore store, long end) throws IOException {
        Geometry geometry = store.geometry();
        long chunk = geometry.chunkOf(end);
        if (geometry.offsetInChunk(end) != 0) {
            clearTail(store, chunk, geometry.offsetInChunk(end));
            chunk++;
        }
        while (chunk < geometry.chunkCount()) {
            int n = 0;
            while (n < store.maxCommit() && chunk + n < geometry.chunkCount() && shows(store, chunk + n)) {
                n++;
            }
            if (n > 0) {
                store.commit(chunk, n, RemapEntry.ZERO);
                chunk += n;
            } else {
                chunk = nextToLookAt(store, chunk + 1);
            }
        }
    }

    private boolean shows(ExceptionStore store, long chunk) throws IOException {
        long entry = store.lookup(chunk);
        Geometry geometry = store.geometry();
        return RemapEntry.isOrigin(entry)
                ? origin.seekData(geometry.startOf(chunk)) < geometry.startOf(chunk + 1)
                : !RemapEntry.isZero(entry);
    }

    private long nextToLookAt(ExceptionStore store, long chunk) throws IOException {
        long shown = origin.seekData(store.geometry().startOf(chunk));
        return Math.min(store.nextPresent(chunk), store.geometry().chunkOf(shown));
    }

    /** Makes what is past the old end in the chunk that it is in read as zeros. */
    private void clearTail(ExceptionStore store, long chunk, int length) throws IOException {
        long entry = store.lookup(chunk);
        Geometry geometry = store.geometry();
        if (RemapEntry.isSlot(entry)) {
            store.zero(entry, length, geometry.chunkSize() - length);
        } else if (shows(store, chunk)) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(geometry.chunkSize()).limit(length);
            if (RemapEntry.isPacked(entry)) {
                store.readPacked(chunk, entry, 0, bytes);
            } else {
                origin.read(bytes, geometry.startOf(chunk));
            }
            long slot = RemapEntry.slot(SlotRun.slot(store.allocate(chunk, 1)));
            store.write(slot, 0, bytes.clear());
            store.commit(chunk, 1, slot);
        }
    }

    private void shrink(Qcow2Image now, long sizeBytes) throws IOException {
        Header header = now.header();
        now.withDisk(header.withDisk(sizeBytes, header.l1Size(), header.l1TableOffset()));
        writeDisk(header.withDisk(sizeBytes, header.l1Size(), header.l1TableOffset()));
        long clusters = (sizeBytes + header.clusterSize() - 1) >>> header.clusterBits();
        int l2Shift = Qcow2Image.l2Shift(header);
        try (ClusterMap map = new ClusterMap(file, now, header.l1TableOffset(), false);
                HostClusters hosts = new HostClusters(file, now, map)) {
            ByteBuffer l1 = Qcow2Image.readAt(file, header.l1TableOffset(), header.l1Size() * L1Entry.BYTES);
            int first = (int) ((clusters + (1L << l2Shift) - 1) >>> l2Shift);
            int index = (int) (clusters & ((1L << l2Shift) - 1));
            if (index != 0) {
                dropEntries(header, hosts, l1.getLong((first - 1) * L1Entry.BYTES), index);
            }
            dropTables(header, hosts, l1, first);
            hosts.releaseReserved();
            file.sync();
            file.truncate(hosts.countedClusters() << header.clusterBits());
        }
        if (header.hasExternalData()) {
            data.truncate(sizeBytes);
            data.sync();
        }
    }

    /** Lets go of what a table names from entry {@code first} on. One that a snapshot has as well stays as it is. */
    private void dropEntries(Header header, HostClusters hosts, long l1Entry, int first) throws IOException {
        if (L1Entry.offset(l1Entry) == 0 || !L1Entry.isCopied(l1Entry)) {
            return;
        }
        int from = first * header.l2EntryBytes();
        ByteBuffer table = Qcow2Image.readAt(file, L1Entry.offset(l1Entry), header.clusterSize());
        Zeros.write(file, L1Entry.offset(l1Entry) + from, header.clusterSize() - from);
        file.sync();
        dropClusters(header, hosts, table.position(from));
    }

    /** Lets go of all L2 tables from {@code first} on, and of what they name. */
    private void dropTables(Header header, HostClusters hosts, ByteBuffer l1, int first) throws IOException {
        int from = first * L1Entry.BYTES;
        if (from >= l1.capacity()) {
            return;
        }
        Zeros.write(file, header.l1TableOffset() + from, l1.capacity() - from);
        file.sync();
        for (int at = from; at < l1.capacity(); at += L1Entry.BYTES) {
            long offset = L1Entry.offset(l1.getLong(at));
            if (offset != 0) {
                dropClusters(header, hosts, Qcow2Image.readAt(file, offset, header.clusterSize()));
                hosts.drop(new long[] {offset >>> header.clusterBits()});
            }
        }
    }

    /** Lets go of what the entries name from the buffer's position on; of an external data file nothing is counted. */
    private static void dropClusters(Header header, HostClusters hosts, ByteBuffer table) throws IOException {
        if (header.hasExternalData()) {
            return;
        }
        LongStream.Builder dropped = LongStream.builder();
        for (; table.hasRemaining(); table.position(table.position() + header.l2EntryBytes())) {
            long entry = table.getLong(table.position());
            long last = L2Entry.lastCluster(entry, header.clusterBits());
            for (long c = L2Entry.firstCluster(entry, header.clusterBits()); c <= last; c++) {
                dropped.add(c);
            }
        }
        hosts.drop(dropped.build().sorted().toArray());
    }

    /** Gives the image an L1 table of {@code entries} entries at least; the disk's size is the same. */
    private void enlargeL1(Qcow2Image now, long entries) throws IOException {
        Header header = now.header();
        if (entries <= header.l1Size()) {
            return;
        }
        if (entries > Qcow2Image.MAX_L1_ENTRIES) {
            throw new IllegalArgumentException(
                    image + ": a disk of that size takes larger clusters than " + header.clusterSize() + " bytes");
        }
        try (ClusterMap map = new ClusterMap(file, now, header.l1TableOffset(), false);
                HostClusters hosts = new HostClusters(file, now, map)) {
            long clusters = clustersOf(entries, header);
            long place = hosts.allocateAdjacent(clusters) << header.clusterBits();
            int oldBytes = header.l1Size() * L1Entry.BYTES;
            file.write(Qcow2Image.readAt(file, header.l1TableOffset(), oldBytes), place);
            Zeros.write(file, place + oldBytes, (clusters << header.clusterBits()) - oldBytes);
            file.sync();
            writeDisk(header.withDisk(header.size(), (int) entries, place));
            long old = header.l1TableOffset() >>> header.clusterBits();
            hosts.drop(LongStream.range(old, old + clustersOf(header.l1Size(), header))
                    .toArray());
            hosts.releaseReserved();
            file.sync();
        }
    }

    private static long clustersOf(long l1Entries, Header header) {
        return (l1Entries * L1Entry.BYTES + header.clusterSize() - 1) >>> header.clusterBits();
    }

    /** Writes what the header says of the disk, durably. These fields are in one sector. */
    private void writeDisk(Header header) throws IOException {
        ByteBuffer fields = ByteBuffer.allocateDirect(24).order(ByteOrder.BIG_ENDIAN);
        fields.putLong(header.size()).putInt(header.cryptMethod());
        fields.putInt(header.l1Size()).putLong(header.l1TableOffset());
        file.write(fields.flip(), SIZE_AT);
        file.sync();
    }
}
