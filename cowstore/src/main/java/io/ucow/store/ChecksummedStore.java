package io.ucow.store;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A store that may have checksums of its blocks, to be compared with them.
 *
 * <p>Threading: as {@link ExceptionStore}.
 */
public interface ChecksummedStore extends CompactableStore {
    /** Told of each block that is looked at. */
    interface BlockVisitor {
        /**
         * This is what became of a block.
         *
         * @param offset of the block, {@link ChecksummedStore#summedBytes} long, in what was to be looked at
         */
        void block(int offset, BlockState state);
    }

    /** What was found of a block. */
    enum BlockState {
        /** It has the checksum that it should have. */
        SOUND,
        /** Its checksum was not known, and is now, should the store be open for changes. */
        LEARNED,
        /** It has another one. */
        DAMAGED
    }

    /** Whether there are any checksums; constant. */
    boolean hasChecksums();

    /** What a checksum is of: a power of two, at most a chunk. */
    int summedBytes();

    /**
     * Compares blocks with their checksums, and notes those that were not known. The caller is in a section.
     *
     * @param entry of a slot that holds them
     * @param offsetInChunk of the first one
     * @param scratch has room for {@code lengthBytes}
     * @param lengthBytes whole blocks, within the chunk
     */
    void scrub(long entry, int offsetInChunk, int lengthBytes, ByteBuffer scratch, BlockVisitor visitor)
            throws IOException;

    /** Makes the checksums of all that a slot holds unknown. Nobody else uses the store. */
    void forgetChecksums(long entry) throws IOException;
}
