package io.ucow.store.journal;

import io.ucow.store.codec.Lz4Codec;
import io.ucow.store.format.PackedChunk;
import io.ucow.sys.BufferPool;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * Chunks of one store in the form that they have in packs, in memory: makes it, and undoes it segment by segment, having
 * checked every length and checksum.
 *
 * <p>Threading: any number of threads; buffers are the callers', and direct. Nothing is allocated unless it throws.
 */
final class PackedForm {
    /** What {@link #pack} leaves a packed chunk to save at least: see there. */
    private static final int LEAST_SAVING_BYTES = 8192;

    static final int SECTOR = 512;

    private final byte[] uuid;
    private final int chunkSize;
    private final int segmentShift;
    private final int segments;
    private final ThreadLocal<CRC32C> checksums = ThreadLocal.withInitial(CRC32C::new);
    private final BufferPool compressed;

    PackedForm(byte[] uuid, int chunkShift) {
        this.uuid = uuid;
        this.chunkSize = 1 << chunkShift;
        this.segmentShift = PackedChunk.segmentShift(chunkShift);
        this.segments = chunkSize >>> segmentShift;
        this.compressed = new BufferPool(Lz4Codec.bound(1 << segmentShift));
    }

    /** Binary logarithm of a segment's size. */
    int segmentShift() {
        return segmentShift;
    }

    /** Segments of a chunk. */
    int segments() {
        return segments;
    }

    /** The most bytes that {@link #pack} makes of a chunk. */
    int mostBytes() {
        return chunkSize - LEAST_SAVING_BYTES;
    }

    /**
     * Packs a chunk, unless that saves too little. Of what it takes in the file, the first and the last 4 KiB may be shared
     * with neighbours that are gone, and then belong to it alone. Where it saves {@value #LEAST_SAVING_BYTES} bytes, it
     * takes less than its slot even so, and no order of writes and discards makes the file larger by packing.
     *
     * @param raw the chunk from 0 on, all of it
     * @param heldBytes what it takes in its slot
     * @param stored receives the packed form from {@code at} on, {@link #mostBytes} at the most
     * @return its length in bytes, whole sectors; 0 when it is not worth it
     */
    int pack(long chunk, ByteBuffer raw, int heldBytes, ByteBuffer stored, int at) {
        CRC32C crc = checksums.get();
        int size = 1 << segmentShift;
        int end = at + PackedChunk.headerBytes(segments);
        int most = heldBytes - LEAST_SAVING_BYTES;
        ByteBuffer out = compressed.take();
        try {
            for (int i = 0; i < segments; i++) {
                int n = Lz4Codec.compress(raw, i << segmentShift, size, out, 0);
                boolean smaller = n < size;
                n = Math.min(n, size);
                if (end + n - at > most) {
                    return 0;
                }
                stored.put(end, smaller ? out : raw, smaller ? 0 : i << segmentShift, n);
                PackedChunk.setSegment(stored, at, i, end, n, crc);
                end += n;
            }
        } finally {
            compressed.give(out);
        }
        PackedChunk.seal(stored, at, uuid, chunk, segments, crc);
        while ((end - at) % SECTOR != 0) {
            stored.put(end++, (byte) 0);
        }
        return end - at;
    }

    /** @throws IOException if {@code stored}, which has the header from 0 on, is not of that chunk and length */
    void requireHeader(ByteBuffer stored, long chunk, int storedBytes) throws IOException {
        String problem =
                PackedChunk.problem(stored, uuid, chunk, segments, 1 << segmentShift, storedBytes, checksums.get());
        if (problem != null) {
            throw new IOException(problem);
        }
    }

    /** Where a segment's bytes begin in {@code stored}, whose header was checked. */
    int start(ByteBuffer stored, int segment) {
        return PackedChunk.start(stored, segment, segments);
    }

    /** Where they end, exclusive. */
    int end(ByteBuffer stored, int segment) {
        return start(stored, segment) + PackedChunk.length(stored, segment);
    }

    /**
     * Puts a segment's content into {@code dst} from {@code at} on.
     *
     * @throws IOException if it is not what was stored
     */
    void unpack(ByteBuffer stored, int segment, ByteBuffer dst, int at) throws IOException {
        int from = start(stored, segment);
        int length = PackedChunk.length(stored, segment);
        if (!PackedChunk.isIntact(stored, segment, from, checksums.get())) {
            throw new IOException("segment " + segment + " of packed chunk has another checksum than its header says");
        }
        if (length == 1 << segmentShift) {
            dst.put(at, stored, from, length);
        } else {
            Lz4Codec.decompress(stored, from, length, dst, at, 1 << segmentShift);
        }
    }
}
