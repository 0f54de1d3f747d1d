package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.BufferPool;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Where each chunk is: the L1 table, and L2 tables decoded to {@link RemapEntry} longs, off-heap, loaded on first use.
 * What is loaded is bounded; past the bound the tables loaded longest ago are forgotten. Nothing here is ever newer than
 * the file: whoever changes an L2 entry writes it there first, or to the {@link PendingLog}, which is looked through when
 * a table is loaded.
 *
 * <p>Tables are loaded and forgotten by <em>leaf</em>: one table, or as many small ones as make a page of entries.
 *
 * <p>Threading: {@link #lookup} takes no lock and allocates nothing while the chunk's table is loaded.
 */
final class ClusterMap implements AutoCloseable {
    /** Entries in memory that say something other than a {@link RemapEntry}; 0 says "not loaded". */
    private static final long UNALLOCATED = 1, INVALID = 2;

    private static final int PAGE_SHIFT = 9;
    private static final int LOCKS = 64;
    /** Entries that are kept at the most, if that is more than two leaves: 64 MiB of memory. */
    private static final long MAX_LOADED = 8 << 20;
    /** Host offsets are below this; more does not fit an L2 entry. */
    private static final long MAX_OFFSET = 1L << 56;

    private static final int MAX_READ_SHIFT = 16;

    /** Of an element of {@link #counts}: set, then 31 bits each of chunks that are held, and that read as zeros. */
    private static final long COUNTED = 1L << 62;

    private static final int ALTERED_SHIFT = 31;
    private static final long COUNT_MASK = (1L << ALTERED_SHIFT) - 1;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final int clusterBits;
    private final int chunkShift;
    private final int subclusterShift;
    private final boolean extended;
    private final int entryBytes;
    private final boolean readOnly;
    /** Binary logarithm of the clusters of an L2 table, the chunks of one, and the chunks of a leaf. */
    private final int l2Shift, tableShift, leafShift;

    private final SparseLongs l1;
    private final SparseLongs entries;
    /** What {@link #entries} is to say of a table, until all of it is known. */
    private final SparseLongs staged;
    /** By leaf, if it has been counted since something changed it while it was not loaded: {@link #COUNTED}, and how many. */
    private final SparseLongs counts;

    private final BufferPool buffers;
    /** By leaf. Guard loading, forgetting and changing it. */
    private final ReentrantLock[] locks = new ReentrantLock[LOCKS];

    private final ReentrantLock loadedLock = new ReentrantLock();
    /** Leaves that are loaded, longest first. Guarded by loadedLock. */
    private final ArrayDeque<Long> loaded = new ArrayDeque<>();

    private final int maxLeaves;
    /** What is not in the tables yet; null for nothing. */
    private volatile PendingLog pending;

    /**
     * @param l1Offset of the table to follow: the active one, or a snapshot's
     * @param readOnly whether nobody writes to clusters: those that a snapshot shares need no copy then
     */
    ClusterMap(PositionalFile file, Qcow2Image image, long l1Offset, boolean readOnly) throws IOException {
        this.file = file;
        this.image = image;
        this.clusterBits = image.header().clusterBits();
        this.chunkShift = image.geometry().chunkShift();
        this.subclusterShift = image.subclusterShift();
        this.extended = image.header().hasExtendedL2();
        this.entryBytes = image.header().l2EntryBytes();
        this.readOnly = readOnly;
        this.l2Shift = Qcow2Image.l2Shift(image.header());
        this.tableShift = l2Shift + subclusterShift;
        this.leafShift = Math.max(tableShift, PAGE_SHIFT);
        this.maxLeaves = (int) Math.max(2, MAX_LOADED >>> leafShift);
        this.buffers = new BufferPool(1 << Math.min(clusterBits, MAX_READ_SHIFT));
        for (int i = 0; i < LOCKS; i++) {
            locks[i] = new ReentrantLock();
        }
        this.l1 = new SparseLongs(image.l1Entries());
        SparseLongs mapped = null;
        SparseLongs unseen = null;
        SparseLongs counted = null;
        boolean done = false;
        try {
            mapped = new SparseLongs(leaves() << leafShift);
            unseen = new SparseLongs(leaves() << leafShift);
            counted = new SparseLongs(leaves());
            this.entries = mapped;
            this.staged = unseen;
            this.counts = counted;
            readL1(l1Offset);
            done = true;
        } finally {
            if (!done) {
                closeAll(l1, mapped, unseen, counted);
            }
        }
    }

    private long leaves() {
        return (((long) image.l1Entries() << tableShift) + (1L << leafShift) - 1) >>> leafShift;
    }

    private void readL1(long offset) throws IOException {
        ByteBuffer table = Qcow2Image.readAt(file, offset, image.l1Entries() * L1Entry.BYTES);
        long tables = 0;
        for (int i = 0; i < image.l1Entries(); i++) {
            long entry = table.getLong(i * L1Entry.BYTES);
            l1.set(i, entry);
            tables += L1Entry.offset(entry) == 0 ? 0 : 1;
        }
        // Else a small file could have whoever looks at all of its tables look at the same one for hours.
        if (tables > file.size() >>> clusterBits) {
            throw Qcow2Image.corrupt(
                    image.image(),
                    offset,
                    "the L1 table names " + tables + " L2 tables, more than the file has clusters");
        }
    }

    /** Has entries of {@code log} go before those that the tables have. Before any of them counts. */
    void overlay(PendingLog log) {
        pending = log;
    }

    /**
     * Takes entries over that a killed process left.
     *
     * @param slots that there are in the file
     * @throws CorruptStoreException if one of them cannot be
     */
    void adopt(PendingLog log, long slots) throws CorruptStoreException {
        for (long number = log.head(); number < log.next(); number++) {
            long chunk = log.chunk(number);
            int count = log.count(number);
            long entry = log.entry(number);
            if (chunk == -1) {
                continue; // its number was left unused
            }
            if (chunk < 0
                    || count <= 0
                    || chunk > image.geometry().chunkCount() - count
                    || count > chunksToTableEnd(chunk)
                    || !isOwnTable(chunk)
                    || !(RemapEntry.isZero(entry)
                            || (RemapEntry.isWhole(entry)
                                    && RemapEntry.slotOf(entry) <= slots - count
                                    && canHold(RemapEntry.slotOf(entry), chunk)))) {
                throw Qcow2Image.corrupt(
                        image.image(),
                        log.place().offset(),
                        "record " + number + " of the log of pending entries is impossible: " + count + " chunks from "
                                + chunk + " on, entry 0x" + Long.toHexString(entry));
            }
        }
        overlay(log);
    }

    /** A subcluster's place in its cluster is the one that it has on the disk; a chunk's in an external data file is the disk's. */
    private boolean canHold(long slot, long chunk) {
        return image.header().hasExternalData() ? slot == chunk : ((slot ^ chunk) & ((1L << subclusterShift) - 1)) == 0;
    }

    /** True if there is an L2 table for {@code chunk} that no snapshot shares: it may be changed in place. */
    boolean isOwnTable(long chunk) {
        long entry = l1Entry(chunk);
        return L1Entry.offset(entry) != 0 && L1Entry.isCopied(entry);
    }

    /** The entry of {@code chunk}. @throws CorruptStoreException if its L2 table, or its entry there, is impossible */
    long lookup(long chunk) throws IOException {
        while (true) {
            long entry = entries.get(chunk);
            if (entry == UNALLOCATED) {
                return RemapEntry.ORIGIN;
            }
            if (entry == INVALID) {
                throw invalid(chunk);
            }
            if (entry != 0) {
                return entry;
            }
            // In this order: a table is entered here after its leaf was forgotten, or it has no entries yet.
            if (L1Entry.offset(l1.get(chunk >>> tableShift)) == 0) {
                return RemapEntry.ORIGIN;
            }
            load(chunk >>> leafShift);
        }
    }

    /** The first chunk from {@code chunk} on whose L2 table exists, or the chunk count. */
    long nextPresent(long chunk) {
        long table = chunk >>> tableShift;
        if (table >= l1.length()) {
            return image.geometry().chunkCount();
        }
        if (L1Entry.offset(l1.get(table)) != 0) {
            return chunk;
        }
        while (++table < l1.length()) {
            if (L1Entry.offset(l1.get(table)) != 0) {
                return table << tableShift;
            }
        }
        return image.geometry().chunkCount();
    }

    /** What is told where an L2 table is. */
    interface TableVisitor {
        void table(long offset) throws IOException;
    }

    /** Tells {@code visitor} of each L2 table, in the order of the disk. */
    void forEachTable(TableVisitor visitor) throws IOException {
        for (long table = 0; table < l1.length(); table++) {
            if (L1Entry.offset(l1.get(table)) != 0) {
                visitor.table(tableOffset(table));
            }
        }
    }

    /** Chunks from {@code chunk} to the end of its L2 table, {@code >= 1}. */
    long chunksToTableEnd(long chunk) {
        return (1L << tableShift) - (chunk & ((1L << tableShift) - 1));
    }

    /** What guards changes of the L2 table that has {@code chunk}, and of its L1 entry. */
    ReentrantLock lockOf(long chunk) {
        return lockOfLeaf(chunk >>> leafShift);
    }

    /** True when there is an L2 table for {@code chunk}. */
    boolean hasTable(long chunk) {
        return L1Entry.offset(l1Entry(chunk)) != 0;
    }

    /** How many tables there are not, from that of {@code chunk}, which is missing, on; counted up to {@code most}. */
    int tablesMissing(long chunk, int most) {
        long table = chunk >>> tableShift;
        int missing = 1;
        while (missing < most && table + missing < l1.length() && L1Entry.offset(l1.get(table + missing)) == 0) {
            missing++;
        }
        return missing;
    }

    /** The L1 entry above {@code chunk}. */
    long l1Entry(long chunk) {
        return l1.get(chunk >>> tableShift);
    }

    /** Writes the L1 entry above {@code chunk}; the caller holds its lock. */
    void writeL1(long chunk, long entry) throws IOException {
        long table = chunk >>> tableShift;
        ByteBuffer buffer = ByteBuffer.allocateDirect(L1Entry.BYTES).order(ByteOrder.BIG_ENDIAN);
        buffer.putLong(0, entry);
        file.write(buffer, image.header().l1TableOffset() + table * L1Entry.BYTES);
        l1.set(table, entry);
    }

    /**
     * Makes visible what was written to an L2 table, or is pending: {@code count} chunks of it from {@code chunk} are at
     * {@code entry}, and on from there if that is a slot. The caller holds the lock.
     */
    void publish(long chunk, int count, long entry) {
        if (entries.get(chunk >>> tableShift << tableShift) == 0) {
            counts.set(chunk >>> leafShift, 0);
            return; // not loaded: whoever asks next reads it
        }
        // Version 2 has no zeros: it is a chunk with nothing behind it.
        long published = RemapEntry.isZero(entry) && image.header().version() < 3 ? UNALLOCATED : entry;
        long counted = counts.get(chunk >>> leafShift);
        if (counted != 0) {
            for (int i = 0; i < count; i++) {
                counted += weight(published) - weight(entries.get(chunk + i));
            }
            counts.set(chunk >>> leafShift, counted);
        }
        set(entries, chunk, count, published);
    }

    /** What a chunk adds to the counts of its leaf. */
    private static long weight(long entry) {
        if (RemapEntry.isZero(entry)) {
            return 1;
        }
        return RemapEntry.isSlot(entry) || RemapEntry.isPacked(entry) ? 1L << ALTERED_SHIFT : 0;
    }

    private void set(SparseLongs target, long chunk, int count, long entry) {
        for (int i = 0; i < count; i++) {
            target.set(chunk + i, RemapEntry.isSlot(entry) ? entry + i : entry);
        }
        if (subclusterShift > 0 && RemapEntry.isSlot(entry)) {
            bringAlong(target, chunk, count, entry);
        }
    }

    /** What else the cluster of subclusters holds has been copied, if it was in another one. */
    private void bringAlong(SparseLongs target, long chunk, int count, long entry) {
        long first = chunk >>> subclusterShift << subclusterShift;
        long end = (((chunk + count - 1) >>> subclusterShift) + 1) << subclusterShift;
        for (long c = first; c < end; c++) {
            long old = target.get(c);
            if (RemapEntry.isSlot(old) || RemapEntry.isPacked(old)) {
                target.set(c, entry + (c - chunk));
            }
        }
    }

    private void load(long leaf) throws IOException {
        ReentrantLock lock = lockOfLeaf(leaf);
        boolean added = false;
        lock.lock();
        try {
            long first = leaf << (leafShift - tableShift);
            long last = Math.min(l1.length(), (leaf + 1) << (leafShift - tableShift));
            for (long table = first; table < last; table++) {
                if (entries.get(table << tableShift) == 0 && L1Entry.offset(l1.get(table)) != 0) {
                    loadEntries(table);
                    added = true;
                }
            }
        } finally {
            lock.unlock();
        }
        if (added) {
            forgetSurplus(leaf);
        }
    }

    private ReentrantLock lockOfLeaf(long leaf) {
        return locks[(int) leaf & (LOCKS - 1)];
    }

    private void forgetSurplus(long newest) throws NativeException {
        long oldest = -1;
        loadedLock.lock();
        try {
            if (!loaded.contains(newest)) {
                loaded.add(newest);
            }
            if (loaded.size() > maxLeaves) {
                oldest = loaded.remove();
            }
        } finally {
            loadedLock.unlock();
        }
        if (oldest >= 0) {
            ReentrantLock lock = lockOfLeaf(oldest);
            lock.lock();
            try {
                entries.forget(oldest << leafShift, 1L << leafShift);
            } finally {
                lock.unlock();
            }
        }
    }

    /** Lookups see an entry as soon as it is there. So what is pending is put over a table where nobody looks. */
    private void loadEntries(long table) throws IOException {
        long first = table << tableShift;
        long end = first + (1L << tableShift);
        boolean done = false;
        try {
            if (hasPending(table)) {
                loadTable(table, staged);
                loadPending(table);
                for (long chunk = first; chunk < end; chunk++) {
                    entries.set(chunk, staged.get(chunk));
                }
                staged.forget(first >>> leafShift << leafShift, 1L << leafShift);
            } else {
                loadTable(table, entries);
            }
            done = true;
        } finally {
            for (long chunk = first; !done && chunk < end; chunk++) {
                entries.set(chunk, 0); // else a part of it would be taken for all
            }
        }
    }

    private void loadTable(long table, SparseLongs target) throws IOException {
        long offset = tableOffset(table);
        ByteBuffer part = buffers.take().order(ByteOrder.BIG_ENDIAN);
        try {
            int perPart = part.capacity() / entryBytes;
            for (int first = 0; first < 1 << l2Shift; first += perPart) {
                long from = offset + (long) first * entryBytes;
                if (file.read(part.clear(), from) < part.capacity()) {
                    throw Qcow2Image.corrupt(image.image(), from, "the file ends within an L2 table");
                }
                for (int i = 0; i < perPart; i++) {
                    long chunk = (table << tableShift) + (((long) first + i) << subclusterShift);
                    decode(
                            target,
                            chunk,
                            part.getLong(i * entryBytes),
                            extended ? part.getLong(i * entryBytes + 8) : 0);
                }
            }
        } finally {
            buffers.give(part.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private boolean hasPending(long table) {
        PendingLog log = pending;
        if (log == null) {
            return false;
        }
        for (long number = log.head(); number < log.next(); number++) {
            if (isOf(table, log.chunk(number))) {
                return true;
            }
        }
        return false;
    }

    private boolean isOf(long table, long chunk) {
        return chunk >= 0 && chunk >>> tableShift == table;
    }

    private void loadPending(long table) {
        PendingLog log = pending;
        // A table has those that count in their order: whoever adds one holds the same lock.
        for (long number = log.head(); number < log.next(); number++) {
            long chunk = log.chunk(number);
            if (isOf(table, chunk)) {
                set(staged, chunk, log.count(number), log.entry(number));
            }
        }
    }

    /** Where an L2 table that there is starts. */
    private long tableOffset(long table) throws CorruptStoreException {
        long offset = L1Entry.offset(l1.get(table));
        if ((offset & (1L << clusterBits) - 1) != 0) {
            throw Qcow2Image.corrupt(
                    image.image(), offset, "the L2 table of L1 entry " + table + " is not on a cluster boundary");
        }
        return offset;
    }

    private void decode(SparseLongs target, long chunk, long entry, long bitmap) {
        if (!extended) {
            target.set(chunk, decoded(chunk, entry));
            return;
        }
        for (int i = 0; i < 1 << subclusterShift; i++) {
            target.set(chunk + i, decodedSubcluster(chunk + i, entry, bitmap, i));
        }
    }

    private long decoded(long chunk, long entry) {
        if (L2Entry.isCompressed(entry)) {
            return compressed(entry);
        }
        if (L2Entry.isZero(entry)) {
            return image.header().version() >= 3 ? RemapEntry.ZERO : INVALID;
        }
        long offset = L2Entry.offset(entry);
        return isAllocated(entry) ? standard(chunk, entry, offset) : UNALLOCATED;
    }

    private long decodedSubcluster(long chunk, long entry, long bitmap, int i) {
        if (L2Entry.isCompressed(entry)) {
            return compressed(entry);
        }
        boolean zero = (L2Entry.zeros(bitmap) >>> i & 1) != 0;
        boolean allocated = (L2Entry.allocated(bitmap) >>> i & 1) != 0;
        if (zero) {
            return allocated ? INVALID : RemapEntry.ZERO;
        }
        if (!allocated) {
            return UNALLOCATED;
        }
        return isAllocated(entry) ? standard(chunk, entry, L2Entry.offset(entry) + ((long) i << chunkShift)) : INVALID;
    }

    /** Offset 0 is a place only in an external data file, and only if the entry says so. */
    private boolean isAllocated(long entry) {
        return L2Entry.offset(entry) != 0 || (image.header().hasExternalData() && L2Entry.isCopied(entry));
    }

    private long compressed(long entry) {
        if (image.header().hasExternalData() || L2Entry.compressedOffset(entry, clusterBits) >= MAX_OFFSET) {
            return INVALID;
        }
        return packed(L2Entry.compressedOffset(entry, clusterBits), L2Entry.compressedBytes(entry, clusterBits));
    }

    private long standard(long chunk, long entry, long offset) {
        if ((L2Entry.offset(entry) & (1L << clusterBits) - 1) != 0 || offset >>> chunkShift >= RemapEntry.MAX_SLOTS) {
            return INVALID;
        }
        boolean external = image.header().hasExternalData();
        if (external && offset != chunk << chunkShift) {
            return INVALID; // the disk's places are the data file's
        }
        return readOnly || external || L2Entry.isCopied(entry)
                ? RemapEntry.slot(offset >>> chunkShift)
                : packed(offset, 1 << chunkShift);
    }

    /** For people: whoever reads the chunk looks the L2 entry up again, so it need not be exact. */
    private static long packed(long offset, int bytes) {
        return RemapEntry.packed(offset & ~511L, Math.min(bytes + 511 & ~511, (1 << 21) - 512));
    }

    private CorruptStoreException invalid(long chunk) throws IOException {
        return impossible(chunk >>> subclusterShift);
    }

    /** What says that the L2 entry of a guest cluster cannot be. */
    CorruptStoreException impossible(long cluster) throws IOException {
        return Qcow2Image.corrupt(
                image.image(),
                l2Place(cluster),
                "L2 entry 0x" + Long.toHexString(readL2(cluster)) + " of guest cluster " + cluster
                        + " is impossible; see: ucow check");
    }

    /** Where the L2 entry of a guest cluster whose table there is lies in the file. */
    long l2Place(long cluster) throws CorruptStoreException {
        long index = cluster & (1L << l2Shift) - 1;
        return tableOffset(cluster >>> l2Shift) + index * entryBytes;
    }

    /**
     * The L2 entry of a guest cluster whose table there is, as the file has it: what is pending may say something else, but
     * not where chunks are that are packed.
     */
    long readL2(long cluster) throws IOException {
        ByteBuffer entry = buffers.take().order(ByteOrder.BIG_ENDIAN);
        try {
            long place;
            do {
                place = l2Place(cluster);
                if (file.read(entry.clear().limit(Long.BYTES), place) < Long.BYTES) {
                    throw Qcow2Image.corrupt(image.image(), place, "the file ends within an L2 table");
                }
                // Else the table was replaced meanwhile, and something else may be there.
            } while (place != l2Place(cluster));
            return entry.getLong(0);
        } finally {
            buffers.give(entry.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    /** How many chunks are held, and how many read as zeros without being so. */
    record Counts(long altered, long zero) {}

    /** Counts them: those tables that have not been counted before, by a look at each. */
    Counts count() throws IOException {
        long chunks = image.geometry().chunkCount();
        long altered = 0;
        long zero = 0;
        for (long chunk = nextPresent(0); chunk < chunks; ) {
            long counted = countLeaf(chunk >>> leafShift);
            altered += counted >>> ALTERED_SHIFT & COUNT_MASK;
            zero += counted & COUNT_MASK;
            long next = ((chunk >>> leafShift) + 1) << leafShift;
            chunk = next < chunks ? nextPresent(next) : chunks;
        }
        return new Counts(altered, zero);
    }

    private long countLeaf(long leaf) throws IOException {
        while (true) {
            long counted = counts.get(leaf);
            if (counted != 0) {
                return counted;
            }
            load(leaf);
            ReentrantLock lock = lockOfLeaf(leaf);
            lock.lock();
            try {
                // Else it was forgotten again.
                if (isLoaded(leaf)) {
                    counted = COUNTED;
                    long end =
                            Math.min((leaf + 1) << leafShift, image.geometry().chunkCount());
                    for (long chunk = leaf << leafShift; chunk < end; chunk++) {
                        if (entries.get(chunk) == INVALID) {
                            throw invalid(chunk);
                        }
                        counted += weight(entries.get(chunk));
                    }
                    counts.set(leaf, counted);
                    return counted;
                }
            } finally {
                lock.unlock();
            }
        }
    }

    private boolean isLoaded(long leaf) {
        long first = leaf << (leafShift - tableShift);
        long last = Math.min(l1.length(), (leaf + 1) << (leafShift - tableShift));
        for (long table = first; table < last; table++) {
            if (entries.get(table << tableShift) == 0 && L1Entry.offset(l1.get(table)) != 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void close() throws NativeException {
        closeAll(l1, entries, staged, counts);
    }

    /** Closes those that there are. */
    private static void closeAll(SparseLongs first, SparseLongs second, SparseLongs third, SparseLongs fourth)
            throws NativeException {
        try (first;
                second;
                third;
                fourth) {}
    }
}
