package io.ucow.store;

/**
 * How a device is cut into chunks. The last chunk may be shorter than the others.
 *
 * @param sizeBytes capacity in bytes, {@code >= 1}
 * @param chunkShift binary logarithm of the chunk size
 */
public record Geometry(long sizeBytes, int chunkShift) {
    /** Smallest chunk of ucow's own format: 4 KiB, a page. */
    public static final int MIN_CHUNK_SHIFT = 12;
    /** Largest chunk of ucow's own format: 1 MiB, the longest request of any transport. */
    public static final int MAX_CHUNK_SHIFT = 20;
    /** Smallest chunk of any format: a sector. */
    public static final int MIN_SHIFT = 9;
    /** Largest chunk of any format: 2 MiB. */
    public static final int MAX_SHIFT = 21;
    /** Most chunks a device may have: 16 TiB of 4 KiB chunks, 4 PiB of 1 MiB chunks. */
    public static final long MAX_CHUNKS = 1L << 32;

    /** @throws IllegalArgumentException naming the first value out of range */
    public Geometry {
        if (chunkShift < MIN_SHIFT || chunkShift > MAX_SHIFT) {
            throw new IllegalArgumentException(
                    "chunk size 2^" + chunkShift + " is not between 512 bytes (2^9) and 2 MiB (2^21)");
        }
        if (sizeBytes < 1 || sizeBytes > MAX_CHUNKS << chunkShift) {
            throw new IllegalArgumentException("device size " + sizeBytes + " is not between 1 and "
                    + (MAX_CHUNKS << chunkShift) + " bytes, the limit for chunks of " + (1 << chunkShift) + " bytes");
        }
    }

    /** Bytes in every chunk but perhaps the last. */
    public int chunkSize() {
        return 1 << chunkShift;
    }

    /** Number of chunks, the last partial one included. */
    public long chunkCount() {
        return (sizeBytes + chunkSize() - 1) >>> chunkShift;
    }

    /** The chunk that holds {@code guestOffset}. */
    public long chunkOf(long guestOffset) {
        return guestOffset >>> chunkShift;
    }

    /** Where {@code guestOffset} lies in its chunk, {@code 0..chunkSize()-1}. */
    public int offsetInChunk(long guestOffset) {
        return (int) guestOffset & (chunkSize() - 1);
    }

    /** First byte of {@code chunk}. */
    public long startOf(long chunk) {
        return chunk << chunkShift;
    }

    /** Bytes of the device in {@code chunk}: {@link #chunkSize} except for a partial last one. */
    public int lengthOf(long chunk) {
        return (int) Math.min(chunkSize(), sizeBytes - startOf(chunk));
    }
}
