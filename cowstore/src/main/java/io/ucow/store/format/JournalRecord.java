package io.ucow.store.format;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * One record of the journal: 32 bytes, little-endian. A sector holds sixteen, none straddles a sector.
 * <pre>
 *   0 u32 crc     CRC32C of the store's uuid, then bytes 4..31
 *   4 u32 type    1 remap, 2 barrier, 3 overwrite
 *   8 u64 seq     position in the ring is seq modulo the ring's capacity
 *  16 u32 chunk   remap: first chunk                        barrier: 0
 *  20 u32 count   remap: chunks, 1..256                     barrier: 0
 *  24 u64 value   remap: entry of the first chunk, see      barrier: all records with a lower seq, and the
 *                 RemapEntry; a slot counts up by chunk,             data they point at, are durable
 *                 and misses no blocks if count is not 1
 * </pre>
 * An overwrite has, as chunk and count, the first of so many regions of the file, 32 MiB each, in which blocks may change
 * from then on without a further record; value 0. Source: docs/FORMAT.md.
 */
public final class JournalRecord {
    public static final int CRC = 0, TYPE = 4, SEQ = 8, CHUNK = 16, COUNT = 20, VALUE = 24, SIZE = 32;
    public static final int REMAP = 1, BARRIER = 2, OVERWRITE = 3;
    /** Most chunks that one record remaps: bounds what a hostile journal can make a reader do. */
    public static final int MAX_COUNT = 256;

    /** Binary logarithm of the bytes in a region. */
    public static final int REGION_SHIFT = 25;
    /** Regions that the largest file can have. */
    public static final long MAX_REGIONS = 1L << 28;

    private JournalRecord() {}

    /** Lays a record out at {@code at}, checksum included. {@code salt} holds the uuid, see {@link #salted}. */
    public static void encode(
            ByteBuffer buffer, int at, CRC32C salt, int type, long seq, long chunk, int count, long value) {
        buffer.putInt(at + TYPE, type);
        buffer.putLong(at + SEQ, seq);
        buffer.putInt(at + CHUNK, (int) chunk);
        buffer.putInt(at + COUNT, count);
        buffer.putLong(at + VALUE, value);
        Crc.update(salt, buffer, at + TYPE, at + SIZE);
        buffer.putInt(at + CRC, (int) salt.getValue());
    }

    /** A checksum that already covers the uuid, so that no other store's record is ever taken for ours. */
    public static CRC32C salted(byte[] uuid) {
        CRC32C crc = new CRC32C();
        crc.update(uuid);
        return crc;
    }

    /** True when the record's checksum is right and it is the one with sequence number {@code seq}. */
    public static boolean isValid(ByteBuffer buffer, int at, CRC32C salt, long seq) {
        if (buffer.getLong(at + SEQ) != seq) {
            return false;
        }
        Crc.update(salt, buffer, at + TYPE, at + SIZE);
        return buffer.getInt(at + CRC) == (int) salt.getValue();
    }

    public static int type(ByteBuffer buffer, int at) {
        return buffer.getInt(at + TYPE);
    }

    public static long seq(ByteBuffer buffer, int at) {
        return buffer.getLong(at + SEQ);
    }

    public static long chunk(ByteBuffer buffer, int at) {
        return Integer.toUnsignedLong(buffer.getInt(at + CHUNK));
    }

    public static long count(ByteBuffer buffer, int at) {
        return Integer.toUnsignedLong(buffer.getInt(at + COUNT));
    }

    public static long value(ByteBuffer buffer, int at) {
        return buffer.getLong(at + VALUE);
    }
}
