package io.ucow.store;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;

/**
 * What kind of store is to be made. Each format understands some of these, says which ({@link
 * ExceptionStoreProvider#options}), and finds their values right or wrong; the others are refused by name.
 *
 * @param chunkBytes chunk size; empty for the format's own choice
 * @param maxBytes what the file may grow to, metadata included; empty for no limit
 * @param codec what chunks are compressed with that are not written to any more; empty for nothing
 * @param checksums whether what it holds is to be compared with checksums when it is read
 * @param preallocation what the file system is to set aside
 * @param own options that one format alone has: name to value, as on a command line
 */
public record StoreOptions(
        OptionalInt chunkBytes,
        OptionalLong maxBytes,
        Optional<String> codec,
        boolean checksums,
        Preallocation preallocation,
        Map<String, String> own) {
    /** Nothing is asked for. */
    public static final StoreOptions NONE = new StoreOptions(
            OptionalInt.empty(), OptionalLong.empty(), Optional.empty(), false, Preallocation.OFF, Map.of());

    /** Their names, as a command line has them. */
    public static final String CHUNK = "chunk",
            MAX_SIZE = "max-size",
            COMPRESS = "compress",
            CHECKSUMS = "checksums",
            PREALLOCATE = "preallocate";

    /** Keeps a copy of {@code own}. */
    public StoreOptions {
        own = Map.copyOf(own);
    }

    /** Chunks of that size, and nothing else. */
    public static StoreOptions ofChunk(int chunkBytes) {
        return NONE.withChunk(chunkBytes);
    }

    /** The same with chunks of that size, in bytes. */
    public StoreOptions withChunk(int bytes) {
        return new StoreOptions(OptionalInt.of(bytes), maxBytes, codec, checksums, preallocation, own);
    }

    /** The same for a file that may grow to {@code bytes}, 0 for no limit. */
    public StoreOptions withMaxBytes(long bytes) {
        OptionalLong limit = bytes == 0 ? OptionalLong.empty() : OptionalLong.of(bytes);
        return new StoreOptions(chunkBytes, limit, codec, checksums, preallocation, own);
    }

    /** The same with chunks compressed by the codec of that name, {@code "none"} for none. */
    public StoreOptions withCodec(String name) {
        Optional<String> asked = name.equals(Compression.NONE.label()) ? Optional.empty() : Optional.of(name);
        return new StoreOptions(chunkBytes, maxBytes, asked, checksums, preallocation, own);
    }

    /** The same with checksums, or without. */
    public StoreOptions withChecksums(boolean wanted) {
        return new StoreOptions(chunkBytes, maxBytes, codec, wanted, preallocation, own);
    }

    /** The same with that much set aside. */
    public StoreOptions withPreallocation(Preallocation wanted) {
        return new StoreOptions(chunkBytes, maxBytes, codec, checksums, wanted, own);
    }

    /** The same with these options of the format's own, and no others. */
    public StoreOptions withOwn(Map<String, String> options) {
        return new StoreOptions(chunkBytes, maxBytes, codec, checksums, preallocation, options);
    }

    /**
     * Finds nothing asked for that a format does not understand.
     *
     * @throws IllegalArgumentException naming the first such option, and those that there are
     */
    public void requireKnown(String format, Collection<String> known) {
        for (String name : given()) {
            if (!known.contains(name)) {
                throw new IllegalArgumentException("format '" + format + "' has no option '" + name + "'; it has "
                        + (known.isEmpty() ? "none" : String.join(", ", known)));
            }
        }
    }

    private List<String> given() {
        List<String> names = new ArrayList<>();
        if (chunkBytes.isPresent()) {
            names.add(CHUNK);
        }
        if (maxBytes.isPresent()) {
            names.add(MAX_SIZE);
        }
        if (codec.isPresent()) {
            names.add(COMPRESS);
        }
        if (checksums) {
            names.add(CHECKSUMS);
        }
        if (preallocation != Preallocation.OFF) {
            names.add(PREALLOCATE);
        }
        names.addAll(new TreeMap<>(own).keySet());
        return names;
    }
}
