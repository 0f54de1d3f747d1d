package io.ucow.store;

/** Where a chunk's bytes come from, as people and tests see it; the request path uses {@link RemapEntry} instead. */
public sealed interface ChunkSource {
    /** Unaltered: read from the base, or zeros past its end. */
    record Origin() implements ChunkSource {}

    /** Reads as zeros and holds no slot. */
    record Zero() implements ChunkSource {}

    /**
     * Altered: held by the store.
     *
     * @param storeOffset where the chunk, or that part of it which is meant, starts in the store file, in bytes
     * @param storedBytes bytes set aside for the chunk there
     */
    record Slot(long storeOffset, int storedBytes) implements ChunkSource {}

    /**
     * Altered, and compressed: to be read through the store only.
     *
     * @param storeOffset where it is in the store file, in bytes
     * @param storedBytes bytes that it takes there
     */
    record Packed(long storeOffset, int storedBytes) implements ChunkSource {}
}
