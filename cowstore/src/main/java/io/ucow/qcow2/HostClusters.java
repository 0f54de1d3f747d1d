package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.StoreFullException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which clusters of a file are free, and the reference counts that say so. Clusters are taken in batches ahead of use:
 * their counts are raised to 1, then they are handed out. Whoever has one syncs the file before anything refers to it. So a
 * kill or power loss at any moment leaves clusters that are counted and not used, never the reverse. What is left of a
 * batch is given back at close.
 *
 * <p>Clusters go by number: file offset divided by cluster size.
 *
 * <p>Threading: any number of threads. One lock, held for a few instructions, and for some I/O once per batch; taking a
 * cluster allocates nothing in steady state.
 */
final class HostClusters implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(HostClusters.class);

    /** 4 PiB of 64 KiB clusters. */
    static final long MAX_CLUSTERS = 1L << 36;

    private static final int MIN_BATCH = 64, MAX_BATCH = 1024;
    private static final int BATCH_BYTES = 8 << 20;
    private static final long SECTOR_MASK = ~511L;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final int clusterBits;
    private final int order;
    private final int blockShift;
    private final int batch;
    /** How many the file had at open. */
    private final long fileClusters;
    /** A bit for each cluster that is known to hold no guest's data. */
    private final SparseLongs metadata;

    private final ReentrantLock lock = new ReentrantLock();
    /** Where the refcount blocks are; 0 for none. Guarded by lock, as all that follows. */
    private long[] table;

    private long tableOffset;
    private final ByteBuffer block;
    /** Number of the block in {@link #block}; -1 for none. */
    private long loaded = -1;
    /** Entries of {@link #block} that are to be written: from the first to before the second. */
    private int dirtyFrom = Integer.MAX_VALUE;

    private int dirtyTo;
    /** No cluster below this one is free. */
    private long hint;

    /**
     * Runs of clusters that are counted and used by nobody, to be taken from the end: those given back last come first, then
     * the batch in ascending order.
     */
    private long[] reservedFirst = new long[64];

    private long[] reservedCount = new long[64];
    private int reserved;
    private long reservedClusters;

    /** @throws CorruptStoreException if the refcount table is impossible */
    HostClusters(PositionalFile file, Qcow2Image image, ClusterMap map) throws IOException {
        this.file = file;
        this.image = image;
        Header header = image.header();
        this.clusterBits = header.clusterBits();
        this.order = header.refcountOrder();
        this.blockShift = Refcounts.blockShift(clusterBits, order);
        this.batch = Math.max(MIN_BATCH, Math.min(MAX_BATCH, BATCH_BYTES >>> clusterBits));
        this.block = ByteBuffer.allocateDirect(header.clusterSize()).order(ByteOrder.BIG_ENDIAN);
        this.tableOffset = header.refcountTableOffset();
        this.fileClusters = (file.size() + header.clusterSize() - 1) >>> clusterBits;
        if (fileClusters > MAX_CLUSTERS) {
            throw new UnsupportedFormatException(
                    image.image() + ": its file has more than 2^36 clusters, which are too many to write to");
        }
        this.metadata = new SparseLongs(MAX_CLUSTERS >>> 6);
        try {
            readTable(header);
            mark(0, 1, "header");
            mark(header.l1TableOffset(), (long) header.l1Size() * L1Entry.BYTES, "L1 table");
            if (header.nbSnapshots() > 0) {
                mark(header.snapshotsOffset(), 1, "snapshot table");
                for (SnapshotEntry snapshot : image.snapshots(file)) {
                    long bytes = Integer.toUnsignedLong(snapshot.l1Size()) * L1Entry.BYTES;
                    mark(snapshot.l1TableOffset(), bytes, "L1 table of snapshot " + snapshot.id());
                }
            }
            map.forEachTable(offset -> mark(offset, 1, "L2 table"));
        } catch (IOException | RuntimeException e) {
            metadata.close();
            throw e;
        }
    }

    private void readTable(Header header) throws IOException {
        int bytes = header.refcountTableClusters() << clusterBits;
        mark(tableOffset, bytes, "refcount table");
        ByteBuffer buffer = Qcow2Image.readAt(file, tableOffset, bytes);
        table = new long[bytes / Long.BYTES];
        for (int i = 0; i < table.length; i++) {
            table[i] = buffer.getLong(i * Long.BYTES) & SECTOR_MASK;
            if (table[i] != 0) {
                mark(table[i], 1, "refcount block " + i);
            }
        }
    }

    /** Notes that these bytes hold metadata. */
    private void mark(long offset, long bytes, String what) throws CorruptStoreException {
        long last = (offset + Math.max(bytes, 1) - 1) >>> clusterBits;
        if (offset < 0 || (offset & (image.header().clusterSize() - 1)) != 0 || last >= fileClusters) {
            throw Qcow2Image.corrupt(
                    image.image(),
                    offset,
                    "the " + what + " is not on a cluster boundary within the file; see: ucow check");
        }
        for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
            if (!noteMetadata(cluster)) {
                throw Qcow2Image.corrupt(
                        image.image(), offset, "the " + what + " is where other metadata is; see: ucow check");
            }
        }
    }

    private boolean isMetadata(long cluster) {
        return (metadata.get(cluster >>> 6) & (1L << cluster)) != 0;
    }

    /** Notes that a cluster holds metadata. @return false if that was known */
    boolean noteMetadata(long cluster) {
        return (metadata.getAndBitwiseOr(cluster >>> 6, 1L << cluster) & (1L << cluster)) == 0;
    }

    /**
     * Refuses to have a guest's data written over what is known to be metadata: an L2 entry pointed there.
     *
     * @throws CorruptStoreException if so; the image is marked corrupt then
     */
    void requireData(long offset, long bytes) throws IOException {
        long last = (offset + bytes - 1) >>> clusterBits;
        for (long cluster = offset >>> clusterBits; cluster <= last; cluster++) {
            if (cluster >= MAX_CLUSTERS || isMetadata(cluster)) {
                throw corrupt(cluster, "a guest's cluster is where metadata is");
            }
        }
    }

    /**
     * Takes adjacent free clusters, counted, but not durably.
     *
     * @param wanted {@code >= 1}
     * @return a {@link SlotRun} of 1..wanted clusters
     * @throws StoreFullException if the file can have no more
     */
    long allocate(int wanted) throws IOException {
        lock.lock();
        try {
            if (reserved == 0) {
                refill();
            }
            int last = reserved - 1;
            long first = reservedFirst[last];
            int n = (int) Math.min(wanted, reservedCount[last]);
            reservedFirst[last] += n;
            reservedCount[last] -= n;
            if (reservedCount[last] == 0) {
                reserved--;
            }
            reservedClusters -= n;
            return SlotRun.of(first, n);
        } finally {
            lock.unlock();
        }
    }

    /**
     * Takes {@code n} free clusters that are adjacent. Their counts are not durable yet.
     *
     * @return the first
     * @throws StoreFullException if there can be no such place
     */
    long allocateAdjacent(long n) throws IOException {
        if (n >= 1L << blockShift) {
            // A refcount block would have to be in the middle of it.
            throw new StoreFullException(
                    image.image() + ": a table of " + n + " clusters has no place; use larger clusters",
                    new NativeException("adjacent clusters", Errno.ENOSPC));
        }
        lock.lock();
        try {
            long found = 0;
            long cluster = hint;
            for (; found < n; cluster++) {
                load(cluster >>> blockShift);
                found = Refcounts.get(block, order, index(cluster)) == 0 ? found + 1 : 0;
            }
            for (long taken = cluster - n; taken < cluster; taken++) {
                requireNoMetadata(taken);
                load(taken >>> blockShift);
                put(taken, 1);
            }
            writeDirty();
            return cluster - n;
        } finally {
            lock.unlock();
        }
    }

    /** Takes back clusters that were allocated and that nothing refers to: they serve next. */
    void giveBack(long first, long count) {
        try {
            punch(first, count);
        } catch (IOException e) {
            LOG.warn("storage not given back image={} cluster={} count={}", image.image(), first, count, e);
        }
        lock.lock();
        try {
            reserve(first, count);
        } finally {
            lock.unlock();
        }
    }

    private void reserve(long first, long count) {
        if (reserved == reservedFirst.length) {
            reservedFirst = Arrays.copyOf(reservedFirst, 2 * reserved);
            reservedCount = Arrays.copyOf(reservedCount, 2 * reserved);
        }
        reservedFirst[reserved] = first;
        reservedCount[reserved++] = count;
        reservedClusters += count;
    }

    private void refill() throws IOException {
        boolean done = false;
        try {
            takeBatch();
            done = true;
        } finally {
            if (!done) {
                // They may be counted: then nobody gets them.
                reserved = 0;
                reservedClusters = 0;
            }
        }
        for (int i = 0, k = reserved - 1; i < k; i++, k--) {
            long first = reservedFirst[i];
            long count = reservedCount[i];
            reservedFirst[i] = reservedFirst[k];
            reservedCount[i] = reservedCount[k];
            reservedFirst[k] = first;
            reservedCount[k] = count;
        }
    }

    /** Raises the counts of free clusters, and reserves them in ascending order. */
    private void takeBatch() throws IOException {
        long cluster = hint;
        while (reservedClusters < batch) {
            load(cluster >>> blockShift);
            long end = ((cluster >>> blockShift) + 1) << blockShift;
            for (; cluster < end && reservedClusters < batch; cluster++) {
                if (Refcounts.get(block, order, index(cluster)) == 0) {
                    requireNoMetadata(cluster);
                    put(cluster, 1);
                    append(cluster);
                }
            }
        }
        writeDirty();
        hint = cluster;
    }

    private void append(long cluster) {
        int last = reserved - 1;
        if (last >= 0 && reservedFirst[last] + reservedCount[last] == cluster) {
            reservedCount[last]++;
            reservedClusters++;
        } else {
            reserve(cluster, 1);
        }
    }

    /** True if each of these clusters has one reference, and none is known to hold metadata. */
    boolean isCountedOnce(long first, long count) throws IOException {
        lock.lock();
        try {
            for (long cluster = first; cluster < first + count; cluster++) {
                int number = (int) (cluster >>> blockShift);
                if (isMetadata(cluster) || number >= table.length || table[number] == 0) {
                    return false;
                }
                load(number);
                if (Refcounts.get(block, order, index(cluster)) != 1) {
                    return false;
                }
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    private int index(long cluster) {
        return (int) (cluster & ((1L << blockShift) - 1));
    }

    /** What is free by its count and yet in use would be overwritten. */
    private void requireNoMetadata(long cluster) throws IOException {
        if (cluster >= MAX_CLUSTERS) {
            throw new StoreFullException(image.image() + ": has 2^36 clusters, and can have no more");
        }
        if (isMetadata(cluster)) {
            forgetBlock();
            throw corrupt(cluster, "this cluster of metadata counts as free");
        }
    }

    /** Marks the image corrupt, where its version has a mark for that. @return what to throw */
    private CorruptStoreException corrupt(long cluster, String what) throws IOException {
        boolean marked = image.header().version() >= 3;
        if (marked) {
            ByteBuffer features = Qcow2Image.readAt(file, Header.INCOMPATIBLE_AT, Long.BYTES);
            features.putLong(0, features.getLong(0) | Header.CORRUPT);
            file.write(features, Header.INCOMPATIBLE_AT);
            file.sync();
        }
        return Qcow2Image.corrupt(
                image.image(),
                cluster << clusterBits,
                what
                        + (marked
                                ? "; the image is marked corrupt, and can only be read"
                                : "; the image is corrupt, which version 2 has no mark for: do not write to it")
                        + "; see: ucow check --repair");
    }

    /** Has {@link #block} hold block {@code number}, which is made if there is none. */
    private void load(long number) throws IOException {
        if (number == loaded) {
            return;
        }
        writeDirty();
        forgetBlock();
        if (number >= table.length) {
            growTable(number);
        }
        if (table[(int) number] == 0) {
            createBlock((int) number);
        } else {
            block.clear();
            file.read(block, table[(int) number]);
            Zeros.fill(block);
        }
        loaded = number;
    }

    private void forgetBlock() {
        loaded = -1;
        dirtyFrom = Integer.MAX_VALUE;
        dirtyTo = 0;
    }

    /** Has the loaded block say {@code count}, in memory until {@link #writeDirty}. */
    private void put(long cluster, long count) {
        int index = index(cluster);
        Refcounts.put(block, order, index, count);
        dirtyFrom = Math.min(dirtyFrom, index);
        dirtyTo = Math.max(dirtyTo, index + 1);
    }

    private void writeDirty() throws IOException {
        if (dirtyFrom >= dirtyTo) {
            return;
        }
        int first = dirtyFrom << order >>> 3;
        int end = ((dirtyTo << order) + 7) >>> 3;
        boolean written = false;
        try {
            file.write(block.duplicate().limit(end).position(first), table[(int) loaded] + first);
            dirtyFrom = Integer.MAX_VALUE;
            dirtyTo = 0;
            written = true;
        } finally {
            if (!written) {
                forgetBlock();
            }
        }
    }

    /** The first of the clusters that a new block counts holds the block. */
    private void createBlock(int number) throws IOException {
        long cluster = (long) number << blockShift;
        requireNoMetadata(cluster);
        clearBlock();
        Refcounts.put(block, order, 0, 1);
        file.write(block.clear(), cluster << clusterBits);
        // Power loss must not leave a block that is something else's bytes.
        file.sync();
        writeTableEntry(number, cluster << clusterBits);
        noteMetadata(cluster);
    }

    private void clearBlock() {
        Zeros.fill(block.clear());
        block.clear();
    }

    private void writeTableEntry(int number, long offset) throws IOException {
        ByteBuffer entry = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        entry.putLong(0, offset);
        file.write(entry, tableOffset + (long) number * Long.BYTES);
        table[number] = offset;
    }

    /** Writes a larger table, and the blocks that count it, where what it is to cover begins; then switches over. */
    private void growTable(long number) throws IOException {
        long perBlock = 1L << blockShift;
        long oldClusters = ((long) table.length * Long.BYTES) >>> clusterBits;
        long clusters = Math.max(1, 2 * oldClusters);
        long blocks = blocksFor(clusters, perBlock);
        while ((clusters << clusterBits) / Long.BYTES < number + blocks) {
            clusters *= 2;
            blocks = blocksFor(clusters, perBlock);
        }
        if (clusters << clusterBits > Refcounts.MAX_TABLE_BYTES) {
            throw new StoreFullException(
                    image.image() + ": has as many clusters as its refcount table can count; use larger clusters",
                    new NativeException("refcount table", Errno.ENOSPC));
        }
        long first = number << blockShift;
        long[] grown = Arrays.copyOf(table, (int) ((clusters << clusterBits) / Long.BYTES));
        for (int i = 0; i < blocks; i++) {
            clearBlock();
            long counted = Math.min(perBlock, blocks + clusters - i * perBlock);
            for (int k = 0; k < counted; k++) {
                Refcounts.put(block, order, k, 1);
            }
            file.write(block.clear(), (first + i) << clusterBits);
            grown[(int) number + i] = (first + i) << clusterBits;
        }
        ByteBuffer bytes = ByteBuffer.allocateDirect(grown.length * Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        bytes.asLongBuffer().put(grown);
        long offset = (first + blocks) << clusterBits;
        file.write(bytes, offset);
        file.sync();
        writeTablePlace(offset, (int) clusters);
        long oldOffset = tableOffset;
        table = grown;
        tableOffset = offset;
        for (long i = 0; i < blocks + clusters; i++) {
            noteMetadata(first + i);
        }
        LOG.debug("refcount table has grown image={} clusters={}", image.image(), clusters);
        for (long i = 0; i < oldClusters; i++) {
            forgetMetadata((oldOffset >>> clusterBits) + i);
        }
        release(oldOffset >>> clusterBits, oldClusters);
        forgetBlock();
    }

    private void forgetMetadata(long cluster) {
        metadata.getAndBitwiseAnd(cluster >>> 6, ~(1L << cluster));
    }

    private static long blocksFor(long clusters, long perBlock) {
        return (clusters + perBlock - 2) / (perBlock - 1);
    }

    private void writeTablePlace(long offset, int clusters) throws IOException {
        ByteBuffer fields = ByteBuffer.allocateDirect(12).order(ByteOrder.BIG_ENDIAN);
        fields.putLong(0, offset).putInt(8, clusters);
        file.write(fields, Header.REFCOUNT_TABLE_OFFSET_AT);
        file.sync();
    }

    /**
     * Drops one reference to each of these clusters, which nothing durable makes any more, and that no reader is at; the last
     * one frees a cluster, and its storage goes back to the file system.
     *
     * @param clusters ascending, some more than once; changed
     * @return how many are free now
     */
    int drop(long[] clusters) throws IOException {
        int last = dropReferences(clusters);
        // Counted still, so nobody gets them before the holes are there.
        for (int i = 0; i < last; i += runLength(clusters, i, last)) {
            punch(clusters[i], runLength(clusters, i, last));
        }
        lock.lock();
        try {
            for (int i = 0; i < last; ) {
                int n = runLength(clusters, i, last);
                int kept = (int) Math.max(0, Math.min(n, batch - reservedClusters));
                if (kept > 0) {
                    reserve(clusters[i], kept);
                }
                release(clusters[i] + kept, n - kept);
                i += n;
            }
        } finally {
            lock.unlock();
        }
        return last;
    }

    private static int runLength(long[] clusters, int from, int to) {
        int n = 1;
        while (from + n < to && clusters[from + n] == clusters[from] + n) {
            n++;
        }
        return n;
    }

    /** @return of how many clusters this would be the last one: those come first now */
    private int dropReferences(long[] clusters) throws IOException {
        int last = 0;
        lock.lock();
        try {
            for (long cluster : clusters) {
                load(cluster >>> blockShift);
                long count = Refcounts.get(block, order, index(cluster));
                if (count == 0 || (last > 0 && clusters[last - 1] == cluster)) {
                    forgetBlock();
                    throw corrupt(cluster, "this cluster was in use, and counts as free");
                }
                if (count == 1) {
                    forgetMetadata(cluster);
                    clusters[last++] = cluster;
                } else {
                    put(cluster, count - 1);
                }
            }
            writeDirty();
        } finally {
            lock.unlock();
        }
        return last;
    }

    /** Gives the storage of clusters back that nobody uses; what they hold is zeros, or anything, afterwards. */
    private void punch(long first, long count) throws IOException {
        file.tryPunchHole(first << clusterBits, count << clusterBits);
    }

    private void release(long first, long count) throws IOException {
        for (long cluster = first; cluster < first + count; cluster++) {
            load(cluster >>> blockShift);
            put(cluster, 0);
        }
        writeDirty();
        hint = Math.min(hint, first);
    }

    /** Lets go of the batch: what is left of it is free again. */
    void releaseReserved() throws IOException {
        lock.lock();
        try {
            while (reserved > 0) {
                reserved--;
                reservedClusters -= reservedCount[reserved];
                release(reservedFirst[reserved], reservedCount[reserved]);
            }
        } finally {
            lock.unlock();
        }
    }

    /** How many clusters the file has up to the last one that is counted. */
    long countedClusters() throws IOException {
        lock.lock();
        try {
            long cluster = (file.size() + image.header().clusterSize() - 1) >>> clusterBits;
            while (cluster > 0) {
                long number = (cluster - 1) >>> blockShift;
                if (number >= table.length || table[(int) number] == 0) {
                    cluster = number << blockShift;
                    continue;
                }
                load(number);
                if (Refcounts.get(block, order, index(cluster - 1)) != 0) {
                    break;
                }
                cluster--;
            }
            return cluster;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws NativeException {
        metadata.close();
    }
}
