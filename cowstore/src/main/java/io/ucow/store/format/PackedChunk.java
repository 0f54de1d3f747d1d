package io.ucow.store.format;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * What precedes a compressed chunk in the file, little-endian. The chunk is cut into segments, each compressed by itself,
 * so that a small read need not undo all of it; their bytes follow one behind the other, and zeros up to a sector's end.
 * <pre>
 *   0 u32 crc of the store's uuid, then of bytes 4 up to the first segment's
 *   4 u32 chunk number
 *   8 + 8 i   u32 length of segment i in bytes; that of the segment itself: it is stored as it is
 *  12 + 8 i   u32 crc of those bytes
 * </pre>
 * Source: docs/FORMAT.md.
 */
public final class PackedChunk {
    public static final int CRC = 0, CHUNK = 4, TABLE = 8;

    private static final int ENTRY_BYTES = 8;
    private static final int MIN_SEGMENT_SHIFT = 13;
    private static final int MAX_SEGMENTS_SHIFT = 4;

    private PackedChunk() {}

    /** Binary logarithm of a segment's size: 8 KiB, and no more than sixteen of them. */
    public static int segmentShift(int chunkShift) {
        return Math.max(MIN_SEGMENT_SHIFT, chunkShift - MAX_SEGMENTS_SHIFT);
    }

    /** Where the first segment's bytes are; well within a sector. */
    public static int headerBytes(int segments) {
        return TABLE + segments * ENTRY_BYTES;
    }

    /** Notes a segment whose bytes are at {@code from} already. */
    public static void setSegment(ByteBuffer stored, int at, int segment, int from, int lengthBytes, CRC32C crc) {
        stored.putInt(at + TABLE + segment * ENTRY_BYTES, lengthBytes);
        stored.putInt(at + TABLE + segment * ENTRY_BYTES + 4, crcOf(stored, from, lengthBytes, crc));
    }

    /** Completes a header all of whose segments are set. */
    public static void seal(ByteBuffer stored, int at, byte[] uuid, long chunk, int segments, CRC32C crc) {
        stored.putInt(at + CHUNK, (int) chunk);
        stored.putInt(at + CRC, headerCrc(stored, at, uuid, segments, crc));
    }

    /** What is wrong with a header, null if nothing is: every segment then lies within {@code storedBytes}. */
    public static String problem(
            ByteBuffer stored, byte[] uuid, long chunk, int segments, int segmentBytes, int storedBytes, CRC32C crc) {
        int computed = headerCrc(stored, 0, uuid, segments, crc);
        if (stored.getInt(CRC) != computed) {
            return String.format("packed chunk has crc 0x%08x, expected 0x%08x", stored.getInt(CRC), computed);
        }
        if (stored.getInt(CHUNK) != (int) chunk) {
            return "packed chunk is " + Integer.toUnsignedLong(stored.getInt(CHUNK)) + ", expected " + chunk;
        }
        int end = headerBytes(segments);
        for (int i = 0; i < segments; i++) {
            int length = length(stored, i);
            if (length < 1 || length > segmentBytes || length > storedBytes - end) {
                return "segment " + i + " of packed chunk " + chunk + " has " + length + " bytes, expected 1.."
                        + Math.min(segmentBytes, storedBytes - end);
            }
            end += length;
        }
        return null;
    }

    /** Bytes of a segment of a header in which nothing is wrong. */
    public static int length(ByteBuffer stored, int segment) {
        return stored.getInt(TABLE + segment * ENTRY_BYTES);
    }

    /** Where a segment's bytes begin. */
    public static int start(ByteBuffer stored, int segment, int segments) {
        int at = headerBytes(segments);
        for (int i = 0; i < segment; i++) {
            at += length(stored, i);
        }
        return at;
    }

    /** True when a segment's bytes, at {@code from}, are those that were stored. */
    public static boolean isIntact(ByteBuffer stored, int segment, int from, CRC32C crc) {
        return stored.getInt(TABLE + segment * ENTRY_BYTES + 4) == crcOf(stored, from, length(stored, segment), crc);
    }

    private static int headerCrc(ByteBuffer stored, int at, byte[] uuid, int segments, CRC32C crc) {
        crc.reset();
        crc.update(uuid);
        Crc.update(crc, stored, at + CHUNK, at + headerBytes(segments));
        return (int) crc.getValue();
    }

    private static int crcOf(ByteBuffer stored, int from, int lengthBytes, CRC32C crc) {
        crc.reset();
        Crc.update(crc, stored, from, from + lengthBytes);
        return (int) crc.getValue();
    }
}
