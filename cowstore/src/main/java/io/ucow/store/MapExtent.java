package io.ucow.store;

/**
 * A maximal run of bytes that are alike: all unaltered, all zero, or altered and adjacent in the store as well.
 *
 * @param guestOffset first byte on the device, where a chunk begins or, in a chunk that is altered in part, a block
 * @param lengthBytes length, {@code >= 1}; ends at a chunk's, a block's or the device's end
 * @param source where its first bytes come from; the others follow on
 */
public record MapExtent(long guestOffset, long lengthBytes, ChunkSource source) {}
