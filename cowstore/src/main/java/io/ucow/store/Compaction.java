package io.ucow.store;

import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.Errno;
import java.io.IOException;

/**
 * Makes an image's file shorter while the device may be in use: chunks at its end move to free slots before them, then what
 * is free at the end is cut off. See ARCHITECTURE.md, "Life of a compaction".
 *
 * <p>The work is cut into steps, each of a few megabytes at most. It may be given up after any of them.
 *
 * <p>Threading: confined to one thread at a time.
 */
public final class Compaction {
    /** Moved at a time: how long a request to a chunk that moves may have to wait. */
    private static final int BATCH_BYTES = 1 << 20;
    /** Moved between two flushes, so that a guest's own flush does not find more than that to write. */
    private static final long FLUSH_BYTES = 8 << 20;
    /** Guests that write all the time leave something to do in each. */
    private static final int MAX_ROUNDS = 4;

    private final CowDevice device;
    private final CompactableStore store;
    private final Geometry geometry;
    private final long[] batch;
    private final long sizeBefore;
    private final long allocatedBefore;
    private int rounds;
    private SlotMover mover;
    /** The chunk to look at next. */
    private long next;

    private long movedBytes;
    private long totalBytes;
    private long flushedBytes;

    /** Told how far a compaction is. */
    public interface Listener {
        /** So many bytes are moved of those that will be; the latter may grow. */
        void progress(long movedBytes, long totalBytes);
    }

    Compaction(CowDevice device, CompactableStore store) throws IOException {
        this.device = device;
        this.store = store;
        this.geometry = store.geometry();
        this.batch = new long[Math.max(1, BATCH_BYTES >>> geometry.chunkShift())];
        this.sizeBefore = store.fileBytes();
        this.allocatedBefore = store.allocatedBytes();
    }

    /** Does a part of the work. @return false when there is nothing left to do */
    boolean step() throws IOException {
        if (mover == null) {
            beginRound();
            return true;
        }
        int n = collect();
        if (n == 0) {
            return endRound();
        }
        long before = mover.movedChunks();
        try {
            device.relocate(batch, n, mover);
        } catch (IOException e) {
            // On a full disk what was moved gives its old place back with the next barrier.
            if (Errno.of(e) != Errno.ENOSPC || !store.reclaim()) {
                throw e;
            }
            next = batch[0];
        }
        movedBytes += (mover.movedChunks() - before) << geometry.chunkShift();
        if (movedBytes - flushedBytes >= FLUSH_BYTES) {
            store.reclaim();
            flushedBytes = movedBytes;
        }
        if (mover.isFull()) {
            next = geometry.chunkCount();
        }
        return true;
    }

    private void beginRound() throws IOException {
        store.reclaim();
        long limit = store.compactLimit();
        mover = device.slotMover(limit, limit);
        next = 0;
        long chunks = 0;
        while ((next = nextWanted(next)) < geometry.chunkCount()) {
            chunks++;
            next++;
        }
        totalBytes = movedBytes + (chunks << geometry.chunkShift());
        next = 0;
    }

    private int collect() throws IOException {
        int n = 0;
        while (n < batch.length && (next = nextWanted(next)) < geometry.chunkCount()) {
            batch[n++] = next++;
        }
        return n;
    }

    /** The first chunk from {@code chunk} on that is to be moved; the chunk count when there is none. */
    private long nextWanted(long chunk) throws IOException {
        long at = chunk;
        while (at < geometry.chunkCount()) {
            long entry = store.lookup(at);
            if (mover.wants(at, entry)) {
                return at;
            }
            at = RemapEntry.isOrigin(entry) ? Math.max(at + 1, store.nextPresent(at)) : at + 1;
        }
        return geometry.chunkCount();
    }

    private boolean endRound() throws IOException {
        store.reclaim();
        store.shrink();
        boolean again = mover.movedChunks() > 0 && ++rounds < MAX_ROUNDS;
        mover = null;
        return again;
    }

    /** Bytes moved so far. */
    long movedBytes() {
        return movedBytes;
    }

    /** Bytes moved, and to be moved, as far as is known. */
    long totalBytes() {
        return totalBytes;
    }

    /** What was done so far. */
    CompactReport report() throws IOException {
        return new CompactReport(movedBytes, sizeBefore, store.fileBytes(), allocatedBefore, store.allocatedBytes());
    }
}
