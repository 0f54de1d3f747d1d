package io.ucow.qcow2;

import io.ucow.store.StoreOptions;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What a new image is to be: QEMU's options, with QEMU's names, values and limits, read and found to go together.
 *
 * @param version 2 or 3
 * @param clusterBits binary logarithm of the cluster size
 * @param extendedL2 whether parts of clusters have their own state
 * @param compressionType what clusters are compressed with, {@link Header#ZLIB} or {@link Header#ZSTD}
 * @param lazyRefcounts whether a program may leave reference counts for later while it has the image open
 * @param refcountOrder binary logarithm of their width in bits
 * @param preallocation what the image has from the start
 * @param dataFile the file that is to hold the disk's data, as it was named; empty for the image itself
 * @param dataFileRaw whether that file is to read as the disk without the image
 */
record ImageOptions(
        int version,
        int clusterBits,
        boolean extendedL2,
        int compressionType,
        boolean lazyRefcounts,
        int refcountOrder,
        Preallocation preallocation,
        Optional<String> dataFile,
        boolean dataFileRaw) {
    /** What an image has from the start. */
    enum Preallocation {
        OFF,
        /** All clusters are mapped. */
        METADATA,
        /** And have their space. */
        FALLOC,
        /** And were written. */
        FULL
    }

    static final String CLUSTER_SIZE = "cluster_size",
            COMPAT = "compat",
            EXTENDED_L2 = "extended_l2",
            COMPRESSION_TYPE = "compression_type",
            LAZY_REFCOUNTS = "lazy_refcounts",
            REFCOUNT_BITS = "refcount_bits",
            PREALLOCATION = "preallocation",
            DATA_FILE = "data_file",
            DATA_FILE_RAW = "data_file_raw";

    /** What an image may have whatever it is made for; {@link #OF_EMPTY} is for one that is empty. */
    static final List<String> NAMES = List.of(
            StoreOptions.CHUNK, CLUSTER_SIZE, COMPAT, EXTENDED_L2, COMPRESSION_TYPE, LAZY_REFCOUNTS, REFCOUNT_BITS);

    static final List<String> OF_EMPTY = List.of(PREALLOCATION, DATA_FILE, DATA_FILE_RAW);

    private static final int DEFAULT_CLUSTER_BITS = 16;
    private static final int DEFAULT_REFCOUNT_BITS = 16;
    private static final int MIN_EXTENDED_CLUSTER_BITS = 14;
    private static final List<String> COMPRESSION_TYPES = List.of("zlib", "zstd");

    /** @throws IllegalArgumentException if a value is wrong, or does not go with another; for a command line's user */
    static ImageOptions of(StoreOptions options) {
        Map<String, String> own = options.own();
        int version =
                switch (own.getOrDefault(COMPAT, "1.1")) {
                    case "0.10", "v2" -> 2;
                    case "1.1", "v3" -> 3;
                    default -> throw wrong(COMPAT, own, "0.10 or v2, 1.1 or v3");
                };
        ImageOptions read = new ImageOptions(
                version,
                clusterBits(options),
                flag(EXTENDED_L2, own),
                compressionType(options),
                flag(LAZY_REFCOUNTS, own),
                refcountOrder(own),
                preallocation(own),
                Optional.ofNullable(own.get(DATA_FILE)),
                flag(DATA_FILE_RAW, own));
        read.requireVersion();
        if (read.dataFileRaw && read.dataFile.isEmpty()) {
            throw new IllegalArgumentException(DATA_FILE_RAW + " takes " + DATA_FILE);
        }
        if (read.extendedL2 && read.clusterBits < MIN_EXTENDED_CLUSTER_BITS) {
            throw new IllegalArgumentException(EXTENDED_L2 + " takes clusters of 16K or more");
        }
        return read;
    }

    private void requireVersion() {
        if (version >= 3) {
            return;
        }
        String newer = null;
        if (extendedL2) {
            newer = EXTENDED_L2;
        } else if (lazyRefcounts) {
            newer = LAZY_REFCOUNTS;
        } else if (compressionType != Header.ZLIB) {
            newer = COMPRESSION_TYPE + "=zstd";
        } else if (1 << refcountOrder != DEFAULT_REFCOUNT_BITS) {
            newer = REFCOUNT_BITS + "=" + (1 << refcountOrder);
        } else if (dataFile.isPresent()) {
            newer = DATA_FILE;
        }
        if (newer != null) {
            throw new IllegalArgumentException(newer + " takes " + COMPAT + "=1.1");
        }
    }

    private static int clusterBits(StoreOptions options) {
        String asked = options.own().get(CLUSTER_SIZE);
        if (asked != null && options.chunkBytes().isPresent()) {
            throw new IllegalArgumentException(
                    StoreOptions.CHUNK + " and " + CLUSTER_SIZE + " are the same; give one of them");
        }
        long bytes = asked == null ? options.chunkBytes().orElse(1 << DEFAULT_CLUSTER_BITS) : bytes(asked);
        if (Long.bitCount(bytes) != 1
                || bytes < 1 << Qcow2Image.MIN_CLUSTER_BITS
                || bytes > 1 << Qcow2Image.MAX_CLUSTER_BITS) {
            throw new IllegalArgumentException(
                    CLUSTER_SIZE + " " + (asked == null ? bytes : asked) + " is not a power of two from 512 to 2M");
        }
        return Long.numberOfTrailingZeros(bytes);
    }

    /** Bytes, K or M; -1 for what cannot be read, which no size is. */
    private static long bytes(String text) {
        int digits = text.length();
        int shift = 0;
        if (text.endsWith("k") || text.endsWith("K")) {
            shift = 10;
            digits--;
        } else if (text.endsWith("M")) {
            shift = 20;
            digits--;
        }
        return text.substring(0, digits).matches("[0-9]{1,9}")
                ? Long.parseLong(text.substring(0, digits)) << shift
                : -1;
    }

    /** The codec that clusters are to be compressed with at once, if there is one, says the type as well. */
    private static int compressionType(StoreOptions options) {
        String asked = options.own().get(COMPRESSION_TYPE);
        String name = options.codec().orElse(asked == null ? COMPRESSION_TYPES.get(Header.ZLIB) : asked);
        if (asked != null && !asked.equals(name)) {
            throw new IllegalArgumentException(
                    "an image has one " + COMPRESSION_TYPE + ", not " + asked + " and " + name);
        }
        if (!COMPRESSION_TYPES.contains(name)) {
            throw new IllegalArgumentException("'" + name + "' is no codec of format '" + Qcow2Format.NAME
                    + "'; there are " + String.join(", ", COMPRESSION_TYPES));
        }
        return COMPRESSION_TYPES.indexOf(name);
    }

    private static boolean flag(String name, Map<String, String> own) {
        return switch (own.getOrDefault(name, "off")) {
            case "on" -> true;
            case "off" -> false;
            default -> throw wrong(name, own, "on, off");
        };
    }

    private static int refcountOrder(Map<String, String> own) {
        String asked = own.getOrDefault(REFCOUNT_BITS, Integer.toString(DEFAULT_REFCOUNT_BITS));
        for (int order = 0; order <= Refcounts.MAX_ORDER; order++) {
            if (asked.equals(Integer.toString(1 << order))) {
                return order;
            }
        }
        throw wrong(REFCOUNT_BITS, own, "1, 2, 4, 8, 16, 32, 64");
    }

    private static Preallocation preallocation(Map<String, String> own) {
        String asked = own.getOrDefault(PREALLOCATION, word(Preallocation.OFF));
        return Arrays.stream(Preallocation.values())
                .filter(p -> word(p).equals(asked))
                .findFirst()
                .orElseThrow(() -> wrong(
                        PREALLOCATION,
                        own,
                        Arrays.stream(Preallocation.values())
                                .map(ImageOptions::word)
                                .collect(Collectors.joining(", "))));
    }

    private static String word(Preallocation preallocation) {
        return preallocation.name().toLowerCase(java.util.Locale.ROOT);
    }

    private static IllegalArgumentException wrong(String name, Map<String, String> own, String values) {
        return new IllegalArgumentException(name + " cannot be '" + own.get(name) + "'; there are " + values);
    }

    /** The options that make an image like the one of that header. */
    static StoreOptions like(Header header) {
        Map<String, String> own = new HashMap<>();
        own.put(COMPAT, header.version() < 3 ? "0.10" : "1.1");
        own.put(EXTENDED_L2, header.hasExtendedL2() ? "on" : "off");
        own.put(COMPRESSION_TYPE, COMPRESSION_TYPES.get(header.compressionType()));
        own.put(LAZY_REFCOUNTS, header.hasLazyRefcounts() ? "on" : "off");
        own.put(REFCOUNT_BITS, Integer.toString(1 << header.refcountOrder()));
        return StoreOptions.ofChunk(header.clusterSize()).withOwn(own);
    }

    /** Bytes in a cluster. */
    int clusterSize() {
        return 1 << clusterBits;
    }

    /** Binary logarithm of the smallest part that has a state of its own. */
    int chunkBits() {
        return extendedL2 ? clusterBits - L2Entry.SUBCLUSTER_SHIFT : clusterBits;
    }

    /** Bytes of an L2 entry. */
    int entryBytes() {
        return extendedL2 ? L2Entry.EXTENDED_BYTES : L2Entry.BYTES;
    }

    /** Binary logarithm of the entries in an L2 table. */
    int l2Shift() {
        return clusterBits - Integer.numberOfTrailingZeros(entryBytes());
    }

    long incompatibleFeatures() {
        return (extendedL2 ? Header.EXTENDED_L2 : 0)
                | (compressionType == Header.ZLIB ? 0 : Header.COMPRESSION_TYPE)
                | (dataFile.isPresent() ? Header.EXTERNAL_DATA : 0);
    }

    long compatibleFeatures() {
        return lazyRefcounts ? Header.LAZY_REFCOUNTS : 0;
    }

    long autoclearFeatures() {
        return dataFileRaw ? Header.RAW_EXTERNAL_DATA : 0;
    }
}
