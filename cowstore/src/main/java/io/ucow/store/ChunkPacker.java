package io.ucow.store;

import java.io.IOException;

/**
 * Moves chunks that nobody has written to for a while to where they take less space. The store knows which these are and
 * how to do it, the engine keeps writers away meanwhile and says when, see {@link CowDevice#relocate}.
 *
 * <p>Chunks are visited in rounds: one that was written to since the round before is passed over and gets a second chance
 * in the next.
 *
 * <p>Threading: any number of threads may pack at once; each gets other chunks of the round.
 */
public interface ChunkPacker extends ChunkMover {
    /** What {@link #next} says at the end of a round. */
    int ROUND_OVER = -1;

    /**
     * The next chunks of this round that look cold, ascending.
     *
     * @param chunks receives their numbers
     * @return how many, {@code 0..chunks.length}; {@link #ROUND_OVER} at its end, and the next call begins another
     */
    int next(long[] chunks) throws IOException;

    /**
     * True when another round may find something: chunks were written to since the last one began, or it passed some over.
     */
    boolean hasWork();

    /** Has {@code wake} called, by a thread that writes, when {@link #hasWork} becomes true; at most once for each round. */
    void onWork(Runnable wake);
}
