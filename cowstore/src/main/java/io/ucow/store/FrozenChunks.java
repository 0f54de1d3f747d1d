package io.ucow.store;

import java.io.IOException;
import java.util.Objects;

/**
 * Altered chunks that nobody writes to while they move: their futures are held, and their entries frozen. See
 * ARCHITECTURE.md, "Life of a move".
 *
 * <p>Threading: confined to the thread that moves them.
 */
public final class FrozenChunks {
    private final ExceptionStore store;
    private final ChunkFutures futures;
    private final long[] chunks;
    private final long[] entries;
    /** Those whose move is committed: their futures are complete. */
    private final boolean[] committed;

    private int size;
    private int moved;

    FrozenChunks(ExceptionStore store, ChunkFutures futures, int capacity) {
        this.store = store;
        this.futures = futures;
        this.chunks = new long[capacity];
        this.entries = new long[capacity];
        this.committed = new boolean[capacity];
    }

    /** Freezes a chunk that nobody is changing and that {@code mover} wants. */
    void tryAdd(long chunk, ChunkMover mover) throws IOException {
        if (!futures.tryClaim(chunk)) {
            return;
        }
        boolean added = false;
        try {
            long entry = store.lookup(chunk);
            if (mover.wants(chunk, entry)) {
                store.freeze(chunk);
                chunks[size] = chunk;
                entries[size++] = entry;
                added = true;
            }
        } finally {
            if (!added) {
                futures.complete(chunk);
            }
        }
    }

    /** How many there are. */
    public int size() {
        return size;
    }

    /** The number of one, {@code 0 <= i < size()}. */
    public long chunk(int i) {
        return chunks[Objects.checkIndex(i, size)];
    }

    /** Where it is: what {@link ExceptionStore#read} takes. */
    public long entry(int i) {
        return entries[Objects.checkIndex(i, size)];
    }

    /**
     * Makes {@code entry} the place of {@code count} chunks, adjacent ones here and on the device, as {@link
     * ExceptionStore#commit}; whoever waits for them goes on. The bytes are there already.
     */
    public void commit(int i, int count, long entry) throws IOException {
        Objects.checkFromIndexSize(i, count, size);
        store.commit(chunks[i], count, entry);
        for (int at = i; at < i + count; at++) {
            committed[at] = true;
            futures.complete(chunks[at]);
        }
        moved += count;
    }

    int moved() {
        return moved;
    }

    /** Lets go of those that were not committed. */
    void thaw() {
        for (int i = 0; i < size; i++) {
            if (!committed[i]) {
                store.thaw(chunks[i]);
                futures.complete(chunks[i]);
            }
        }
    }
}
