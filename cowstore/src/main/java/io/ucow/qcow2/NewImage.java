package io.ucow.qcow2;

import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.Zeros;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * Writes an empty image of version 3, with or without extended L2 entries: the header, the refcount table, its blocks, the L1 table, one after the other.
 *
 * <p>Threading: stateless.
 */
final class NewImage {
    private static final int REFCOUNT_ORDER = 4;
    private static final int MAX_L1_BYTES = 32 << 20;

    private NewImage() {}

    /**
     * Writes it and makes it durable.
     *
     * @param geometry chunks are to be clusters, or subclusters if {@code extended}
     * @param origin what is behind it, or null
     * @param extended whether L2 entries are
     * @throws IllegalArgumentException if the disk is too large for clusters of this size
     * @throws IOException if the base's path is too long
     */
    static void write(PositionalFile file, Geometry geometry, OriginReference origin, boolean extended)
            throws IOException {
        int clusterBits = geometry.chunkShift() + (extended ? L2Entry.SUBCLUSTER_SHIFT : 0);
        long clusterSize = 1L << clusterBits;
        int tableShift = 2 * clusterBits - (extended ? 4 : 3);
        long l1Size = (geometry.sizeBytes() + (1L << tableShift) - 1) >>> tableShift;
        if (l1Size * L1Entry.BYTES > MAX_L1_BYTES) {
            throw new IllegalArgumentException("a disk of " + geometry.sizeBytes()
                    + " bytes takes larger clusters than " + clusterSize + " bytes");
        }
        long l1Clusters = (l1Size * L1Entry.BYTES + clusterSize - 1) >>> clusterBits;
        long perBlock = 1L << Refcounts.blockShift(clusterBits, REFCOUNT_ORDER);
        // Each block, and the table's cluster with it, is counted itself.
        long blocks = 1;
        long tableClusters = 1;
        while (blocks * perBlock < 1 + tableClusters + blocks + l1Clusters) {
            blocks++;
            tableClusters = (blocks * Long.BYTES + clusterSize - 1) >>> clusterBits;
        }
        long l1Offset = (1 + tableClusters + blocks) << clusterBits;
        // Written out: a full disk must still take an L1 entry.
        Zeros.write(file, l1Offset, l1Clusters << clusterBits);
        writeRefcounts(file, clusterBits, tableClusters, blocks, 1 + tableClusters + blocks + l1Clusters);
        ByteBuffer header = ByteBuffer.allocateDirect((int) clusterSize).order(ByteOrder.BIG_ENDIAN);
        header.putInt(0, Header.MAGIC).putInt(Header.VERSION_AT, 3).putInt(20, clusterBits);
        header.putLong(24, geometry.sizeBytes()).putInt(Header.L1_SIZE_AT, (int) l1Size);
        header.putLong(Header.L1_TABLE_OFFSET_AT, l1Offset);
        header.putLong(Header.REFCOUNT_TABLE_OFFSET_AT, clusterSize).putInt(56, (int) tableClusters);
        header.putLong(Header.INCOMPATIBLE_AT, extended ? Header.EXTENDED_L2 : 0);
        header.putInt(96, REFCOUNT_ORDER).putInt(100, Header.FULL_LENGTH);
        if (origin != null) {
            putBacking(header, origin, file.name());
        }
        file.write(header, 0);
        file.sync();
    }

    private static void writeRefcounts(PositionalFile file, int clusterBits, long tableClusters, long blocks, long used)
            throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << clusterBits).order(ByteOrder.BIG_ENDIAN);
        long perBlock = 1L << Refcounts.blockShift(clusterBits, REFCOUNT_ORDER);
        long firstBlock = 1 + tableClusters;
        for (long i = 0; i < blocks; i++) {
            for (int k = 0; k < perBlock; k++) {
                Refcounts.put(buffer, REFCOUNT_ORDER, k, i * perBlock + k < used ? 1 : 0);
            }
            file.write(buffer.clear(), (firstBlock + i) << clusterBits);
        }
        ByteBuffer table =
                ByteBuffer.allocateDirect((int) (tableClusters << clusterBits)).order(ByteOrder.BIG_ENDIAN);
        for (int i = 0; i < blocks; i++) {
            table.putLong(i * Long.BYTES, (firstBlock + i) << clusterBits);
        }
        file.write(table, 1L << clusterBits);
    }

    private static void putBacking(ByteBuffer header, OriginReference origin, String image) throws IOException {
        byte[] format = format(origin, Path.of(image)).getBytes(StandardCharsets.US_ASCII);
        byte[] name = spelled(origin.path()).getBytes(StandardCharsets.UTF_8);
        int nameAt = Header.FULL_LENGTH + 16 + 8;
        if (name.length > BackingFile.MAX_NAME_BYTES || nameAt + name.length > header.capacity()) {
            throw new IOException(image + ": the base's path is longer than "
                    + Math.min(BackingFile.MAX_NAME_BYTES, header.capacity() - nameAt)
                    + " bytes; put the base nearer to the image");
        }
        header.putInt(Header.FULL_LENGTH, HeaderExtensions.BACKING_FORMAT)
                .putInt(Header.FULL_LENGTH + 4, format.length)
                .put(Header.FULL_LENGTH + 8, format)
                .put(nameAt, name)
                .putLong(8, nameAt)
                .putInt(16, name.length);
    }

    /** A name that QEMU does not take for one of its protocols. */
    static String spelled(String path) {
        return path.indexOf(':') < 0 || path.startsWith("/") ? path : "./" + path;
    }

    /** What a header calls the format of {@code origin}. */
    static String format(OriginReference origin, Path image) throws IOException {
        if (!origin.isImage()) {
            return "raw";
        }
        try (NativeFile base = NativeFile.open(origin.resolve(image), Libc.O_RDONLY)) {
            ByteBuffer head = ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES);
            base.read(head, 0);
            return Header.hasMagic(head.flip()) ? Qcow2Format.NAME : "ucow";
        } catch (NativeException e) {
            if (e.errno() == Errno.ENOENT) {
                return Qcow2Format.NAME; // a snapshot's layer gets its name last, and is what the new image is
            }
            throw e;
        }
    }
}
