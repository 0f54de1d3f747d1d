package io.ucow.qcow2;

import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreFullException;
import io.ucow.store.Zeros;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Writes an image from nothing, front to back: clusters are handed out one after the other, and L2 tables and refcount
 * blocks are placed among them when they are first needed. L1 table, refcount table and header come last, so it is an image
 * once it is complete and durable, and not before. Nothing is synced until then.
 *
 * <p>Memory: the L1 table, the refcount table, and one refcount block.
 *
 * <p>Threading: any number of threads allocate and map.
 */
final class NewImage {
    /** Header, extensions and the longest name fit; what follows in the cluster is a hole. */
    private static final int HEADER_BYTES = 4096;
    /** L2 entries that are written at once, in bytes. */
    private static final int MAX_ENTRY_BYTES = 64 << 10;

    private final PositionalFile file;
    /** Where clusters of data are: {@code file}, or an external data file, which has each at its place on the disk. */
    private final PositionalFile data;

    private final ImageOptions options;
    private final long sizeBytes;
    private final int clusterBits;
    private final int blockShift;
    private final long maxCount;

    /** By guest L2 table, as the header's L1 table will have it. Guarded by this, as all that follows. */
    private final ByteBuffer l1;

    /** Where refcount blocks are, of which there are {@link #blocks}. */
    private long[] blockOffsets = new long[16];

    private int blocks;
    /** The counts of clusters from {@code counted << blockShift} on: the last block that any of them is counted in. */
    private final ByteBuffer counts;

    private int counted;
    /** The first cluster that is not handed out; all before it are counted. */
    private long next;
    /** Where the compressed data that were placed last end, in bytes. */
    private long packedEnd;

    /** Of an image that has all in one file. */
    NewImage(PositionalFile file, long sizeBytes, ImageOptions options) {
        this(file, file, sizeBytes, options);
    }

    /**
     * @param file empty
     * @param data {@code file}, or the external data file, empty as well
     * @param sizeBytes the disk's, which becomes a multiple of 512
     * @throws IllegalArgumentException if the disk is too large for clusters of this size
     */
    NewImage(PositionalFile file, PositionalFile data, long sizeBytes, ImageOptions options) {
        this.file = file;
        this.data = data;
        this.options = options;
        // As QEMU, which has sectors.
        this.sizeBytes = new Geometry(sizeBytes + 511 & ~511L, options.chunkBits()).sizeBytes();
        this.clusterBits = options.clusterBits();
        this.blockShift = Refcounts.blockShift(clusterBits, options.refcountOrder());
        this.maxCount = Refcounts.max(options.refcountOrder());
        int tableShift = clusterBits + options.l2Shift();
        long l1Size = (this.sizeBytes + (1L << tableShift) - 1) >>> tableShift;
        if (l1Size > Qcow2Image.MAX_L1_ENTRIES) {
            throw new IllegalArgumentException(
                    "a disk of " + sizeBytes + " bytes takes larger clusters than " + options.clusterSize() + " bytes");
        }
        this.l1 = buffer(l1Size * L1Entry.BYTES);
        this.counts = buffer(options.clusterSize());
        this.next = 1; // after the header
        putCount(0, 1);
    }

