package io.ucow.store.format;

import io.ucow.store.Compression;
import io.ucow.store.ContentId;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.UUID;

/**
 * The root of a store: 4096 bytes, little-endian, kept twice, at 0 and at 4096. The valid one with the higher
 * generation counts; a change is always written over the other.
 * <pre>
 *    0 u8[8] magic "UCOWSTOR"     40 u64 generation            96 u64 journal offset, bytes
 *    8 u32 version, 1             48 u64 device size, bytes   104 u64 journal capacity, records
 *   12 u32 crc, see below         56 u32 chunk shift          112 u64 journal head, first seq not in the map
 *   16 u64 incompatible features  60 u32 map levels           120 u64 data start, bytes
 *   24 u64 compatible features    64 u64 map root, page       128 u8[16] uuid
 *   32 u64 content id, 0: none    72 u64 max size, bytes      144 u8[16] boot id, zeros when closed cleanly
 *   80 u8 codec          81 u56 map reserve, first slot    88 u64 checksums' root, page
 *  160 u64 origin size   168 s64 mtime seconds   176 u32 mtime nanoseconds   180 u32 origin path length, bytes
 *  184 u8[32] origin fingerprint   216 u8[] origin path, UTF-8, at most 3800 bytes; length 0: no origin
 * </pre>
 * The checksum is CRC32C of the block with its own field zero. Feature bits: docs/FORMAT.md; of the incompatible ones this
 * program knows {@link #BASE_IS_IMAGE}, {@link #MAX_SIZE}, {@link #PACKED_CHUNKS}, {@link #BASE_IS_CHANGING} and {@link
 * #CHECKSUMS}, and refuses any other; it keeps any compatible one.
 *
 * @param compatibleFeatures bits a program may ignore; kept as found
 * @param generation counts superblock writes, {@code >= 1}
 * @param geometry capacity and chunk size
 * @param rootPage page number of the map's root, 0 while nothing is altered
 * @param journalOffset first byte of the ring
 * @param journalCapacity records the ring holds
 * @param journalHead sequence number of the first record the map does not include
 * @param dataStart first byte of the first slot
 * @param uuid identity given at creation
 * @param bootId the boot in which the store was last opened for writing; zeros when it was closed cleanly
 * @param origin the base and what it looked like, null when there is none
 * @param maxBytes what the file's length may not exceed; 0 for no limit. Other than 0 it comes with {@link #MAX_SIZE}
 * @param compression of chunks in packs. Other than none it comes with {@link #PACKED_CHUNKS}
 * @param checksums whether there are checksums of the blocks in slots. It comes with {@link #CHECKSUMS}
 * @param sumsRoot page number of their tree's root, 0 while none is known, or there are none
 * @param mapReserve the first of the slots that are set aside for map pages, 0 when none are. How many follows from the rest
 */
