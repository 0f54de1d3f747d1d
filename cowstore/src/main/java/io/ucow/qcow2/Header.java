package io.ucow.qcow2;

import java.nio.ByteBuffer;

/**
 * The header at the start of the file, big-endian:
 * <pre>
 *    0 magic "QFI\xfb"             32 crypt_method              64 snapshots_offset
 *    4 version                    36 l1_size                   72 incompatible_features   version 3 from here on
 *    8 backing_file_offset        40 l1_table_offset           80 compatible_features
 *   16 backing_file_size          48 refcount_table_offset     88 autoclear_features
 *   20 cluster_bits               56 refcount_table_clusters   96 refcount_order
 *   24 size                       60 nb_snapshots             100 header_length
 *                                                             104 compression_type        if header_length covers it
 * </pre>
 * Source: QEMU's {@code docs/interop/qcow2}. Fields are as found, unsigned ones as the signed type of their width; a
 * version 2 header has the values that version 3 defines for it.
 */
record Header(
        int version,
        long backingFileOffset,
        int backingFileSize,
        int clusterBits,
        long size,
        int cryptMethod,
        int l1Size,
        long l1TableOffset,
        long refcountTableOffset,
        int refcountTableClusters,
        int nbSnapshots,
        long snapshotsOffset,
        long incompatibleFeatures,
        long compatibleFeatures,
        long autoclearFeatures,
        int refcountOrder,
        int headerLength,
        int compressionType) {
    static final int MAGIC = 0x514649fb;
    /** Length of a version 2 header. */
    static final int V2_LENGTH = 72;
    /** Least length of a version 3 header. */
    static final int V3_LENGTH = 104;
    /** Length with the compression type, padded. */
    static final int FULL_LENGTH = 112;

    static final long DIRTY = 1;
    static final long CORRUPT = 1 << 1;
    static final long EXTERNAL_DATA = 1 << 2;
    static final long COMPRESSION_TYPE = 1 << 3;
    static final long EXTENDED_L2 = 1 << 4;
    static final long LAZY_REFCOUNTS = 1;
    static final long BITMAPS = 1;
    static final long RAW_EXTERNAL_DATA = 1 << 1;
    /** This program's own: {@link LogExtension}. QEMU's bits count up from 0. */
    static final long PENDING_LOG = 1L << 63;

    static final int ZLIB = 0;
    static final int ZSTD = 1;

    private static final int V2_REFCOUNT_ORDER = 4;

    static final int VERSION_AT = 4;
    static final int BACKING_FILE_OFFSET_AT = 8;
    static final int BACKING_FILE_SIZE_AT = 16;
    static final int L1_SIZE_AT = 36;
    static final int L1_TABLE_OFFSET_AT = 40;
    static final int REFCOUNT_TABLE_OFFSET_AT = 48;
    static final int REFCOUNT_TABLE_CLUSTERS_AT = 56;
    static final int SNAPSHOTS_OFFSET_AT = 64;
    static final int INCOMPATIBLE_AT = 72;
    static final int AUTOCLEAR_AT = 88;
    static final int LENGTH_AT = 100;

    /** True when {@code head}, of any byte order, starts with the magic number. */
    static boolean hasMagic(ByteBuffer head) {
        return head.limit() >= 4
                && head.get(0) == 'Q'
                && head.get(1) == 'F'
                && head.get(2) == 'I'
                && head.get(3) == (byte) 0xfb;
    }

    /** @param block big-endian, zeros where the file has ended, at least {@link #FULL_LENGTH} bytes from index 0 */
    static Header decode(ByteBuffer block) {
        int version = block.getInt(VERSION_AT);
        boolean v3 = version >= 3;
        int length = v3 ? block.getInt(LENGTH_AT) : V2_LENGTH;
        return new Header(
                version,
                block.getLong(8),
                block.getInt(16),
                block.getInt(20),
                block.getLong(24),
                block.getInt(32),
                block.getInt(L1_SIZE_AT),
                block.getLong(L1_TABLE_OFFSET_AT),
                block.getLong(REFCOUNT_TABLE_OFFSET_AT),
                block.getInt(56),
                block.getInt(60),
                block.getLong(64),
                v3 ? block.getLong(INCOMPATIBLE_AT) : 0,
                v3 ? block.getLong(80) : 0,
                v3 ? block.getLong(AUTOCLEAR_AT) : 0,
                v3 ? block.getInt(96) : V2_REFCOUNT_ORDER,
                length,
                v3 && length > V3_LENGTH ? block.get(104) & 0xff : ZLIB);
    }

    /** Writes all fields that its version has into {@code block}, big-endian, from index 0 on. */
    void encode(ByteBuffer block) {
        block.putInt(0, MAGIC).putInt(VERSION_AT, version);
        block.putLong(BACKING_FILE_OFFSET_AT, backingFileOffset).putInt(BACKING_FILE_SIZE_AT, backingFileSize);
        block.putInt(20, clusterBits).putLong(24, size).putInt(32, cryptMethod);
        block.putInt(L1_SIZE_AT, l1Size).putLong(L1_TABLE_OFFSET_AT, l1TableOffset);
        block.putLong(REFCOUNT_TABLE_OFFSET_AT, refcountTableOffset).putInt(56, refcountTableClusters);
        block.putInt(60, nbSnapshots).putLong(64, snapshotsOffset);
        if (version >= 3) {
            block.putLong(INCOMPATIBLE_AT, incompatibleFeatures).putLong(80, compatibleFeatures);
            block.putLong(AUTOCLEAR_AT, autoclearFeatures);
            block.putInt(96, refcountOrder).putInt(100, headerLength);
            if (headerLength > V3_LENGTH) {
                block.put(104, (byte) compressionType);
            }
        }
    }

    /** The same with a disk of another size, and another L1 table. */
    Header withDisk(long sizeBytes, int l1Entries, long l1Offset) {
        return new Header(
                version,
                backingFileOffset,
                backingFileSize,
                clusterBits,
                sizeBytes,
                cryptMethod,
                l1Entries,
                l1Offset,
                refcountTableOffset,
                refcountTableClusters,
                nbSnapshots,
                snapshotsOffset,
                incompatibleFeatures,
                compatibleFeatures,
                autoclearFeatures,
                refcountOrder,
                headerLength,
                compressionType);
    }

    boolean isDirty() {
        return (incompatibleFeatures & DIRTY) != 0;
    }

    boolean isCorrupt() {
        return (incompatibleFeatures & CORRUPT) != 0;
    }

    boolean hasExternalData() {
        return (incompatibleFeatures & EXTERNAL_DATA) != 0;
    }

    /** True when the external data file is a disk's bytes as they are, to whoever looks at it without this file. */
    boolean hasRawExternalData() {
        return hasExternalData() && (autoclearFeatures & RAW_EXTERNAL_DATA) != 0;
    }

    /** Bytes of an entry of an L2 table, with its bitmap. */
    int l2EntryBytes() {
        return hasExtendedL2() ? L2Entry.EXTENDED_BYTES : L2Entry.BYTES;
    }

    boolean hasExtendedL2() {
        return (incompatibleFeatures & EXTENDED_L2) != 0;
    }

    boolean hasLazyRefcounts() {
        return (compatibleFeatures & LAZY_REFCOUNTS) != 0;
    }

    /** True when the table of snapshots is where none can be, whether there are any or not. */
    boolean hasOddSnapshotTable() {
        return snapshotsOffset < 0 || (snapshotsOffset & (clusterSize() - 1)) != 0;
    }

    /** True when persistent bitmaps are kept up to date. */
    boolean hasBitmaps() {
        return (autoclearFeatures & BITMAPS) != 0;
    }

    /** Bytes in a cluster; {@code clusterBits} has been found in range. */
    int clusterSize() {
        return 1 << clusterBits;
    }
}
