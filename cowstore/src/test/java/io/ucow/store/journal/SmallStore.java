package io.ucow.store.journal;

import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreOptions;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.UUID;

/** Stores with the smallest journal, for tests that copy them time and again. */
public final class SmallStore {
    static final long RECORDS = 64;

    private SmallStore() {}

    /** As {@link UcowFormat#create}. */
    public static void create(PositionalFile file, Geometry geometry, OriginReference origin) throws IOException {
        UcowFormat.create(file, geometry, origin, StoreOptions.NONE, RECORDS, UUID.randomUUID());
    }

    /** The same of any format; one that has no journal is as it always is. */
    public static void create(
            ExceptionStoreProvider plugin, PositionalFile file, Geometry geometry, OriginReference origin)
            throws IOException {
        if (plugin instanceof UcowFormat) {
            create(file, geometry, origin);
        } else {
            plugin.create(file, geometry.sizeBytes(), origin, StoreOptions.ofChunk(geometry.chunkSize()));
        }
    }
}