public record Superblock(
        long compatibleFeatures,
        long generation,
        Geometry geometry,
        long rootPage,
        long journalOffset,
        long journalCapacity,
        long journalHead,
        long dataStart,
        UUID uuid,
        UUID bootId,
        OriginReference origin,
        long maxBytes,
        Compression compression,
        boolean checksums,
        long sumsRoot,
        long mapReserve) {
    /** Compatible feature: the file system has set all space aside that the file may take, and nothing gives it back. */
    public static final long RESERVED = 1;

    /** Incompatible feature: the field "max size" is in force. A writer that does not know it would drop it. */
    public static final long MAX_SIZE = 2;

    public static final int SIZE = 4096;
    public static final int VERSION = 1;
    public static final int MAX_PATH_BYTES = 3800;
    public static final long MAX_GENERATION = Long.MAX_VALUE - 1;
    public static final long MAX_JOURNAL_HEAD = Long.MAX_VALUE / 2;
    /** The map has 40 bits for a slot. */
    public static final long MAX_SLOT = (1L << 40) - 1;

    public static final UUID CLEAN = new UUID(0, 0);

    /** Incompatible feature: the origin is an image, and its guest content is what shows through. */
    public static final long BASE_IS_IMAGE = 1;

    /** Incompatible feature: chunks may be compressed, with the codec that the field names. */
    public static final long PACKED_CHUNKS = 4;

    /** Incompatible feature: a commit has begun to change the origin, so that it is not as recorded any more. */
    public static final long BASE_IS_CHANGING = 16;

    /** Incompatible feature: there are checksums of blocks in slots. A writer that does not know them would make them wrong. */
    public static final long CHECKSUMS = 32;

    private static final long KNOWN = BASE_IS_IMAGE | MAX_SIZE | PACKED_CHUNKS | BASE_IS_CHANGING | CHECKSUMS;

    private static final byte[] MAGIC_BYTES = "UCOWSTOR".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION_AT = 8,
            CRC = 12,
            INCOMPATIBLE = 16,
            COMPATIBLE = 24,
            CONTENT = 32,
            GENERATION = 40;
    private static final int DEVICE_SIZE = 48, CHUNK_SHIFT = 56, MAP_LEVELS = 60, ROOT = 64, MAX_BYTES = 72, CODEC = 80;
    private static final int SUMS_ROOT = 88;
    private static final int JOURNAL_OFFSET = 96,
            JOURNAL_CAPACITY = 104,
            JOURNAL_HEAD = 112,
            DATA_START = 120,
            UUID_AT = 128,
            BOOT = 144;
    private static final int ORIGIN_SIZE = 160, MTIME_SEC = 168, MTIME_NSEC = 176, PATH_LENGTH = 180;
    private static final int FINGERPRINT = 184, PATH = 216;

    /** Of a store without checksums, for which nothing is set aside. */
    public Superblock(
            long compatibleFeatures,
            long generation,
            Geometry geometry,
            long rootPage,
            long journalOffset,
            long journalCapacity,
            long journalHead,
            long dataStart,
            UUID uuid,
            UUID bootId,
            OriginReference origin,
            long maxBytes,
            Compression compression) {
        this(
                compatibleFeatures,
                generation,
                geometry,
                rootPage,
                journalOffset,
                journalCapacity,
                journalHead,
                dataStart,
                uuid,
                bootId,
                origin,
                maxBytes,
                compression,
                false,
                0,
                0);
    }

    /**
     * Notes in an encoded block what identifies all that the device holds: made anew whenever a store is closed, and kept by
     * copies of it. Whoever writes another superblock drops it, by {@link #encode}.
     */
    public static void putContentId(ByteBuffer block, ContentId id) {
        block.putLong(CONTENT, id.value());
        block.putInt(CRC, 0);
        block.putInt(CRC, Crc.of(block, 0, SIZE));
    }

    /**
     * What identifies all that the device holds, of a store that was closed cleanly; without an id of its own, as when it was
     * just created, one is made of uuid and generation.
     */
    public ContentId contentId(ByteBuffer block) {
        long id = block.getLong(CONTENT);
        return new ContentId(
                id == 0 ? uuid.getMostSignificantBits() ^ uuid.getLeastSignificantBits() ^ generation : id);
    }

    /** True when {@code head} begins with the magic number: a ucow store, sound or not. */
    public static boolean hasMagic(ByteBuffer head, int at) {
        if (head.limit() < at + MAGIC_BYTES.length) {
            return false;
        }
        for (int i = 0; i < MAGIC_BYTES.length; i++) {
            if (head.get(at + i) != MAGIC_BYTES[i]) {
                return false;
            }
        }
        return true;
    }

    /** Lays this superblock out at the start of {@code block}, which has at least {@link #SIZE} bytes. */
    public void encode(ByteBuffer block, int mapLevels) {
        for (int i = 0; i < SIZE; i += Long.BYTES) {
            block.putLong(i, 0);
        }
        block.put(0, MAGIC_BYTES);
        block.putInt(VERSION_AT, VERSION);
        block.putLong(INCOMPATIBLE, incompatibleFeatures());
        block.putLong(COMPATIBLE, compatibleFeatures);
        block.putLong(GENERATION, generation);
        block.putLong(DEVICE_SIZE, geometry.sizeBytes());
        block.putInt(CHUNK_SHIFT, geometry.chunkShift());
        block.putInt(MAP_LEVELS, mapLevels);
        block.putLong(ROOT, rootPage);
        block.putLong(MAX_BYTES, maxBytes);
        // All in the first sector: power loss leaves the old superblock or the new one, unless the path is long.
        block.putLong(CODEC, mapReserve << Byte.SIZE | compression.id());
        block.putLong(SUMS_ROOT, sumsRoot);
        block.putLong(JOURNAL_OFFSET, journalOffset);
        block.putLong(JOURNAL_CAPACITY, journalCapacity);
        block.putLong(JOURNAL_HEAD, journalHead);
        block.putLong(DATA_START, dataStart);
        block.put(UUID_AT, bytes(uuid));
        block.put(BOOT, bytes(bootId));
        if (origin != null) {
            byte[] path = origin.path().getBytes(StandardCharsets.UTF_8);
            block.putLong(ORIGIN_SIZE, origin.sizeBytes());
            block.putLong(MTIME_SEC, origin.modifiedSeconds());
            block.putInt(MTIME_NSEC, origin.modifiedNanos());
            block.putInt(PATH_LENGTH, path.length);
            block.put(FINGERPRINT, HexFormat.of().parseHex(origin.fingerprint()));
            block.put(PATH, path);
        }
        block.putInt(CRC, Crc.of(block, 0, SIZE));
    }

    private long incompatibleFeatures() {
        return (origin != null && origin.isImage() ? BASE_IS_IMAGE : 0)
                | (maxBytes == 0 ? 0 : MAX_SIZE)
                | (origin != null && origin.isChanging() ? BASE_IS_CHANGING : 0)
                | (compression == Compression.NONE ? 0 : PACKED_CHUNKS)
                | (checksums ? CHECKSUMS : 0);
    }

    /** True when the block has the magic number and its checksum is right. */
    public static boolean isIntact(ByteBuffer block, int at) {
        if (!hasMagic(block, at)) {
            return false;
        }
        int stored = block.getInt(at + CRC);
        block.putInt(at + CRC, 0);
        int computed = Crc.of(block, at, at + SIZE);
        block.putInt(at + CRC, stored);
        return stored == computed;
    }

    /** The generation of an intact block. */
    public static long generation(ByteBuffer block, int at) {
        return block.getLong(at + GENERATION);
    }

    /**
     * Reads an intact block.
     *
     * @param name the store's name, for messages
     * @throws UnsupportedFormatException for another version or an unknown incompatible feature
     * @throws CorruptStoreException naming the field and the value that cannot be
     */
    public static Superblock decode(ByteBuffer block, int at, String name)
            throws UnsupportedFormatException, CorruptStoreException {
        Fields f = new Fields(block, at, name);
        if (block.getInt(at + VERSION_AT) != VERSION) {
            throw new UnsupportedFormatException(name + ": format version "
                    + Integer.toUnsignedString(block.getInt(at + VERSION_AT)) + ", this program knows version "
                    + VERSION + "; use a newer ucow");
        }
        long incompatible = block.getLong(at + INCOMPATIBLE);
        if ((incompatible & ~KNOWN) != 0) {
            throw new UnsupportedFormatException(
                    name + ": uses features this program does not know (incompatible bits 0x"
                            + Long.toHexString(incompatible & ~KNOWN) + "); use a newer ucow");
        }
        int shift = (int)
                f.in("chunk shift", block.getInt(at + CHUNK_SHIFT), Geometry.MIN_CHUNK_SHIFT, Geometry.MAX_CHUNK_SHIFT);
        long size = f.in("device size", block.getLong(at + DEVICE_SIZE), 1, Geometry.MAX_CHUNKS << shift);
        Geometry geometry = new Geometry(size, shift);
        int levels = MapPage.levels(geometry.chunkCount());
        f.in("map levels", block.getInt(at + MAP_LEVELS), levels, levels);
        long capacity = f.in("journal capacity", block.getLong(at + JOURNAL_CAPACITY), 64, 1 << 20);
        long journal = f.in("journal offset", block.getLong(at + JOURNAL_OFFSET), 2L * SIZE, 1L << 30);
        f.in("journal offset within a record", journal % JournalRecord.SIZE, 0, 0);
        long data =
                f.in("data start", block.getLong(at + DATA_START), journal + capacity * JournalRecord.SIZE, 1L << 40);
        f.in("data start within a chunk", data & ((1 << shift) - 1), 0, 0);
        long head = f.in("journal head", block.getLong(at + JOURNAL_HEAD), 0, MAX_JOURNAL_HEAD);
        long root = f.in("map root", block.getLong(at + ROOT), 0, Long.MAX_VALUE >> MapPage.SHIFT);
        return new Superblock(
                block.getLong(at + COMPATIBLE),
                f.in("generation", generation(block, at), 1, MAX_GENERATION),
                geometry,
                root,
                journal,
                capacity,
                head,
                data,
                uuid(block, at + UUID_AT),
                uuid(block, at + BOOT),
                origin(block, at, f),
                (incompatible & MAX_SIZE) == 0
                        ? 0
                        : f.in("max size", block.getLong(at + MAX_BYTES), data + (1 << shift), Long.MAX_VALUE),
                compression(block, at, f),
                (incompatible & CHECKSUMS) != 0,
                (incompatible & CHECKSUMS) == 0
                        ? 0
                        : f.in("checksums' root", block.getLong(at + SUMS_ROOT), 0, Long.MAX_VALUE >> MapPage.SHIFT),
                f.in("map reserve", block.getLong(at + CODEC) >>> Byte.SIZE, 0, MAX_SLOT));
    }

    private static Compression compression(ByteBuffer block, int at, Fields f)
            throws UnsupportedFormatException, CorruptStoreException {
        if ((block.getLong(at + INCOMPATIBLE) & PACKED_CHUNKS) == 0) {
            return Compression.NONE;
        }
        f.in(
                "chunk shift of a store that compresses",
                block.getInt(at + CHUNK_SHIFT),
                Compression.MIN_CHUNK_SHIFT,
                Geometry.MAX_CHUNK_SHIFT);
        int id = Byte.toUnsignedInt(block.get(at + CODEC));
        if (id == Compression.NONE.id() || Compression.ofId(id).isEmpty()) {
            throw new UnsupportedFormatException(f.name() + ": chunks are compressed with codec " + id
                    + ", which this program does not know; use a newer ucow");
        }
        return Compression.ofId(id).get();
    }

    private static OriginReference origin(ByteBuffer block, int at, Fields f) throws CorruptStoreException {
        int length = (int) f.in("origin path length", block.getInt(at + PATH_LENGTH), 0, MAX_PATH_BYTES);
        boolean isImage = (block.getLong(at + INCOMPATIBLE) & BASE_IS_IMAGE) != 0;
        boolean isChanging = (block.getLong(at + INCOMPATIBLE) & BASE_IS_CHANGING) != 0;
        if (length == 0) {
            f.in("base-is-image bit without an origin", isImage ? 1 : 0, 0, 0);
            f.in("base-is-changing bit without an origin", isChanging ? 1 : 0, 0, 0);
            return null;
        }
        byte[] path = new byte[length];
        block.get(at + PATH, path);
        f.withoutNul("origin path", path);
        byte[] fingerprint = new byte[OriginReference.FINGERPRINT_BYTES];
        block.get(at + FINGERPRINT, fingerprint);
        return new OriginReference(
                new String(path, StandardCharsets.UTF_8),
                f.in("origin size", block.getLong(at + ORIGIN_SIZE), 0, Long.MAX_VALUE),
                block.getLong(at + MTIME_SEC),
                (int) f.in("origin mtime nanoseconds", block.getInt(at + MTIME_NSEC), 0, 999_999_999),
                HexFormat.of().formatHex(fingerprint),
                isImage,
                isChanging);
    }

    /** True when all space up to {@link #maxBytes} is set aside for the file. */
    public boolean isReserved() {
        return (compatibleFeatures & RESERVED) != 0;
    }

    /** A copy, of the same generation, of a store for which {@code newMaxBytes} are set aside, and that takes no more. */
    public Superblock reserving(long newMaxBytes) {
        return copy(
                compatibleFeatures | RESERVED,
                generation,
                geometry,
                rootPage,
                journalHead,
                bootId,
                origin,
                newMaxBytes,
                sumsRoot,
                mapReserve);
    }

    /** A copy with another generation, root, journal head and boot id: what a checkpoint changes. */
    public Superblock advanced(long newRootPage, long newJournalHead, UUID newBootId) {
        return next(geometry, newRootPage, newJournalHead, newBootId, origin, sumsRoot);
    }

    /** The same with another root of the checksums, 0 for none known. */
    public Superblock withSumsRoot(long newSumsRoot) {
        return withPages(newSumsRoot, mapReserve);
    }

    /** A copy, of the same generation, with other slots set aside for map pages, from {@code slot} on; 0 for none. */
    public Superblock withMapReserve(long slot) {
        return withPages(sumsRoot, slot);
    }

    private Superblock withPages(long newSumsRoot, long newMapReserve) {
        return copy(
                compatibleFeatures,
                generation,
                geometry,
                rootPage,
                journalHead,
                bootId,
                origin,
                maxBytes,
                newSumsRoot,
                newMapReserve);
    }

    /** The next generation with another origin, or null, and the same map. */
    public Superblock on(OriginReference newOrigin) {
        return next(geometry, rootPage, journalHead, bootId, newOrigin, sumsRoot);
    }

    /** The next generation with another origin and no chunk altered, as a session of that boot. */
    public Superblock emptiedOn(OriginReference newOrigin, UUID newBootId) {
        return next(geometry, 0, journalHead, newBootId, newOrigin, 0);
    }

    /** A clean one that follows, of another size; root and journal head are of a store of that size. */
    public Superblock resized(Geometry newGeometry, long newRootPage, long newJournalHead) {
        return next(newGeometry, newRootPage, newJournalHead, CLEAN, origin, sumsRoot);
    }

    private Superblock next(
            Geometry newGeometry,
            long newRootPage,
            long newJournalHead,
            UUID newBootId,
            OriginReference newOrigin,
            long newSumsRoot) {
        return copy(
                compatibleFeatures,
                generation + 1,
                newGeometry,
                newRootPage,
                newJournalHead,
                newBootId,
                newOrigin,
                maxBytes,
                newSumsRoot,
                mapReserve);
    }

    /** One with other values of what can change in a store's life, whatever they are now. */
    private Superblock copy(
            long newCompatibleFeatures,
            long newGeneration,
            Geometry newGeometry,
            long newRootPage,
            long newJournalHead,
            UUID newBootId,
            OriginReference newOrigin,
            long newMaxBytes,
            long newSumsRoot,
            long newMapReserve) {
        return new Superblock(
                newCompatibleFeatures,
                newGeneration,
                newGeometry,
                newRootPage,
                journalOffset,
                journalCapacity,
                newJournalHead,
                dataStart,
                uuid,
                newBootId,
                newOrigin,
                newMaxBytes,
                compression,
                checksums,
                newSumsRoot,
                newMapReserve);
    }

    /** Where this generation is kept: the two places take turns, so the previous one stays intact. */
    public long offset() {
        return (generation & 1) * SIZE;
    }

    /** Where the previous generation is kept, and the next one will be. */
    public long otherOffset() {
        return SIZE - offset();
    }

    /** The uuid as 16 bytes in textual order. */
    public static byte[] bytes(UUID uuid) {
        return ByteBuffer.allocate(16)
                .putLong(uuid.getMostSignificantBits())
                .putLong(uuid.getLeastSignificantBits())
                .array();
    }

    private static UUID uuid(ByteBuffer block, int at) {
        byte[] bytes = new byte[16];
        block.get(at, bytes);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        return new UUID(b.getLong(), b.getLong());
    }

    private record Fields(ByteBuffer block, int at, String name) {
        /** No path has a NUL in it. */
        void withoutNul(String field, byte[] bytes) throws CorruptStoreException {
            for (int i = 0; i < bytes.length; i++) {
                if (bytes[i] == 0) {
                    throw new CorruptStoreException(name + " at 0x" + Integer.toHexString(at)
                            + ": superblock has NUL in " + field + " at " + i + ", expected none");
                }
            }
        }

        long in(String field, long value, long min, long max) throws CorruptStoreException {
            if (value < min || value > max) {
                throw new CorruptStoreException(name + " at 0x" + Integer.toHexString(at) + ": superblock has " + field
                        + " " + value + ", expected " + min + (min == max ? "" : ".." + max));
            }
            return value;
        }
    }
}
