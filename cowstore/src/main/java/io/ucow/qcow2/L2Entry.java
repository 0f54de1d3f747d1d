package io.ucow.qcow2;

/**
 * An entry of an L2 table, and the bitmap that follows it in the extended form:
 * <pre>
 *   63 copied   62 compressed   61..56 0   55..9 host offset   8..1 0   0 reads as zeros (standard entries, version 3)
 *   63 0        62 1            61..x number of further sectors   x-1..0 host offset in bytes;   x = 62 - (cluster_bits - 8)
 *   bitmap:  63..32 subcluster reads as zeros    31..0 subcluster is allocated
 * </pre>
 */
final class L2Entry {
    static final int BYTES = 8;
    static final int EXTENDED_BYTES = 16;
    /** Binary logarithm of the number of subclusters in a cluster. */
    static final int SUBCLUSTER_SHIFT = 5;

    static final long COPIED = 1L << 63;
    static final long COMPRESSED = 1L << 62;
    static final long ZERO = 1;

    /** The bits of all subclusters. */
    static final int ALL = -1;

    static final long OFFSET_MASK = 0x00ff_ffff_ffff_fe00L;
    /** Bits of a standard entry that are 0. */
    static final long RESERVED = 0x3f00_0000_0000_01feL;

    private static final int SECTOR = 512;

    private L2Entry() {}

    /** Where the cluster of a standard entry is; 0 for none. */
    static long offset(long entry) {
        return entry & OFFSET_MASK;
    }

    static boolean isCopied(long entry) {
        return (entry & COPIED) != 0;
    }

    static boolean isCompressed(long entry) {
        return (entry & COMPRESSED) != 0;
    }

    /** True when a standard entry that is not extended reads as zeros, whether it has a cluster or not. */
    static boolean isZero(long entry) {
        return (entry & ZERO) != 0;
    }

    /** Where the compressed data start, in bytes. */
    static long compressedOffset(long entry, int clusterBits) {
        return entry & ((1L << offsetBits(clusterBits)) - 1);
    }

    /** Bytes from {@link #compressedOffset} to the end of the last sector that has any of the data. */
    static int compressedBytes(long entry, int clusterBits) {
        int shift = offsetBits(clusterBits);
        int sectors = (int) ((entry & ~(COPIED | COMPRESSED)) >>> shift) + 1;
        return sectors * SECTOR - (int) (compressedOffset(entry, clusterBits) & (SECTOR - 1));
    }

    /** The entry of a compressed cluster whose {@code bytes} bytes of data start at {@code offset}. */
    static long compressed(long offset, int bytes, int clusterBits) {
        long furtherSectors = (offset + bytes - 1) / SECTOR - offset / SECTOR;
        return COMPRESSED | furtherSectors << offsetBits(clusterBits) | offset;
    }

    /** Most bytes that {@link #compressedBytes} can be. */
    static int maxCompressedBytes(int clusterBits) {
        return SECTOR << (clusterBits - 8);
    }

    /** The first host cluster that an entry refers to. */
    static long firstCluster(long entry, int clusterBits) {
        return (isCompressed(entry) ? compressedOffset(entry, clusterBits) : offset(entry)) >>> clusterBits;
    }

    /** The last one; less than {@link #firstCluster} if it refers to none. */
    static long lastCluster(long entry, int clusterBits) {
        if (isCompressed(entry)) {
            return (compressedOffset(entry, clusterBits) + compressedBytes(entry, clusterBits) - 1) >>> clusterBits;
        }
        return offset(entry) == 0 ? -1 : offset(entry) >>> clusterBits;
    }

    private static int offsetBits(int clusterBits) {
        return 62 - (clusterBits - 8);
    }

    /** The subclusters, one bit each, whose bytes are in the cluster. */
    static int allocated(long bitmap) {
        return (int) bitmap;
    }

    /** The subclusters, one bit each, that read as zeros. */
    static int zeros(long bitmap) {
        return (int) (bitmap >>> 32);
    }

    /** True when a subcluster is said to be allocated and to read as zeros. */
    static boolean isAmbiguous(long bitmap) {
        return (allocated(bitmap) & zeros(bitmap)) != 0;
    }

    /** The bitmap of these two. */
    static long bitmap(int allocated, int zeros) {
        return (long) zeros << 32 | Integer.toUnsignedLong(allocated);
    }

    /** The bits of the subclusters {@code from..to-1}, {@code 0 <= from < to <= 32}. */
    static int mask(int from, int to) {
        return ALL >>> (Integer.SIZE - (to - from)) << from;
    }
}
