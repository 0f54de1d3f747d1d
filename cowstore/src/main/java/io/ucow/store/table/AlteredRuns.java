package io.ucow.store.table;

import io.ucow.store.ChunkSource;
import io.ucow.store.MapExtent;
import java.util.function.Consumer;

/**
 * Cuts one {@code cow} target where altered runs begin and end: they become {@code linear} targets into the store, all
 * else stays {@code cow}, and neighbours that continue each other are one target.
 *
 * <p>What stays {@code cow} although it was altered: compressed chunks, which cannot be read in place; chunks altered in
 * part, for a write to the rest of them must come to the store; and the device's last chunk if the device ends inside a
 * sector, which no {@code linear} target can express.
 *
 * <p>Threading: for one thread.
 */
final class AlteredRuns implements Consumer<MapExtent> {
    private static final long COW = -1;

    private final Target.Cow cow;
    private final Consumer<Target> sink;
    private long runStart;
    private long runEnd;
    /** Where the run lies in the store, in sectors, or {@link #COW}. */
    private long runOffset = COW;

    AlteredRuns(Target.Cow cow, Consumer<Target> sink) {
        this.cow = cow;
        this.sink = sink;
        this.runStart = cow.startSector();
        this.runEnd = cow.startSector();
    }

    /** Takes the store's next run; those outside the target are passed over. */
    @Override
    public void accept(MapExtent extent) {
        long chunk = cow.chunkBytes();
        long first = (extent.guestOffset() + chunk - 1) / chunk * chunk;
        long start = Math.max(first, cow.startByte());
        long end = Math.min(extent.guestOffset() + extent.lengthBytes(), cow.endByte());
        if (end < cow.endByte() || end % Target.SECTOR_BYTES != 0) {
            end -= end % chunk;
        }
        if (start < end && extent.source() instanceof ChunkSource.Slot slot && isPlain(extent, slot)) {
            long storeOffset = slot.storeOffset() + start - extent.guestOffset();
            append(start / Target.SECTOR_BYTES, COW);
            append(end / Target.SECTOR_BYTES, storeOffset / Target.SECTOR_BYTES);
        }
    }

    /** Hands over the last run. */
    void finish() {
        append(cow.endSector(), COW);
        emit();
    }

    private boolean isPlain(MapExtent extent, ChunkSource.Slot slot) {
        return slot.storedBytes() >= Math.min(cow.chunkBytes(), extent.lengthBytes())
                && slot.storeOffset() % Target.SECTOR_BYTES == 0;
    }

    /** Adds the sectors from {@code runEnd} up to {@code end}, the first of which lies at {@code offset}. */
    private void append(long end, long offset) {
        if (end == runEnd) {
            return;
        }
        long expected = runOffset == COW ? COW : runOffset + (runEnd - runStart);
        if (offset != expected) {
            emit();
            runStart = runEnd;
            runOffset = offset;
        }
        runEnd = end;
    }

    private void emit() {
        long length = runEnd - runStart;
        if (length > 0) {
            sink.accept(
                    runOffset == COW
                            ? cow.at(runStart, length)
                            : new Target.Linear(runStart, length, cow.lineNumber(), cow.store(), runOffset));
        }
    }
}
