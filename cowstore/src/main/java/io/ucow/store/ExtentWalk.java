package io.ucow.store;

import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.util.function.Consumer;

/**
 * Goes through a store's map once and tells of maximal extents, in order and without gaps. While the device is being
 * written to, the picture is that of no single instant.
 *
 * <p>Threading: for one thread; others may change the store meanwhile.
 */
final class ExtentWalk {
    private final ExceptionStore store;
    private final Geometry geometry;
    private final Blocks blocks;
    private final Consumer<MapExtent> visitor;
    /** What may go on in the next piece; null before the first. */
    private MapExtent pending;

    ExtentWalk(ExceptionStore store, Blocks blocks, Consumer<MapExtent> visitor) {
        this.store = store;
        this.geometry = store.geometry();
        this.blocks = blocks;
        this.visitor = visitor;
    }

    /** Calls the visitor for each extent. */
    void run() throws IOException {
        long chunkCount = geometry.chunkCount();
        long end;
        for (long chunk = 0; chunk < chunkCount; chunk = end) {
            long entry = store.lookup(chunk);
            end = endOfRun(chunk, entry);
            if (RemapEntry.isPartial(entry)) {
                addBlocks(chunk, entry);
            } else {
                long start = geometry.startOf(chunk);
                add(start, Math.min(geometry.startOf(end), geometry.sizeBytes()) - start, store.locate(entry));
            }
        }
        visitor.accept(pending);
    }

    /** The chunk after those that one entry's extent covers. */
    private long endOfRun(long chunk, long entry) throws IOException {
        long chunkCount = geometry.chunkCount();
        long end = RemapEntry.isOrigin(entry) ? Math.max(chunk + 1, store.nextPresent(chunk)) : chunk + 1;
        long previous = entry;
        while (end < chunkCount) {
            long next = store.lookup(end);
            if (!RemapEntry.continues(previous, next)) {
                return end;
            }
            previous = next;
            end = RemapEntry.isOrigin(next) ? Math.max(end + 1, store.nextPresent(end)) : end + 1;
        }
        return end;
    }

    /** Adds the runs of blocks that a partial entry's slot holds, and those that it does not. */
    private void addBlocks(long chunk, long entry) {
        int length = geometry.lengthOf(chunk);
        int missing = RemapEntry.missing(entry);
        int to;
        for (int from = 0; from < length; from = to) {
            to = Math.min(blocks.runEnd(missing, from), length);
            ChunkSource source = store.locate(blocks.contains(missing, from) ? RemapEntry.ORIGIN : entry);
            if (source instanceof ChunkSource.Slot slot) {
                source = new ChunkSource.Slot(slot.storeOffset() + from, slot.storedBytes());
            }
            add(geometry.startOf(chunk) + from, to - from, source);
        }
    }

    private void add(long guestOffset, long lengthBytes, ChunkSource source) {
        if (pending != null && goesOn(source)) {
            pending = new MapExtent(pending.guestOffset(), pending.lengthBytes() + lengthBytes, pending.source());
            return;
        }
        if (pending != null) {
            visitor.accept(pending);
        }
        pending = new MapExtent(guestOffset, lengthBytes, source);
    }

    private boolean goesOn(ChunkSource source) {
        if (pending.source() instanceof ChunkSource.Slot before && source instanceof ChunkSource.Slot next) {
            return before.storedBytes() == geometry.chunkSize()
                    && next.storedBytes() == geometry.chunkSize()
                    && before.storeOffset() + pending.lengthBytes() == next.storeOffset();
        }
        return pending.source().equals(source);
    }
}
