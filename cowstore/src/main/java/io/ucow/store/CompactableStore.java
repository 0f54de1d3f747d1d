package io.ucow.store;

import java.io.IOException;

/**
 * A store whose chunks can be moved, so that its file becomes shorter.
 *
 * <p>Threading: as {@link ExceptionStore}.
 */
public interface CompactableStore extends ExceptionStore {
    /** The file's length in bytes, holes included. */
    long fileBytes() throws IOException;

    /**
     * The first slot that would not be needed if all that is in use lay together at the front. Space freed earlier counts
     * as in use until {@link #reclaim}; space set aside for metadata is given back.
     */
    long compactLimit() throws IOException;

    /** Moves metadata that lies behind all else to free slots before it, then cuts off what is free at the file's end. */
    void shrink() throws IOException;
}
