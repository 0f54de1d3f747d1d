package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.GracePeriod;
import io.ucow.store.StoreContext;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Changes an image: allocates clusters, records where chunks are, and frees what they were in before.
 *
 * <p>A commit is a record in the {@link PendingLog}, there before the write is acknowledged, so that a killed process loses
 * nothing. L2 tables are written by a flush, in this order: data, and the counts of their clusters ({@link
 * HostClusters}), are made durable; then the L2 entries are written, so that power loss never leaves one without its data,
 * and made durable; then the log drops the records, and clusters are let go of that the entries named before, after a
 * grace period. An L2 table is durable before its L1 entry is written. Where there is no log each commit syncs, together
 * with all that wait for that, then writes its L2 entries itself.
 *
 * <p>Threading: as {@link io.ucow.store.ExceptionStore}. Entries of one L2 table are written, and published, under the
 * table's lock; what needs a flush is not done under it.
 */
final class Writer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Writer.class);

    /** Most chunks of one commit. */
    static final int MAX_COMMIT = 256;
    /** What discards may leave waiting for a flush; whoever would add to more sees to one first. */
    private static final long MAX_WAITING_BYTES = 64 << 20;

    private static final int SECTOR = 512;
    private static final int PAGE = 4096;
    /** No place: reads as zeros. */
    private static final long ZEROS = -1;

    private final PositionalFile file;
    /** Where clusters of data are: {@code file}, or an external data file, which has each at its place on the disk. */
    private final PositionalFile data;

    private final Qcow2Image image;
    private final ClusterMap map;
    private final HostClusters hosts;
    private final Places places;
    private final GracePeriod readers;
    private final int clusterBits;
    private final int chunkShift;
    /** Binary logarithm of the chunks in a cluster. */
    private final int groupShift;

    private final int entryBytes;
    private final boolean external;
    private final boolean extended;
    private final BufferPool buffers = new BufferPool(MAX_COMMIT * L2Entry.BYTES);

    private final ReentrantLock syncLock = new ReentrantLock();
    private final AtomicLong syncsAsked = new AtomicLong();
    /** Guarded by syncLock. */
    private long syncsDone;

    /** Held by who drops what is freed. */
    private final ReentrantLock dropLock = new ReentrantLock();

    private final FreedClusters freed = new FreedClusters();
    private final L2Writer tables;
    private final LogSpace logs;

    /** One flush of the log at a time; who comes meanwhile is answered, with all others, by the next. */
    private final ReentrantLock flushLock = new ReentrantLock();

    private final AtomicLong flushesAsked = new AtomicLong();
    /** Guarded by flushLock. */
    private long flushesDone;

    /** Chunks that were made zero since the last flush, and may have clusters to be freed. */
    private final AtomicLong zeroed = new AtomicLong();

    private final AtomicLong reclaimed = new AtomicLong();
    /** The failed sync after which nothing may be reported durable; null while all is well. */
    private volatile IOException failure;

    /**
     * @param data {@code file}, or the external data file
     * @param log what a killed process of this boot left, taken over if this does not throw; null for none
     * @param maxLogBytes what a log may have, at least a cluster's; 0 for none
     */
    Writer(
            PositionalFile file,
            PositionalFile data,
            Qcow2Image image,
            ClusterMap map,
            Decompressors decompressors,
            PendingLog log,
            StoreContext context,
            int maxLogBytes)
            throws IOException {
        this.file = file;
        this.data = data;
        this.image = image;
        this.map = map;
        this.readers = context.readers();
        this.clusterBits = image.header().clusterBits();
        this.external = image.header().hasExternalData();
        this.extended = image.header().hasExtendedL2();
        this.chunkShift = image.geometry().chunkShift();
        this.groupShift = image.subclusterShift();
        this.entryBytes = image.header().l2EntryBytes();
        this.hosts = new HostClusters(file, image, map);
        this.places = new Places(file, image, map, hosts, decompressors);
        this.tables = new L2Writer(file, image, map, freed);
        boolean recordable = image.header().version() >= 3 && !external && !extended;
        try {
            this.logs = new LogSpace(file, image, map, hosts, context.bootId(), recordable ? maxLogBytes : 0, log);
            clearAutoclearFeatures();
        } catch (IOException | RuntimeException e) {
            hosts.close();
            throw e;
        }
    }

    /** @throws UnsupportedFormatException naming what of the image cannot be kept up when it is written to */
    static void requireWritable(Qcow2Image image) throws UnsupportedFormatException {
        Header header = image.header();
        String what = null;
        if (header.isCorrupt()) {
            what = "is marked corrupt; repair it first: ucow check --repair " + image.image();
        } else if (header.isDirty()) {
            what = "was not closed properly by a program that leaves its refcounts for later; repair it first: ucow"
                    + " check --repair " + image.image();
        } else if (header.hasExternalData() && header.nbSnapshots() > 0) {
            what = "has an external data file and internal snapshots, which would change with the disk";
        }
        if (what != null) {
            throw new UnsupportedFormatException(image.image() + ": " + what + "; or open it with --read-only");
        }
    }

    /** Bitmaps and whatever else this program does not keep up to date is out of date from now on. */
    private void clearAutoclearFeatures() throws IOException {
        long raw = image.header().hasRawExternalData() ? Header.RAW_EXTERNAL_DATA : 0;
        long kept = logs.current() == null ? raw : raw | Header.PENDING_LOG;
        long features = image.header().autoclearFeatures();
        if ((features & ~kept) != 0) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
            file.write(buffer.putLong(0, features & kept), Header.AUTOCLEAR_AT);
            file.sync();
        }
        if ((features & ~(kept | Header.PENDING_LOG)) != 0) {
            LOG.warn("bitmaps and other data of optional features are out of date now image={}", image.image());
        }
    }

    void write(long offset, ByteBuffer src) throws IOException {
        requireHealthy();
        if (!external) {
            requireData(offset, src.remaining());
            file.write(src, offset);
            return;
        }
        // A raw data file is as long as the disk.
        int end = src.limit();
        src.limit(src.position() + (int) clip(offset, src.remaining()));
        data.write(src, offset);
        src.limit(end).position(end);
    }

    /** Of {@code bytes} bytes from {@code offset} on in the external data file, those that the disk has. */
    private long clip(long offset, long bytes) {
        return Math.max(0, Math.min(bytes, image.geometry().sizeBytes() - offset));
    }

    void zero(long offset, long lengthBytes) throws IOException {
        requireHealthy();
        long bytes = lengthBytes;
        if (external) {
            bytes = clip(offset, lengthBytes);
        } else {
            requireData(offset, lengthBytes);
        }
        if (bytes > 0 && !data.tryPunchHole(offset, bytes)) {
            Zeros.write(data, offset, bytes);
        }
    }

    private void requireData(long offset, long bytes) throws IOException {
        try {
            hosts.requireData(offset, bytes);
        } catch (IOException e) {
            throw fail(e);
        }
    }

    /** As {@link io.ucow.store.ExceptionStore#allocate}. */
    long allocate(long chunk, int count) throws IOException {
        requireHealthy();
        try {
            return places.allocate(chunk, count);
        } catch (CorruptStoreException e) {
            throw fail(e);
        }
    }

    /** As {@link io.ucow.store.ExceptionStore#release}. */
    void release(long chunk, long slot, int count) {
        places.release(chunk, slot, count);
    }

    /** As {@link io.ucow.store.ExceptionStore#commit}. */
    void commit(long chunk, int count, long entry) throws IOException {
        if (RemapEntry.isZero(entry)) {
            commitZeros(chunk, count);
            return;
        }
        boolean ready = false;
        try {
            if (prepare() == null) {
                sync();
            }
            ready = true;
        } finally {
            if (!ready) {
                release(chunk, RemapEntry.slotOf(entry), count);
            }
        }
        int done = 0;
        while (done < count) {
            int n = (int) Math.min(count - done, map.chunksToTableEnd(chunk + done));
            commitInTable(chunk + done, n, entry + done, count - done);
            done += n;
        }
    }

    private void commitZeros(long chunk, int count) throws IOException {
        prepare();
        limitWaiting();
        if (external) {
            // It is read without the image, too, if it is raw; else this gives space back.
            zero(chunk << chunkShift, (long) count << chunkShift);
        }
        int done = 0;
        while (done < count) {
            int n = alike(chunk + done, count - done);
            if (recordsZeros(chunk + done, n)) {
                giveBackPart(chunk + done, n);
                commitInTable(chunk + done, n, RemapEntry.ZERO, 0);
            } else {
                storeZeros(chunk + done, n);
            }
            done += n;
        }
    }

    /** How many chunks from {@code chunk} on, {@code count} at the most, are whole clusters of one table, or a part of one. */
    private int alike(long chunk, int count) {
        int group = 1 << groupShift;
        int within = (int) chunk & (group - 1);
        return within > 0 || count < group
                ? Math.min(count, group - within)
                : (int) Math.min(count & -group, map.chunksToTableEnd(chunk));
    }

    /**
     * Version 2 has no entry for "zeros whatever is behind it"; with nothing behind it none is needed, but for a chunk that
     * is unaltered: whoever has that made zero is about to put something behind the image. Compressed clusters have no
     * subclusters.
     */
    private boolean recordsZeros(long chunk, int count) throws IOException {
        if (image.header().version() < 3) {
            boolean altered = image.backingName().isEmpty();
            for (int i = 0; i < count && altered; i++) {
                altered = !RemapEntry.isOrigin(map.lookup(chunk + i));
            }
            return altered;
        }
        return count >>> groupShift > 0
                || !map.hasTable(chunk)
                || !L2Entry.isCompressed(map.readL2(chunk >>> groupShift));
    }

    /** Gives the storage of subclusters back that are about to be zeros, in a cluster that may stay for the others. */
    private void giveBackPart(long chunk, int count) throws IOException {
        long bytes = (long) count << chunkShift;
        if (external || count >>> groupShift > 0 || bytes < PAGE) {
            return;
        }
        long entry = map.lookup(chunk);
        for (int i = 1; i < count; i++) {
            if (!RemapEntry.continues(map.lookup(chunk + i - 1), map.lookup(chunk + i))) {
                return; // not worth a system call for each piece
            }
        }
        if (RemapEntry.isSlot(entry)) {
            zero(RemapEntry.slotOf(entry) << chunkShift, bytes);
        }
    }

    /** Has chunks read as zeros that cannot be recorded as such: each gets, or has, a place with zeros. */
    private void storeZeros(long chunk, int count) throws IOException {
        for (int done = 0; done < count; ) {
            long entry = map.lookup(chunk + done);
            int n = 1;
            if (RemapEntry.isSlot(entry)) {
                zero(RemapEntry.slotOf(entry) << chunkShift, 1L << chunkShift);
            } else {
                int wanted = 1;
                while (done + wanted < count && !RemapEntry.isSlot(map.lookup(chunk + done + wanted))) {
                    wanted++;
                }
                long run = allocate(chunk + done, wanted);
                n = SlotRun.count(run);
                fillWithZeros(chunk + done, SlotRun.slot(run), n);
                commit(chunk + done, n, SlotRun.entry(run));
            }
            done += n;
        }
    }

    private void fillWithZeros(long chunk, long slot, int count) throws IOException {
        boolean filled = false;
        try {
            long end = (slot + count) << chunkShift;
            zero(slot << chunkShift, (long) count << chunkShift);
            if (file.size() < end) {
                // To QEMU an image is damaged that ends before a cluster which it refers to.
                Zeros.write(file, end - SECTOR, SECTOR);
            }
            filled = true;
        } finally {
            if (!filled) {
                release(chunk, slot, count);
            }
        }
    }

    /** @param rest how many chunks this one and those to come have: their places are taken back if this fails */
    private void commitInTable(long chunk, int count, long entry, int rest) throws IOException {
        PendingLog pending = logs.current();
        ReentrantLock lock = map.lockOf(chunk);
        lock.lock();
        try {
            boolean ready = false;
            try {
                requireHealthy();
                ensureTable(chunk);
                ready = true;
            } finally {
                if (!ready && RemapEntry.isSlot(entry)) {
                    release(chunk, RemapEntry.slotOf(entry), rest);
                }
            }
            if (pending == null) {
                writeEntries(chunk, count, entry);
            }
        } finally {
            lock.unlock();
        }
        if (pending != null) {
            record(pending, chunk, count, entry);
        }
    }

    /** Sees to it that a commit can go on. @return the log; null if there can be none */
    private PendingLog prepare() throws IOException {
        requireHealthy();
        PendingLog pending = log();
        if (pending != null && pending.length() > pending.capacity() / 2 && flushLock.tryLock()) {
            // The other half is for those that go on meanwhile.
            flushLock.unlock();
            flush();
        }
        return pending;
    }

    private void record(PendingLog pending, long chunk, int count, long entry) throws IOException {
        try {
            while (!tryAppend(pending, chunk, count, entry)) {
                flush();
            }
            if (RemapEntry.isZero(entry)) {
                zeroed.addAndGet(count);
            }
        } catch (IOException e) {
            // Nobody knows what of it is there.
            throw fail(e);
        }
    }

    /** @return false if the log is full */
    private boolean tryAppend(PendingLog pending, long chunk, int count, long entry) throws IOException {
        int ticket = pending.appends().enter();
        try {
            long number = pending.take();
            if (number == PendingLog.FULL) {
                return false;
            }
            pending.append(number, chunk, count, entry);
            ReentrantLock lock = map.lockOf(chunk);
            lock.lock();
            try {
                pending.remember(number, chunk, count, entry);
                map.publish(chunk, count, entry);
            } finally {
                lock.unlock();
            }
            return true;
        } finally {
            pending.appends().exit(ticket);
        }
    }

    private PendingLog log() throws IOException {
        try {
            return logs.begun();
        } catch (IOException e) {
            throw fail(e);
        }
    }

    private void writeEntries(long chunk, int count, long entry) throws IOException {
        long first = chunk >>> groupShift;
        int clusters = (int) (((chunk + count - 1) >>> groupShift) - first) + 1;
        ByteBuffer buffer = buffers.take().order(ByteOrder.BIG_ENDIAN).limit(clusters * entryBytes);
        long[] unused = new long[clusters];
        try {
            long place = map.l2Place(first);
            file.read(buffer, place);
            if (buffer.hasRemaining()) {
                throw Qcow2Image.corrupt(image.image(), place, "the file ends within an L2 table");
            }
            for (int i = 0; i < clusters; i++) {
                long start = (first + i) << groupShift;
                int from = (int) (Math.max(chunk, start) - start);
                int to = (int) (Math.min(chunk + count, start + (1L << groupShift)) - start);
                long offset =
                        RemapEntry.isZero(entry) ? ZEROS : (RemapEntry.slotOf(entry) + start - chunk) << chunkShift;
                unused[i] = change(buffer, i * entryBytes, offset, from, to);
            }
            file.write(buffer.flip(), place);
            for (int i = 0; i < clusters; i++) {
                int at = i * entryBytes;
                map.publish(first + i, buffer.getLong(at), extended ? buffer.getLong(at + L2Entry.BYTES) : 0);
            }
        } catch (IOException e) {
            // Nobody knows what of it is there.
            throw fail(e);
        } finally {
            buffers.give(buffer.order(ByteOrder.LITTLE_ENDIAN));
        }
        // Clusters of an external data file are not counted.
        for (int i = 0; i < clusters && !external; i++) {
            freed.addAll(unused[i], clusterBits);
        }
    }

    /**
     * Has an L2 entry say that the chunks {@code from..to-1} of its cluster are in the one at {@code offset}, or are {@link
     * #ZEROS}.
     *
     * @return the entry that it was if what that named is not referred to any more, else 0
     */
    private long change(ByteBuffer table, int at, long offset, int from, int to) {
        long old = table.getLong(at);
        long now = L2Entry.COPIED | offset;
        if (!extended) {
            if (offset == ZEROS) {
                now = image.header().version() >= 3 ? L2Entry.ZERO : 0;
            }
        } else {
            long bitmap =
                    L2Entry.isCompressed(old) ? L2Entry.bitmap(L2Entry.ALL, 0) : table.getLong(at + L2Entry.BYTES);
            int mask = L2Entry.mask(from, to);
            int allocated = L2Entry.allocated(bitmap) | mask;
            int zeros = L2Entry.zeros(bitmap) & ~mask;
            if (offset == ZEROS) {
                allocated &= ~mask;
                zeros |= mask;
                now = allocated == 0 ? 0 : old;
            }
            table.putLong(at + L2Entry.BYTES, L2Entry.bitmap(allocated, zeros));
        }
        table.putLong(at, now);
        return !L2Entry.isCompressed(old) && L2Entry.offset(old) == L2Entry.offset(now) ? 0 : old;
    }

    /** Sees to it that the chunk has an L2 table which no snapshot shares. The caller holds its lock. */
    private void ensureTable(long chunk) throws IOException {
        long l1 = map.l1Entry(chunk);
        if (L1Entry.offset(l1) != 0 && L1Entry.isCopied(l1)) {
            return;
        }
        long cluster = allocateTable();
        boolean written = false;
        try {
            copyTable(L1Entry.offset(l1), cluster << clusterBits);
            // Power loss must not leave a table that is something else's bytes.
            file.sync();
            written = true;
        } finally {
            if (!written) {
                hosts.giveBack(cluster, 1);
            }
        }
        try {
            map.writeL1(chunk, L1Entry.COPIED | cluster << clusterBits);
            hosts.noteMetadata(cluster);
        } catch (IOException e) {
            throw fail(e);
        }
        if (L1Entry.offset(l1) != 0) {
            freed.add(L1Entry.offset(l1) >>> clusterBits);
        }
    }

    private long allocateTable() throws IOException {
        try {
            return SlotRun.slot(hosts.allocate(1));
        } catch (CorruptStoreException e) {
            throw fail(e);
        }
    }

    /** @param from 0 for an empty table */
    private void copyTable(long from, long to) throws IOException {
        int bytes = 1 << clusterBits;
        if (from == 0) {
            Zeros.write(file, to, bytes);
        } else {
            file.write(Qcow2Image.readAt(file, from, bytes), to);
        }
    }

    private void limitWaiting() throws IOException {
        if ((freed.count() + zeroed.get()) << clusterBits >= MAX_WAITING_BYTES) {
            flush();
        }
    }

    /** Makes all that was written before durable. Who comes while one sync runs is answered, with all others, by the next. */
    private void sync() throws IOException {
        long mine = syncsAsked.incrementAndGet();
        syncLock.lock();
        try {
            if (syncsDone >= mine) {
                return;
            }
            requireHealthy();
            long covers = syncsAsked.get();
            if (external) {
                // First: what refers to data must not be durable before them.
                data.sync();
            }
            file.sync();
            syncsDone = covers;
        } catch (IOException e) {
            throw fail(e);
        } finally {
            syncLock.unlock();
        }
    }

    /** Makes all that was written and committed before durable, then lets go of what is not referred to any more. */
    void flush() throws IOException {
        long[] ready;
        PendingLog pending = logs.current();
        if (pending != null) {
            ready = flushLog(pending);
        } else {
            ready = freed.take();
            sync();
        }
        dropLock.lock();
        try {
            drop(ready);
        } finally {
            dropLock.unlock();
        }
    }

    /** @return the clusters that nothing durable refers to any more */
    private long[] flushLog(PendingLog pending) throws IOException {
        long mine = flushesAsked.incrementAndGet();
        flushLock.lock();
        try {
            if (flushesDone >= mine) {
                return FreedClusters.NONE;
            }
            requireHealthy();
            long covers = flushesAsked.get();
            long[] ready = makeDurable(pending);
            flushesDone = covers;
            return ready;
        } catch (IOException e) {
            throw fail(e);
        } finally {
            flushLock.unlock();
        }
    }

    private long[] makeDurable(PendingLog pending) throws IOException {
        zeroed.set(0);
        long end = pending.next();
        if (end > pending.head()) {
            // Those that took a number below it are published by then, or have failed.
            pending.appends().await();
            file.sync();
            tables.fold(pending, pending.head(), end);
        }
        long[] ready = freed.take();
        file.sync();
        if (end > pending.head()) {
            pending.advance(end);
        }
        return ready;
    }

    private void drop(long[] ready) throws IOException {
        if (ready.length == 0) {
            return;
        }
        readers.await();
        Arrays.sort(ready);
        try {
            reclaimed.addAndGet(hosts.drop(ready));
        } catch (IOException e) {
            throw fail(e);
        }
    }

    boolean reclaim() throws IOException {
        long before = reclaimed();
        PendingLog pending = logs.current();
        if (freed.count() > 0 || (pending != null && pending.length() > 0)) {
            flush();
        }
        // Another's flush may have been the one, and is about to let go.
        dropLock.lock();
        try {
            return reclaimed() != before;
        } finally {
            dropLock.unlock();
        }
    }

    long reclaimed() {
        return reclaimed.get();
    }

    private IOException fail(IOException cause) {
        if (failure == null) {
            failure = cause;
            LOG.error("image failed, changes are refused until it is reopened image={}", image.image(), cause);
        }
        return cause;
    }

    private void requireHealthy() throws IOException {
        IOException cause = failure;
        if (cause != null) {
            throw new IOException(image.image() + ": failed earlier, changes are refused until it is reopened", cause);
        }
    }

    /** Makes everything durable, ends the log, and lets go of what is freed, or was taken ahead. */
    @Override
    public void close() throws IOException {
        try (hosts;
                logs) {
            flush();
            logs.withdraw();
            hosts.releaseReserved();
            file.sync();
        }
    }
}
