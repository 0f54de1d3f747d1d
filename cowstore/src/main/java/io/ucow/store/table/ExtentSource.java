package io.ucow.store.table;

import io.ucow.store.CowDevice;
import io.ucow.store.MapExtent;
import java.io.IOException;
import java.util.function.Consumer;

/** Tells the runs of a store: {@link CowDevice#forEachExtent}. */
@FunctionalInterface
public interface ExtentSource {
    /** Calls {@code visitor} for each run of the store, in order of guest offset. */
    void forEachExtent(Consumer<MapExtent> visitor) throws IOException;
}
