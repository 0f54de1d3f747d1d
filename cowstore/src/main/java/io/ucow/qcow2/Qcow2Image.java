package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What an image's header says, found to be in range and of a kind that can be read. Limits are QEMU's.
 *
 * @param image the path to show to people
 * @param geometry chunks are clusters, or subclusters with extended L2 entries
 * @param backingName the backing file as the header has it
 * @param snapshot the internal snapshot that the header's disk is; empty for the current state
 */
record Qcow2Image(
        Path image,
        Header header,
        HeaderExtensions extensions,
        Geometry geometry,
        Optional<String> backingName,
        Optional<SnapshotEntry> snapshot) {
    /** What a guest cluster can be in bits. */
    static final int MIN_CLUSTER_BITS = 9, MAX_CLUSTER_BITS = 21;

    private static final int MIN_EXTENDED_CLUSTER_BITS = 14;
    private static final int MAX_BACKING_NAME_BYTES = 1023;
    static final int MAX_L1_ENTRIES = (32 << 20) / L1Entry.BYTES;
    private static final int MAX_SNAPSHOTS = 65536;
    private static final int MAX_SNAPSHOT_TABLE_BYTES = 64 << 20;
    private static final long KNOWN_INCOMPATIBLE =
            Header.DIRTY | Header.CORRUPT | Header.EXTERNAL_DATA | Header.COMPRESSION_TYPE | Header.EXTENDED_L2;

    /**
     * Reads and verifies the header, changing nothing.
     *
     * @throws UnsupportedFormatException if it asks for something that this program does not do; named
     * @throws CorruptStoreException if it contradicts itself or the file
     */
    static Qcow2Image read(PositionalFile file, Path image) throws IOException {
        Qcow2Image found = readToRepair(file, image);
        requireRefcountTable(image, found.header(), file.size());
        return found;
    }

    /** As {@link #read}, but that the refcount table, which can be made anew, may be anywhere. */
    static Qcow2Image readToRepair(PositionalFile file, Path image) throws IOException {
        ByteBuffer block = readAt(file, 0, 1 << MIN_CLUSTER_BITS);
        if (!Header.hasMagic(block)) {
            throw corrupt(image, 0, "is no qcow2 header");
        }
        Header header = Header.decode(block);
        if (header.version() != 2 && header.version() != 3) {
            throw unsupported(
                    image,
                    "is of qcow2 version " + Integer.toUnsignedString(header.version())
                            + "; versions 2 and 3 are known");
        }
        require(image, 20, "cluster_bits", header.clusterBits(), MIN_CLUSTER_BITS, MAX_CLUSTER_BITS);
        int clusterSize = header.clusterSize();
        require(image, 100, "header_length", header.headerLength(), minLength(header), clusterSize);
        block = readAt(file, 0, clusterSize);
        Optional<String> backing = backingName(image, header, block);
        int end = backing.isPresent() && header.backingFileOffset() >= header.headerLength()
                ? (int) header.backingFileOffset()
                : clusterSize;
        HeaderExtensions extensions =
                HeaderExtensions.decode(block.limit(end).position(header.headerLength()), image.toString());
        requireKnown(image, header, extensions);
        requireTables(image, header, file.size());
        return new Qcow2Image(image, header, extensions, geometry(image, header), backing, Optional.empty());
    }

    private static int minLength(Header header) {
        return header.version() == 2 ? Header.V2_LENGTH : Header.V3_LENGTH;
    }

    private static Optional<String> backingName(Path image, Header header, ByteBuffer block) throws IOException {
        if (header.backingFileOffset() == 0) {
            return Optional.empty();
        }
        require(image, 16, "backing_file_size", header.backingFileSize(), 1, MAX_BACKING_NAME_BYTES);
        long last = (long) block.limit() - header.backingFileSize();
        require(image, 8, "backing_file_offset", header.backingFileOffset(), minLength(header), last);
        ByteBuffer name = block.slice((int) header.backingFileOffset(), header.backingFileSize());
        try {
            return Optional.of(StandardCharsets.UTF_8.newDecoder().decode(name).toString());
        } catch (CharacterCodingException e) {
            throw new UnsupportedFormatException(image + ": the name of its backing file is not in UTF-8", e);
        }
    }

    private static void requireKnown(Path image, Header header, HeaderExtensions extensions) throws IOException {
        if (header.cryptMethod() != 0) {
            String method =
                    switch (header.cryptMethod()) {
                        case 1 -> "AES";
                        case 2 -> "LUKS";
                        default -> "method " + Integer.toUnsignedString(header.cryptMethod());
                    };
            throw unsupported(image, "is encrypted (" + method + "), which is not supported");
        }
        long unknown = header.incompatibleFeatures() & ~KNOWN_INCOMPATIBLE;
        if (unknown != 0) {
            List<String> names = new ArrayList<>();
            for (long bits = unknown; bits != 0; bits &= bits - 1) {
                int bit = Long.numberOfTrailingZeros(bits);
                int key = HeaderExtensions.featureKey(HeaderExtensions.INCOMPATIBLE, bit);
                names.add(extensions.featureNames().getOrDefault(key, "bit " + bit));
            }
            throw unsupported(image, "needs incompatible features that are not supported: " + String.join(", ", names));
        }
        require(image, 96, "refcount_order", header.refcountOrder(), 0, Refcounts.MAX_ORDER);
        boolean typed = (header.incompatibleFeatures() & Header.COMPRESSION_TYPE) != 0;
        if (typed ? header.compressionType() != Header.ZSTD : header.compressionType() != Header.ZLIB) {
            throw unsupported(
                    image,
                    "has compression type " + header.compressionType()
                            + (typed ? "" : " without the" + " feature bit for it")
                            + "; zlib (0) and zstd (1) are known");
        }
        if (header.hasExtendedL2()) {
            require(
                    image,
                    20,
                    "cluster_bits with extended L2 entries",
                    header.clusterBits(),
                    MIN_EXTENDED_CLUSTER_BITS,
                    MAX_CLUSTER_BITS);
        }
    }

    private static void requireTables(Path image, Header header, long fileSize) throws IOException {
        require(image, 36, "l1_size", header.l1Size(), 0, MAX_L1_ENTRIES);
        requireArea(image, 40, "L1 table", header, header.l1TableOffset(), l1Needed(header) * L1Entry.BYTES, fileSize);
        if (header.l1Size() < l1Needed(header)) {
            throw corrupt(
                    image,
                    36,
                    "l1_size " + header.l1Size() + " is too small for a disk of " + header.size()
                            + " bytes, which takes " + l1Needed(header));
        }
        require(image, 60, "nb_snapshots", header.nbSnapshots(), 0, MAX_SNAPSHOTS);
        if (header.nbSnapshots() > 0) {
            long least = (long) header.nbSnapshots() * SnapshotEntry.FIXED_BYTES;
            requireArea(image, 64, "snapshot table", header, header.snapshotsOffset(), least, fileSize);
        }
    }

    private static void requireRefcountTable(Path image, Header header, long fileSize) throws IOException {
        int maxClusters = Refcounts.MAX_TABLE_BYTES >> Math.min(header.clusterBits(), 23);
        require(image, 56, "refcount_table_clusters", header.refcountTableClusters(), 0, Math.max(1, maxClusters));
        requireArea(
                image,
                48,
                "refcount table",
                header,
                header.refcountTableOffset(),
                (long) header.refcountTableClusters() << header.clusterBits(),
                fileSize);
    }

    /** Entries of the L1 table that the disk takes; more than there may be for a size that is out of range. */
    private static long l1Needed(Header header) {
        return l1Needed(header, header.size());
    }

    /** The same for a disk of another size. */
    static long l1Needed(Header header, long sizeBytes) {
        int tableShift = header.clusterBits() + l2Shift(header);
        return (sizeBytes >>> tableShift) + ((sizeBytes & ((1L << tableShift) - 1)) == 0 ? 0 : 1);
    }

    /** Binary logarithm of the entries in an L2 table. */
    static int l2Shift(Header header) {
        return header.clusterBits() - (header.hasExtendedL2() ? 4 : 3);
    }

    private static void requireArea(
            Path image, int at, String what, Header header, long offset, long bytes, long fileSize)
            throws CorruptStoreException {
        if (!isArea(header, offset, bytes, fileSize)) {
            throw corrupt(
                    image,
                    at,
                    "the " + what + ", " + bytes + " bytes at 0x" + Long.toHexString(offset)
                            + ", is not on a cluster boundary within the file's " + fileSize + " bytes");
        }
    }

    private static boolean isArea(Header header, long offset, long bytes, long fileSize) {
        return offset >= 0
                && (offset & (header.clusterSize() - 1)) == 0
                && offset <= fileSize
                && bytes <= fileSize - offset;
    }

    private static Geometry geometry(Path image, Header header) throws UnsupportedFormatException {
        int subclusters = header.hasExtendedL2() ? L2Entry.SUBCLUSTER_SHIFT : 0;
        try {
            return new Geometry(header.size(), header.clusterBits() - subclusters);
        } catch (IllegalArgumentException e) {
            throw new UnsupportedFormatException(image + ": " + e.getMessage(), e);
        }
    }

    /**
     * The same image with another disk, whose L1 table is known to be sound.
     *
     * @throws UnsupportedFormatException if there is no disk of that size
     */
    Qcow2Image withDisk(Header other) throws UnsupportedFormatException {
        return new Qcow2Image(image, other, extensions, geometry(image, other), backingName, snapshot);
    }

    /**
     * The image as it was when an internal snapshot was taken, to be read.
     *
     * @param wanted the snapshot's id, or its name
     * @throws NoSuchFileException if there is none; with those that there are
     * @throws CorruptStoreException if its L1 table cannot be one
     */
    Qcow2Image at(String wanted, PositionalFile file) throws IOException {
        List<SnapshotEntry> all = snapshots(file);
        SnapshotEntry found = Stream.concat(
                        all.stream().filter(s -> s.id().equals(wanted)),
                        all.stream().filter(s -> s.name().equals(wanted)))
                .findFirst()
                .orElseThrow(() -> new NoSuchFileException(image.toString(), null, noSnapshot(wanted, all)));
        Header then = header.withDisk(
                found.diskSize() < 0 ? header.size() : found.diskSize(), found.l1Size(), found.l1TableOffset());
        long bytes = l1Needed(then) * L1Entry.BYTES;
        if (then.l1Size() < l1Needed(then) || !isArea(then, then.l1TableOffset(), bytes, file.size())) {
            throw corrupt(
                    image,
                    then.l1TableOffset(),
                    "the L1 table of snapshot '" + wanted + "', " + Integer.toUnsignedString(then.l1Size())
                            + " entries, cannot be that of a disk of " + then.size() + " bytes");
        }
        return new Qcow2Image(image, then, extensions, geometry(image, then), backingName, Optional.of(found));
    }

    private static String noSnapshot(String wanted, List<SnapshotEntry> all) {
        return all.isEmpty()
                ? "has no internal snapshots"
                : "has no internal snapshot '" + wanted + "'; it has "
                        + all.stream().map(SnapshotEntry::label).collect(Collectors.joining(", "));
    }

    /** Binary logarithm of the chunks that a cluster is. */
    int subclusterShift() {
        return header.clusterBits() - geometry.chunkShift();
    }

    /** L1 entries that the disk takes. */
    int l1Entries() {
        return (int) l1Needed(header);
    }

    /** What there is behind it; null for nothing. */
    OriginReference origin() throws IOException {
        return backingName.isEmpty()
                ? null
                : BackingFile.reference(backingName.get(), extensions.backingFormat(), image);
    }

    /** The internal snapshots, in the table's order. */
    List<SnapshotEntry> snapshots(PositionalFile file) throws IOException {
        if (header.nbSnapshots() == 0) {
            return List.of();
        }
        ByteBuffer table = snapshotTable(file);
        List<SnapshotEntry> snapshots = new ArrayList<>();
        for (int i = 0; i < header.nbSnapshots(); i++) {
            snapshots.add(SnapshotEntry.decode(table, image.toString()));
        }
        return snapshots;
    }

    /** The table of internal snapshots, and what follows it. */
    ByteBuffer snapshotTable(PositionalFile file) throws IOException {
        long bytes = Math.min(file.size() - header.snapshotsOffset(), MAX_SNAPSHOT_TABLE_BYTES);
        return readAt(file, header.snapshotsOffset(), (int) bytes);
    }

    /** A big-endian buffer with {@code bytes} bytes of the file, zeros where it has ended. */
    static ByteBuffer readAt(PositionalFile file, long offset, int bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.BIG_ENDIAN);
        file.read(buffer, offset);
        return buffer.clear();
    }

    private static void require(Path image, int at, String field, long value, long min, long max)
            throws CorruptStoreException {
        if (value < min || value > max) {
            throw corrupt(image, at, field + " " + value + " is not between " + min + " and " + max);
        }
    }

    static CorruptStoreException corrupt(Path image, long at, String what) {
        return new CorruptStoreException(image + " at 0x" + Long.toHexString(at) + ": " + what);
    }

    private static UnsupportedFormatException unsupported(Path image, String what) {
        return new UnsupportedFormatException(image + ": " + what);
    }
}