    private static ByteBuffer buffer(long bytes) {
        return ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.BIG_ENDIAN);
    }

    /**
     * Takes {@code n} adjacent clusters.
     *
     * @return the first one's offset
     */
    synchronized long allocate(long n) throws IOException {
        return take(n) << clusterBits;
    }

    /** Takes clusters, and before them those of the refcount blocks that it takes to count all of these. */
    private long take(long n) throws IOException {
        long added = blocksWith(n) - blocks;
        for (long i = 0; i < added; i++) {
            addBlock((next + i) << clusterBits);
        }
        long first = next + added;
        long end = first + n;
        for (; next < end; next++) {
            count(next);
        }
        return first;
    }

    /** How many refcount blocks there are once {@code n} more clusters are taken. */
    private long blocksWith(long n) {
        long with = blocks;
        while (with < blocksUpTo(next + with - blocks + n)) {
            with++;
        }
        return with;
    }

    private long blocksUpTo(long clusters) {
        return (clusters + (1L << blockShift) - 1) >>> blockShift;
    }

    private void addBlock(long offset) throws StoreFullException {
        if ((long) (blocks + 1) * Long.BYTES > Refcounts.MAX_TABLE_BYTES) {
            throw new StoreFullException(
                    file.name() + ": has as many clusters as a refcount table can count; use larger clusters",
                    new NativeException("refcount table", Errno.ENOSPC));
        }
        if (blocks == blockOffsets.length) {
            blockOffsets = Arrays.copyOf(blockOffsets, 2 * blocks);
        }
        blockOffsets[blocks++] = offset;
    }

    /** Counts the next cluster. Those of one block come together, so it is written once. */
    private void count(long cluster) throws IOException {
        int number = (int) (cluster >>> blockShift);
        if (number != counted) {
            writeCounts();
            Zeros.fill(counts.clear());
            counted = number;
        }
        putCount(cluster, 1);
    }

    private int index(long cluster) {
        return (int) (cluster & ((1L << blockShift) - 1));
    }

    private void writeCounts() throws IOException {
        file.write(counts.clear(), blockOffsets[counted]);
    }

    /**
     * Takes {@code bytes} adjacent bytes, fewer than a cluster has: right after those taken before, where that is possible.
     *
     * @return their offset
     */
    synchronized long allocatePacked(int bytes) throws IOException {
        long end = packedEnd + bytes;
        long open = packedEnd >>> clusterBits;
        boolean fits = end <= (open + 1) << clusterBits;
        // Else they go on in the next cluster, which must not be in use, nor a refcount block's.
        if (isOpen(open) && (fits || (open == next - 1 && blocksWith(1) == blocks))) {
            putCount(open, getCount(open) + 1);
            if (!fits) {
                take(1);
            }
        } else {
            long start = take(1) << clusterBits;
            end = start + bytes;
        }
        packedEnd = end;
        return end - bytes;
    }

    /** True when the cluster has compressed data, and room for more, and its count is at hand and can be higher. */
    private boolean isOpen(long cluster) {
        return (packedEnd & (options.clusterSize() - 1)) != 0
                && cluster >>> blockShift == counted
                && getCount(cluster) != maxCount;
    }

    private long getCount(long cluster) {
        return Refcounts.get(counts, options.refcountOrder(), index(cluster));
    }

    private void putCount(long cluster, long count) {
        Refcounts.put(counts, options.refcountOrder(), index(cluster), count);
    }

    /**
     * Maps guest clusters.
     *
     * @param first the first of them
     * @param entries their L2 entries, as the file is to have them, with their bitmaps
     */
    void map(long first, ByteBuffer entries) throws IOException {
        long cluster = first;
        int limit = entries.limit();
        while (entries.position() < limit) {
            long table = cluster >>> options.l2Shift();
            long index = cluster & (1L << options.l2Shift()) - 1;
            int bytes =
                    (int) Math.min(limit - entries.position(), options.clusterSize() - index * options.entryBytes());
            file.write(entries.limit(entries.position() + bytes), tableOffset(table) + index * options.entryBytes());
            entries.limit(limit);
            cluster += bytes / options.entryBytes();
        }
    }

    /** Where an L2 table is, which is a hole at first: nothing was ever written there. */
    private synchronized long tableOffset(long table) throws IOException {
        int at = (int) table * L1Entry.BYTES;
        if (l1.getLong(at) == 0) {
            l1.putLong(at, L1Entry.COPIED | allocate(1));
        }
        return L1Entry.offset(l1.getLong(at));
    }

    /** The disk's size in bytes. */
    long sizeBytes() {
        return sizeBytes;
    }

    /** Gives every guest cluster its place, and as much more of it as {@code how} says. */
    void preallocate(ImageOptions.Preallocation how) throws IOException {
        boolean external = options.dataFile().isPresent();
        // Of a raw data file all is the disk's; else no subcluster has a place that is in use.
        long bitmap = options.dataFileRaw() ? Integer.toUnsignedLong(L2Entry.ALL) : 0;
        ByteBuffer entries = buffer(Math.min(options.clusterSize(), MAX_ENTRY_BYTES));
        int most = entries.capacity() / options.entryBytes();
        long clusters = (sizeBytes + options.clusterSize() - 1) >>> clusterBits;
        for (long first = 0; first < clusters; first += most) {
            int n = (int) Math.min(most, clusters - first);
            long offset = external ? first << clusterBits : allocate(n);
            long bytes = external ? Math.min((long) n << clusterBits, sizeBytes - offset) : (long) n << clusterBits;
            entries.clear();
            for (int i = 0; i < n; i++) {
                entries.putLong(L2Entry.COPIED | offset + ((long) i << clusterBits));
                if (options.extendedL2()) {
                    entries.putLong(bitmap);
                }
            }
            map(first, entries.flip());
            if (how == ImageOptions.Preallocation.FALLOC) {
                setAside(offset, bytes);
            } else if (how == ImageOptions.Preallocation.FULL) {
                Zeros.write(data, offset, bytes);
            }
        }
    }

    private void setAside(long offset, long bytes) throws IOException {
        try {
            data.preallocate(offset, bytes);
        } catch (IOException e) {
            if (Errno.of(e) == Errno.EOPNOTSUPP) {
                throw new IOException(
                        data.name() + ": its file system cannot set space aside; take " + ImageOptions.PREALLOCATION
                                + "=full, or metadata",
                        e);
            }
            throw e;
        }
    }

    /**
     * Makes an image of it, durable on return.
     *
     * @param origin what is behind it, or null
     * @throws IOException also if the base's path is too long
     */
    synchronized void complete(OriginReference origin) throws IOException {
        ByteBuffer header = buffer(Math.min(options.clusterSize(), HEADER_BYTES));
        putExtensions(header, origin);
        int size = options.clusterSize();
        long l1Offset = allocate(((long) l1.capacity() + size - 1) >>> clusterBits);
        // Written out: a full disk must still take an L1 entry.
        Zeros.write(file, l1Offset, (next << clusterBits) - l1Offset);
        file.write(l1.clear(), l1Offset);
        long tableClusters = 1;
        while (blocksWith(tableClusters) * Long.BYTES > tableClusters << clusterBits) {
            tableClusters++;
        }
        long tableOffset = allocate(tableClusters);
        ByteBuffer table = buffer(tableClusters << clusterBits);
        for (int i = 0; i < blocks; i++) {
            table.putLong(blockOffsets[i]);
        }
        file.write(table.clear(), tableOffset);
        writeCounts();
        header(header, l1Offset, tableOffset, (int) tableClusters).encode(header);
        // All that it refers to first, or power loss could leave an image with nothing in it.
        if (data != file) {
            data.sync();
        }
        file.sync();
        file.write(header.clear(), 0);
        file.sync();
    }

    private Header header(ByteBuffer block, long l1Offset, long tableOffset, int tableClusters) {
        return new Header(
                options.version(),
                block.getLong(Header.BACKING_FILE_OFFSET_AT),
                block.getInt(Header.BACKING_FILE_SIZE_AT),
                clusterBits,
                sizeBytes,
                0,
                l1.capacity() / L1Entry.BYTES,
                l1Offset,
                tableOffset,
                tableClusters,
                0,
                0,
                options.incompatibleFeatures(),
                options.compatibleFeatures(),
                options.autoclearFeatures(),
                options.refcountOrder(),
                options.version() < 3 ? Header.V2_LENGTH : Header.FULL_LENGTH,
                options.compressionType());
    }

    /** Puts what follows the header into its cluster, the backing file's name last, and where that is into the header. */
    private void putExtensions(ByteBuffer header, OriginReference origin) throws IOException {
        header.position(options.version() < 3 ? Header.V2_LENGTH : Header.FULL_LENGTH);
        if (options.dataFile().isPresent()) {
            put(header, HeaderExtensions.DATA_FILE, data.name().getBytes(StandardCharsets.UTF_8), "data file");
        }
        if (origin != null) {
            String format = format(origin, Path.of(file.name()));
            put(header, HeaderExtensions.BACKING_FORMAT, format.getBytes(StandardCharsets.US_ASCII), "base");
            byte[] name = spelled(origin.path()).getBytes(StandardCharsets.UTF_8);
            // An empty extension ends them.
            int at = header.position() + HeaderExtensions.HEAD_BYTES;
            requireRoom(header, at, name, "base");
            header.put(at, name)
                    .putLong(Header.BACKING_FILE_OFFSET_AT, at)
                    .putInt(Header.BACKING_FILE_SIZE_AT, name.length);
        }
    }

    /** Puts an extension; what follows it ends them, as zeros do. */
    private void put(ByteBuffer header, int type, byte[] bytes, String whose) throws IOException {
        int at = header.position() + HeaderExtensions.HEAD_BYTES;
        requireRoom(header, at, bytes, whose);
        header.putInt(type).putInt(bytes.length).put(bytes).position(at + HeaderExtensions.padded(bytes.length));
    }

    private void requireRoom(ByteBuffer header, int at, byte[] name, String whose) throws IOException {
        int room = Math.min(BackingFile.MAX_NAME_BYTES, header.capacity() - at);
        if (name.length > room) {
            throw new IOException(file.name() + ": the " + whose + "'s path is longer than " + Math.max(0, room)
                    + " bytes; give it a shorter one, or take larger clusters");
        }
    }

    /** A name that QEMU does not take for one of its protocols. */
    static String spelled(String path) {
        return path.indexOf(':') < 0 || path.startsWith("/") ? path : "./" + path;
    }

    /** What a header calls the format of {@code origin}. */
    static String format(OriginReference origin, Path image) throws IOException {
        if (!origin.isImage()) {
            return "raw";
        }
        try (NativeFile base = NativeFile.open(origin.resolve(image), Libc.O_RDONLY)) {
            ByteBuffer head = ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES);
            base.read(head, 0);
            return Header.hasMagic(head.flip()) ? Qcow2Format.NAME : "ucow";
        } catch (NativeException e) {
            if (e.errno() == Errno.ENOENT) {
                return Qcow2Format.NAME; // a snapshot's layer gets its name last, and is what the new image is
            }
            throw e;
        }
    }
}
