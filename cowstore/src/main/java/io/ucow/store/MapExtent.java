package io.ucow.store;

/**
 * A maximal run of chunks that are alike: all unaltered, all zero, or altered and adjacent in the store as well.
 *
 * @param guestOffset first byte on the device
 * @param lengthBytes length, {@code >= 1}; ends at a chunk's or the device's end
 * @param source where its first chunk's bytes come from; the others follow on
 */
public record MapExtent(long guestOffset, long lengthBytes, ChunkSource source) {}
