package io.ucow.store;

import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;

/**
 * What a store holds of its device, and so hides of the origin: block by block, without reading any data. Once hidden, a
 * block stays so: a store never goes back to the origin's.
 *
 * <p>Threading: any; while others change the device, the answer for a block may be older or newer than that for the next.
 */
final class Shadow {
    /** Whose bytes the device has somewhere. */
    enum Kind {
        /** The origin's. */
        ORIGIN,
        /** Zeros, without any storage. */
        ZEROS,
        /** Those that the store holds. */
        DATA
    }

    private final ExceptionStore store;
    private final Geometry geometry;
    private final Blocks blocks;

    Shadow(ExceptionStore store, Blocks blocks) {
        this.store = store;
        this.geometry = store.geometry();
        this.blocks = blocks;
    }

    /** The device's size. */
    long sizeBytes() {
        return geometry.sizeBytes();
    }

    /** @param offset {@code 0 <= offset < sizeBytes()} */
    Kind kindAt(long offset) throws IOException {
        long entry = store.lookup(geometry.chunkOf(offset));
        if (RemapEntry.isOrigin(entry)) {
            return Kind.ORIGIN;
        }
        if (RemapEntry.isZero(entry)) {
            return Kind.ZEROS;
        }
        return isMissing(entry, offset) ? Kind.ORIGIN : Kind.DATA;
    }

    /**
     * Where the run that {@code offset} is in, all of one kind, ends.
     *
     * @param limit how far to look, {@code offset < limit <= sizeBytes()}
     * @return a later offset, at most {@code limit}
     */
    long endOfRun(long offset, long limit) throws IOException {
        Kind kind = kindAt(offset);
        long at = offset;
        do {
            at = endOfPiece(at);
        } while (at < limit && kindAt(at) == kind);
        return Math.min(at, limit);
    }

    /**
     * The first offset at or after {@code from} of a kind.
     *
     * @param limit how far to look, at most {@link #sizeBytes}
     * @return {@code limit} if there is none before it, or {@code from} if that is later
     */
    long next(Kind kind, long from, long limit) throws IOException {
        long at = from;
        while (at < limit && kindAt(at) != kind) {
            at = endOfPiece(at);
        }
        return Math.max(from, Math.min(at, limit));
    }

    /** Where what one entry of the map says of {@code offset} ends. */
    private long endOfPiece(long offset) throws IOException {
        long chunk = geometry.chunkOf(offset);
        long entry = store.lookup(chunk);
        long end;
        if (RemapEntry.isPartial(entry)) {
            end = geometry.startOf(chunk) + blocks.runEnd(RemapEntry.missing(entry), geometry.offsetInChunk(offset));
        } else {
            long next = RemapEntry.isOrigin(entry) ? Math.max(chunk + 1, store.nextPresent(chunk)) : chunk + 1;
            end = geometry.startOf(next);
        }
        return Math.min(end, sizeBytes());
    }

    private boolean isMissing(long entry, long offset) {
        return RemapEntry.isPartial(entry)
                && blocks.contains(RemapEntry.missing(entry), geometry.offsetInChunk(offset));
    }
}
