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
 * @param chunkBytes chunk size, a power of two from 4 KiB to 1 MiB
 * @param format the plug-in's name
 * @param maxBytes what the file may grow to, metadata included; empty for no limit
 * @param compression what chunks are compressed with that are not written to any more
 * @param checksums whether what it holds is to be compared with checksums when it is read
 * @param reserved true to have the file system set aside all that the file can take
 */
public record CreateOptions(
        Path image,
        Optional<Path> base,
        OptionalLong sizeBytes,
        int chunkBytes,
        String format,
        OptionalLong maxBytes,
        Compression compression,
        boolean checksums,
        boolean reserved) {
    /** Chunk size unless asked otherwise; the README says what was measured. */
    public static final int DEFAULT_CHUNK_BYTES = 32 << 10;
    /** Plug-in unless asked otherwise. */
    public static final String DEFAULT_FORMAT = "ucow";

    /** Without checksums, and with no space set aside. */
    public CreateOptions(
            Path image,
            Optional<Path> base,
            OptionalLong sizeBytes,
            int chunkBytes,
            String format,
            OptionalLong maxBytes,
            Compression compression) {
        this(image, base, sizeBytes, chunkBytes, format, maxBytes, compression, false, false);
    }

    /** Without a limit, and without compression. */
    public CreateOptions(Path image, Optional<Path> base, OptionalLong sizeBytes, int chunkBytes, String format) {
        this(image, base, sizeBytes, chunkBytes, format, OptionalLong.empty(), Compression.NONE);
    }

    /** @throws IllegalArgumentException in words fit for a command line's user */
    public CreateOptions {
        if (Integer.bitCount(chunkBytes) != 1
                || chunkBytes < 1 << Geometry.MIN_CHUNK_SHIFT
                || chunkBytes > 1 << Geometry.MAX_CHUNK_SHIFT) {
            throw new IllegalArgumentException(
                    "chunk size " + chunkBytes + " is not a power of two between 4K and 1M bytes");
        }
        if (compression != Compression.NONE && chunkBytes < 1 << Compression.MIN_CHUNK_SHIFT) {
            throw new IllegalArgumentException("compression takes chunks of 16K or more: smaller ones save no space");
        }
        if (compression != Compression.NONE && maxBytes.isPresent()) {
            throw new IllegalArgumentException("a max size and compression exclude each other: a compressed chunk whose"
                    + " neighbours are gone can keep two slots from others");
        }
        if (compression != Compression.NONE && reserved) {
            throw new IllegalArgumentException(
                    "preallocation and compression exclude each other: space that is set aside is not saved");
        }
        if (base.isEmpty() && sizeBytes.isEmpty()) {
            throw new IllegalArgumentException("a device without a base needs a size");
        }
    }
}
