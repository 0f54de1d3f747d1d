package io.ucow.store;

import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Moves chunks from slots at the end of a store to free ones before them. What a chunk has of zeros costs no storage
 * afterwards, and no slot where it is all zeros.
 *
 * <p>Threading: confined to one thread.
 */
final class SlotMover implements ChunkMover {
    /** What file systems keep holes in multiples of. */
    private static final int PAGE = 4096;

    private final ExceptionStore store;
    private final int chunkSize;
    private final Blocks blocks;
    private final BufferPool scratch;
    private final long from;
    private final long below;
    private long movedChunks;
    private boolean full;

    /**
     * @param from chunks in this slot or a later one are moved
     * @param below they go to slots before this one
     */
    SlotMover(ExceptionStore store, Blocks blocks, long from, long below) {
        this.store = store;
        this.chunkSize = store.geometry().chunkSize();
        this.blocks = blocks;
        this.scratch = BufferPool.shared(store.geometry().chunkShift());
        this.from = from;
        this.below = below;
    }

    /** Chunks moved so far. */
    long movedChunks() {
        return movedChunks;
    }

    /** True once there was no free slot to move to. */
    boolean isFull() {
        return full;
    }

    @Override
    public boolean wants(long chunk, long entry) {
        return RemapEntry.isSlot(entry) && RemapEntry.slotOf(entry) >= from;
    }

    @Override
    public void move(FrozenChunks chunks) throws IOException {
        ByteBuffer buffer = scratch.take();
        try {
            int n;
            for (int i = 0; i < chunks.size() && !full; i += n) {
                n = isZeros(chunks.entry(i), buffer) ? drop(chunks, i) : moveRun(chunks, i, buffer);
                movedChunks += n;
            }
        } finally {
            scratch.give(buffer);
        }
    }

    /** Reads a whole chunk. @return true when it is one, and all zeros */
    private boolean isZeros(long entry, ByteBuffer buffer) throws IOException {
        if (!RemapEntry.isWhole(entry)) {
            return false;
        }
        store.read(entry, 0, buffer.clear().limit(chunkSize));
        return Zeros.isAll(buffer, 0, chunkSize);
    }

    private static int drop(FrozenChunks chunks, int i) throws IOException {
        chunks.commit(i, 1, RemapEntry.ZERO);
        return 1;
    }

    /** Moves chunks from the {@code i}th on, as many as one run of slots and one record take. @return how many */
    private int moveRun(FrozenChunks chunks, int i, ByteBuffer buffer) throws IOException {
        long run;
        try {
            run = store.allocate(chunks.chunk(i), lengthOfRecord(chunks, i));
        } catch (StoreFullException e) {
            full = true; // guests took what was free
            return 0;
        }
        long slot = SlotRun.slot(run);
        int usable = (int) Math.max(0, Math.min(SlotRun.count(run), below - slot));
        int n = 0;
        boolean written = false;
        try {
            for (; n < usable && (n == 0 || !isZeros(chunks.entry(i + n), buffer)); n++) {
                copy(chunks.entry(i + n), slot + n, buffer);
            }
            written = true;
        } catch (IOException e) {
            // Of what a full disk has room for is moved as much as there is; the next run meets the same.
            written = n > 0 && Errno.of(e) == Errno.ENOSPC;
            if (!written) {
                throw e;
            }
        } finally {
            int kept = written ? n : 0;
            if (kept < SlotRun.count(run)) {
                store.release(chunks.chunk(i) + kept, RemapEntry.slot(slot + kept), SlotRun.count(run) - kept);
            }
        }
        full = n == 0;
        if (n > 0) {
            chunks.commit(i, n, RemapEntry.withMissing(RemapEntry.slot(slot), RemapEntry.missing(chunks.entry(i))));
        }
        return n;
    }

    /** How many chunks from the {@code i}th on can be one record: adjacent whole ones, or one that is not whole. */
    private int lengthOfRecord(FrozenChunks chunks, int i) {
        int n = 1;
        if (RemapEntry.isWhole(chunks.entry(i))) {
            while (i + n < chunks.size()
                    && n < store.maxCommit()
                    && chunks.chunk(i + n) == chunks.chunk(i) + n
                    && RemapEntry.isWhole(chunks.entry(i + n))) {
                n++;
            }
        }
        return n;
    }

    /** Copies the blocks that a chunk's slot holds. */
    private void copy(long entry, long slot, ByteBuffer buffer) throws IOException {
        int missing = RemapEntry.missing(entry);
        int to;
        for (int at = 0; at < chunkSize; at = to) {
            to = blocks.runEnd(missing, at);
            if (!blocks.contains(missing, at)) {
                store.read(entry, at, buffer.clear().limit(to).position(at));
                // A hole does not make the file longer; before the old slot there is no need to.
                boolean keepHoles = slot < RemapEntry.slotOf(entry);
                write(RemapEntry.slot(slot), at, to, buffer, keepHoles);
            }
        }
    }

    /** Writes the bytes {@code from..to-1} of a chunk, which are at the same indices of {@code buffer}. */
    private void write(long place, int from, int to, ByteBuffer buffer, boolean keepHoles) throws IOException {
        buffer.clear();
        int end;
        for (int at = from; at < to; at = end) {
            boolean zeros = keepHoles && Zeros.isAll(buffer, at, PAGE);
            end = at + PAGE;
            while (end < to && zeros == (keepHoles && Zeros.isAll(buffer, end, PAGE))) {
                end += PAGE;
            }
            if (zeros) {
                store.zero(place, at, end - at);
            } else {
                store.write(place, at, buffer.limit(end).position(at));
                buffer.clear();
            }
        }
    }
}
