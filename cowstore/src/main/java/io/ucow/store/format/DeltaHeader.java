package io.ucow.store.format;

import io.ucow.store.ContentId;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Optional;

/**
 * What a backup stream begins with: 128 bytes, little-endian.
 * <pre>
 *   0 u8[8] magic "UCOWDELT"          36 u32 relative: 1 to another content, 0 to zeros
 *   8 u32 version, 1                  40 u64 content: id of what there is in the end
 *  12 u32 crc, of the 128 bytes with  48 u64 since: device size, bytes
 *     this field zero                 56 u64 since: content id
 *  16 u64 incompatible features, 0    64 u8[32] since: fingerprint
 *  24 u64 device size, bytes          96 u8[32] reserved, 0
 *  32 u32 chunk shift of the source
 * </pre>
 * Source: docs/FORMAT.md.
 *
 * @param geometry device size of what there is in the end, and the chunk size of where it comes from
 * @param content id of what there is in the end, see {@link Superblock#contentId}
 * @param since what the stream is relative to; empty when it has all of the device
 */
public record DeltaHeader(Geometry geometry, ContentId content, Optional<Since> since) {
    public static final int SIZE = 128;

    private static final byte[] MAGIC_BYTES = "UCOWDELT".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION = 1;
    private static final int VERSION_AT = 8, CRC = 12, INCOMPATIBLE = 16, DEVICE_SIZE = 24, CHUNK_SHIFT = 32;
    private static final int RELATIVE = 36, CONTENT = 40, SINCE_SIZE = 48, SINCE_CONTENT = 56, FINGERPRINT = 64;

    /**
     * A content that both sides have.
     *
     * @param sizeBytes of its device
     * @param content its id
     * @param fingerprint as in {@link OriginReference}
     */
    public record Since(long sizeBytes, ContentId content, String fingerprint) {}

    /** Lays it out at the start of {@code block}, which has at least {@link #SIZE} bytes. */
    public void encode(ByteBuffer block) {
        for (int i = 0; i < SIZE; i += Long.BYTES) {
            block.putLong(i, 0);
        }
        block.put(0, MAGIC_BYTES);
        block.putInt(VERSION_AT, VERSION);
        block.putLong(DEVICE_SIZE, geometry.sizeBytes());
        block.putInt(CHUNK_SHIFT, geometry.chunkShift());
        block.putLong(CONTENT, content.value());
        if (since.isPresent()) {
            block.putInt(RELATIVE, 1);
            block.putLong(SINCE_SIZE, since.get().sizeBytes());
            block.putLong(SINCE_CONTENT, since.get().content().value());
            block.put(FINGERPRINT, HexFormat.of().parseHex(since.get().fingerprint()));
        }
        block.putInt(CRC, Crc.of(block, 0, SIZE));
    }

    /**
     * Reads the first {@link #SIZE} bytes of {@code block}.
     *
     * @param name the stream's name, for messages
     * @throws UnsupportedFormatException if it is no such stream, or of another version or with an unknown feature
     * @throws CorruptStoreException naming what cannot be
     */
    public static DeltaHeader decode(ByteBuffer block, String name)
            throws UnsupportedFormatException, CorruptStoreException {
        for (int i = 0; i < MAGIC_BYTES.length; i++) {
            if (block.get(i) != MAGIC_BYTES[i]) {
                throw new UnsupportedFormatException(name + ": is not a stream that 'ucow export' wrote");
            }
        }
        if (block.getInt(VERSION_AT) != VERSION || block.getLong(INCOMPATIBLE) != 0) {
            throw new UnsupportedFormatException(name + ": stream of version "
                    + Integer.toUnsignedString(block.getInt(VERSION_AT)) + " with incompatible features 0x"
                    + Long.toHexString(block.getLong(INCOMPATIBLE)) + ", this program knows version " + VERSION
                    + " and none; use a newer ucow");
        }
        int stored = block.getInt(CRC);
        block.putInt(CRC, 0);
        int computed = Crc.of(block, 0, SIZE);
        block.putInt(CRC, stored);
        if (stored != computed) {
            throw new CorruptStoreException(
                    String.format("%s at 0x0: header has crc 0x%08x, expected 0x%08x", name, stored, computed));
        }
        int shift = (int)
                in(name, "chunk shift", block.getInt(CHUNK_SHIFT), Geometry.MIN_CHUNK_SHIFT, Geometry.MAX_CHUNK_SHIFT);
        long size = in(name, "device size", block.getLong(DEVICE_SIZE), 1, Geometry.MAX_CHUNKS << shift);
        boolean relative = in(name, "relative", block.getInt(RELATIVE), 0, 1) == 1;
        byte[] fingerprint = new byte[OriginReference.FINGERPRINT_BYTES];
        block.get(FINGERPRINT, fingerprint);
        return new DeltaHeader(
                new Geometry(size, shift),
                new ContentId(block.getLong(CONTENT)),
                relative
                        ? Optional.of(new Since(
                                in(name, "size since", block.getLong(SINCE_SIZE), 1, Long.MAX_VALUE),
                                new ContentId(block.getLong(SINCE_CONTENT)),
                                HexFormat.of().formatHex(fingerprint)))
                        : Optional.empty());
    }

    private static long in(String name, String field, long value, long min, long max) throws CorruptStoreException {
        if (value < min || value > max) {
            throw new CorruptStoreException(
                    name + " at 0x0: header has " + field + " " + value + ", expected " + min + ".." + max);
        }
        return value;
    }
}
