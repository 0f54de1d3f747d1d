package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.FlushGroup;
import io.ucow.store.GracePeriod;
import io.ucow.store.StoreContext;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
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

    private final PositionalFile file;
    /** Where clusters of data are: {@code file}, or an external data file, which has each at its place on the disk. */
    private final PositionalFile data;

    private final Qcow2Image image;
    private final ClusterMap map;
    private final HostClusters hosts;
    private final SpareTables spares;
    private final Places places;
    private final GracePeriod readers;
    private final int clusterBits;
    private final int chunkShift;
    private final boolean external;
    private final ZeroWriter zeros;
    private final L2Writer tables;
    private final LogSpace logs;

    /** Before L2 entries of commits that no log has. */
    private final FlushGroup syncs = new FlushGroup(this::syncData);

    private final FlushGroup flushes = new FlushGroup(this::makeDurable);

    /** What L2 entries do not name any more. */
    private final FreedClusters freed = new FreedClusters();
    /** What none does after power loss either. */
    private final FreedClusters droppable = new FreedClusters();
    /** Held by who drops that. */
    private final ReentrantLock dropLock = new ReentrantLock();

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
        this.chunkShift = image.geometry().chunkShift();
        this.hosts = new HostClusters(file, image, map);
        this.spares = new SpareTables(file, hosts, clusterBits);
        this.places = new Places(file, image, map, hosts, decompressors);
        this.zeros = new ZeroWriter(file, image, map, this);
        this.tables = new L2Writer(file, image, map, freed);
        // Version 2 has no feature bits: nothing would void a log when another program changes the image.
        boolean recordable = image.header().version() >= 3;
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
            prepare();
            limitWaiting();
            zeros.commit(chunk, count);
            return;
        }
        boolean ready = false;
        try {
            if (prepare() == null) {
                syncs.run();
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

    /**
     * Records chunks of one L2 table.
     *
     * @param rest how many chunks this one and those to come have: their places are taken back if this fails
     */
    void commitInTable(long chunk, int count, long entry, int rest) throws IOException {
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
        if (pending != null && pending.length() > pending.capacity() / 2 && !flushes.isRunning()) {
            // The other half is for those that go on meanwhile.
            flush();
        }
        return pending;
    }

    private void record(PendingLog pending, long chunk, int count, long entry) throws IOException {
        try {
            while (!tryAppend(pending, chunk, count, entry)) {
                flush();
            }
            if (RemapEntry.isZero(entry) && !external) {
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
        try {
            tables.write(chunk, count, entry);
        } catch (IOException e) {
            // Nobody knows what of it is there.
            throw fail(e);
        }
    }

    /** Sees to it that the chunk has an L2 table which no snapshot shares. The caller holds its lock. */
    private void ensureTable(long chunk) throws IOException {
        long l1 = map.l1Entry(chunk);
        if (L1Entry.offset(l1) != 0 && L1Entry.isCopied(l1)) {
            return;
        }
        long cluster = newTable(chunk, L1Entry.offset(l1));
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

    /**
     * A table that may be named: power loss must not leave one that is something else's bytes.
     *
     * @param original the table that it is a copy of; 0 for an empty one
     */
    private long newTable(long chunk, long original) throws IOException {
        try {
            return original == 0 ? spares.take(map.tablesMissing(chunk, SpareTables.MOST)) : copyOfTable(original);
        } catch (CorruptStoreException e) {
            throw fail(e);
        }
    }

    private long copyOfTable(long original) throws IOException {
        long cluster = SlotRun.slot(hosts.allocate(1));
        boolean durable = false;
        try {
            file.write(Qcow2Image.readAt(file, original, 1 << clusterBits), cluster << clusterBits);
            file.sync();
            durable = true;
        } finally {
            if (!durable) {
                hosts.giveBack(cluster, 1);
            }
        }
        return cluster;
    }

    private void limitWaiting() throws IOException {
        if (((long) freed.count() << clusterBits) + (zeroed.get() << chunkShift) >= MAX_WAITING_BYTES) {
            flush();
        }
    }

    private void syncData() throws IOException {
        requireHealthy();
        try {
            data.sync();
        } catch (IOException e) {
            throw fail(e);
        }
    }

    /** Makes all that was written and committed before durable, then lets go of what is not referred to any more. */
    void flush() throws IOException {
        flushes.run();
        letGo();
    }

    private void makeDurable() throws IOException {
        requireHealthy();
        try {
            zeroed.set(0);
            PendingLog pending = logs.current();
            long end = pending == null ? 0 : pending.next();
            boolean folds = pending != null && end > pending.head();
            if (folds) {
                // Those that took a number below it are published by then, or have failed.
                pending.appends().await();
            }
            if (folds || external) {
                // What refers to data must not be durable before them; nor the counts of their clusters.
                data.sync();
            }
            if (folds) {
                tables.fold(pending, pending.head(), end);
            }
            long[] unreferenced = freed.take();
            file.sync();
            if (folds) {
                pending.advance(end);
            }
            droppable.addAll(unreferenced);
        } catch (IOException e) {
            throw fail(e);
        }
    }

    /** Lets go of what nothing durable refers to any more, whoever's flush has seen to that. */
    private void letGo() throws IOException {
        dropLock.lock();
        try {
            long[] ready = droppable.take();
            if (ready.length > 0) {
                readers.await();
                Arrays.sort(ready);
                reclaimed.addAndGet(hosts.drop(ready));
            }
        } catch (IOException e) {
            throw fail(e);
        } finally {
            dropLock.unlock();
        }
    }

    boolean reclaim() throws IOException {
        long before = reclaimed();
        PendingLog pending = logs.current();
        if (freed.count() > 0 || (pending != null && pending.length() > 0)) {
            flushes.run();
        }
        letGo();
        return reclaimed() != before;
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
            spares.giveBack();
            hosts.releaseReserved();
            file.sync();
        }
    }
}
