package io.ucow.store;

import java.util.function.Consumer;

/**
 * Puts neighbouring pieces of a device together that continue each other, so that what comes out are maximal extents.
 *
 * <p>Threading: for one thread.
 */
final class ExtentJoiner {
    private final Consumer<MapExtent> sink;
    private MapExtent pending;

    ExtentJoiner(Consumer<MapExtent> sink) {
        this.sink = sink;
    }

    /** Takes the next piece, which begins where the last one ended. */
    void add(long guestOffset, long lengthBytes, ChunkSource source) {
        if (pending != null && continues(source)) {
            pending = new MapExtent(pending.guestOffset(), pending.lengthBytes() + lengthBytes, pending.source());
        } else {
            finish();
            pending = new MapExtent(guestOffset, lengthBytes, source);
        }
    }

    /** Hands over the last extent. */
    void finish() {
        if (pending != null) {
            sink.accept(pending);
            pending = null;
        }
    }

    private boolean continues(ChunkSource source) {
        if (pending.source() instanceof ChunkSource.Slot before && source instanceof ChunkSource.Slot next) {
            return before.storedBytes() == next.storedBytes()
                    && before.storeOffset() + pending.lengthBytes() == next.storeOffset();
        }
        return pending.source().equals(source);
    }
}
