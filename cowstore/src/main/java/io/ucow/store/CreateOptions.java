package io.ucow.store;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a new image is to be.
 *
 * @param image file to create; must not exist
 * @param base read-only image behind it, a regular file or block device; empty for a device of zeros
 * @param sizeBytes capacity; empty for the base's size. Required when there is no base
 * @param format the plug-in's name
 * @param store what kind of a store it is to be
 */
public record CreateOptions(
        Path image, Optional<Path> base, OptionalLong sizeBytes, String format, StoreOptions store) {
    /** ucow's chunk size unless asked otherwise; the README says what was measured. */
    public static final int DEFAULT_CHUNK_BYTES = 32 << 10;
    /** Plug-in unless asked otherwise. */
    public static final String DEFAULT_FORMAT = "ucow";

    /** With chunks of that size, and nothing else asked for. */
    public CreateOptions(Path image, Optional<Path> base, OptionalLong sizeBytes, int chunkBytes, String format) {
        this(image, base, sizeBytes, format, StoreOptions.ofChunk(chunkBytes));
    }

    /** @throws IllegalArgumentException in words fit for a command line's user */
    public CreateOptions {
        if (base.isEmpty() && sizeBytes.isEmpty()) {
            throw new IllegalArgumentException("a device without a base needs a size; add --size SIZE, or --base BASE");
        }
    }
}
