package io.ucow.store.remap;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.util.concurrent.atomic.LongAdder;

/**
 * The remap map of one device: a {@link RemapEntry} for each chunk, and which leaves changed since the last checkpoint.
 *
 * <p>A chunk that is about to move is <em>frozen</em>: to lookups it is what it was, but no longer to those that would
 * write it in place.
 *
 * <p>Threading: all methods are lock-free. Of {@link #publish}, {@link #freeze} and {@link #thaw} no two may run at the
 * same time for one chunk: the caller holds the chunk's future.
 */
public final class RemapTable extends TreeTable {
    private final int fanout;
    private final SparseLongs entries;
    private final SparseLongs present;
    private final LongAdder alteredChunks = new LongAdder();
    private final LongAdder zeroChunks = new LongAdder();
    private final LongAdder packedChunks = new LongAdder();
    private final LongAdder packedBytes = new LongAdder();

    /**
     * @param chunkCount number of chunks, {@code >= 1}
     * @param fanout children of a node and chunks of a leaf, {@code >= 2}
     * @throws NativeException if the address space cannot be had
     */
    public RemapTable(long chunkCount, int fanout) throws NativeException {
        super(chunkCount, fanout, 1);
        this.fanout = fanout;
        this.entries = new SparseLongs(chunkCount);
        this.present = new SparseLongs((nodeCount(0) + 63) / 64);
    }

    /** Number of chunks. */
    public long chunkCount() {
        return valueCount();
    }

    @Override
    public long value(long chunk) {
        return lookup(chunk);
    }

    /** Chunks now held in the store. */
    public long alteredChunks() {
        return alteredChunks.sum();
    }

    /** Chunks that now read as zeros without a slot. */
    public long zeroChunks() {
        return zeroChunks.sum();
    }

    /** Those of {@link #alteredChunks} that are packed. */
    public long packedChunks() {
        return packedChunks.sum();
    }

    /** Bytes that these take in the file. */
    public long packedBytes() {
        return packedBytes.sum();
    }

    /** The entry of {@code chunk}, {@code 0 <= chunk < chunkCount()}. */
    public long lookup(long chunk) {
        return RemapEntry.thawed(entries.get(chunk));
    }

    /** As {@link #lookup}; while the chunk is frozen, an entry for which {@link RemapEntry#isSlot} does not hold. */
    public long lookupToWrite(long chunk) {
        return entries.get(chunk);
    }

    /** Freezes {@code chunk}, until {@link #thaw} or {@link #publish}. Lookups that start after this returns see it. */
    public void freeze(long chunk) {
        entries.set(chunk, RemapEntry.frozen(entries.get(chunk)));
    }

    /** Ends what {@link #freeze} began, the entry unchanged. */
    public void thaw(long chunk) {
        entries.set(chunk, lookup(chunk));
    }

    /**
     * Points {@code chunk} at {@code entry}: every lookup that starts after this returns sees it, and the next
     * checkpoint writes it.
     *
     * @return the entry it had
     */
    public long publish(long chunk, long entry) {
        long previous = load(chunk, entry);
        markDirty(0, chunk / fanout);
        return previous;
    }

    /** As {@link #publish}, for an entry that the map on disk has already. */
    public long load(long chunk, long entry) {
        long previous = lookup(chunk);
        entries.set(chunk, entry);
        count(previous, -1);
        count(entry, 1);
        setBit(present, chunk / fanout);
        return previous;
    }

    private void count(long entry, int by) {
        if (RemapEntry.isZero(entry)) {
            zeroChunks.add(by);
        } else if (!RemapEntry.isOrigin(entry)) {
            alteredChunks.add(by);
            if (RemapEntry.isPacked(entry)) {
                packedChunks.add(by);
                packedBytes.add((long) by * RemapEntry.packedBytes(entry));
            }
        }
    }

    /**
     * The first chunk at or after {@code chunk} that may differ from ORIGIN, in whole leaves.
     *
     * @return a chunk number, or {@link #chunkCount} when all the rest is unaltered
     */
    public long nextPresent(long chunk) {
        long leaf = nextSetBit(present, chunk / fanout);
        return leaf < 0 ? chunkCount() : Math.max(chunk, leaf * fanout);
    }

    @Override
    public void close() throws NativeException {
        super.close();
        entries.close();
        present.close();
    }
}
