package io.ucow.store;

import java.io.IOException;

/** Decides which chunks move, and where to; see {@link CowDevice#relocate}. */
public interface ChunkMover {
    /**
     * Whether a chunk that is at {@code entry} is to be moved. It is asked while nobody else can change the mapping.
     *
     * @param entry of a chunk of any kind
     */
    boolean wants(long chunk, long entry) throws IOException;

    /**
     * Copies chunks to places that it takes from the store, and commits each. Nobody changes any of them meanwhile, so it
     * should not take long; chunks that it does not commit stay as they are. On failure it gives back places that it has
     * not committed.
     *
     * @param chunks those that are wanted and that nobody was changing, at least one, in the order given
     */
    void move(FrozenChunks chunks) throws IOException;
}
