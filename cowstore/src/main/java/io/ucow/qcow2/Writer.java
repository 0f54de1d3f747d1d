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
 * Changes an image: allocates clusters, writes L2 entries, and frees what they named before.
 *
 * <p>Order: a cluster's reference count is durable before anything refers to the cluster ({@link HostClusters}); an L2
 * table is durable before its L1 entry is written; data are durable before the L2 entry that names their cluster is
 * written, so that power loss never leaves the entry without them; that is before the write is acknowledged, so that a
 * killed process loses nothing; a cluster is let go of only after a sync that covers the entry which replaced it, and a
 * grace period.
 *
 * <p>Threading: as {@link io.ucow.store.ExceptionStore}. Entries of one L2 table are written under the table's lock.
 */
final class Writer implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Writer.class);

    /** Most clusters of one commit. */
    static final int MAX_COMMIT = 256;
    /** What discards may leave waiting for a flush; whoever would add to more sees to one first. */
    private static final long MAX_WAITING_BYTES = 64 << 20;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final HostClusters hosts;
    private final GracePeriod readers;
    private final int clusterBits;
    private final BufferPool buffers = new BufferPool(MAX_COMMIT * L2Entry.BYTES);

    private final ReentrantLock syncLock = new ReentrantLock();
    private final AtomicLong syncsAsked = new AtomicLong();
    /** Guarded by syncLock. */
    private long syncsDone;

    /** Held by who drops what is freed. */
    private final ReentrantLock dropLock = new ReentrantLock();

    private final ReentrantLock freedLock = new ReentrantLock();
    /** Clusters that one reference fewer is made to, once that is durable; some more than once. Guarded by freedLock. */
    private long[] freed = new long[64];

    private int freedCount;
    private final AtomicLong reclaimed = new AtomicLong();
    /** The failed sync after which nothing may be reported durable; null while all is well. */
    private volatile IOException failure;

    Writer(PositionalFile file, Qcow2Image image, ClusterMap map, StoreContext context) throws IOException {
        this.file = file;
        this.image = image;
        this.map = map;
        this.readers = context.readers();
        this.clusterBits = image.header().clusterBits();
        this.hosts = new HostClusters(file, image, map);
        try {
            clearAutoclearFeatures();
        } catch (IOException e) {
            hosts.close();
            throw e;
        }
    }

    /** @throws UnsupportedFormatException naming what of the image cannot be kept up when it is written to */
    static void requireWritable(Qcow2Image image) throws UnsupportedFormatException {
        Header header = image.header();
        String what = null;
        if (header.isCorrupt()) {
            what = "is marked corrupt; repair it first: qemu-img check -r all " + image.image();
        } else if (header.isDirty()) {
            what = "was not closed properly by a program that leaves its refcounts for later; repair it first: qemu-img"
                    + " check -r all " + image.image();
        } else if (header.version() < 3) {
            what = "is of qcow2 version 2, which is read, not written; convert it: qemu-img amend -o compat=1.1 "
                    + image.image();
        } else if (header.hasExternalData()) {
            what = "has an external data file, and such images are read, not written";
        } else if (header.hasExtendedL2()) {
            what = "has extended L2 entries, and such images are read, not written";
        }
        if (what != null) {
            throw new UnsupportedFormatException(image.image() + ": " + what + "; or open it with --read-only");
        }
    }

    /** Bitmaps and whatever else this program does not keep up to date is out of date from now on. */
    private void clearAutoclearFeatures() throws IOException {
        if (image.header().autoclearFeatures() != 0) {
            ByteBuffer nothing = ByteBuffer.allocateDirect(Long.BYTES);
            file.write(nothing, Header.AUTOCLEAR_AT);
            file.sync();
            LOG.warn("bitmaps and other data of optional features are out of date now image={}", image.image());
        }
    }

    void write(long offset, ByteBuffer src) throws IOException {
        requireHealthy();
        requireData(offset, src.remaining());
        file.write(src, offset);
    }

    void zero(long offset, int lengthBytes) throws IOException {
        requireHealthy();
        requireData(offset, lengthBytes);
        if (!file.tryPunchHole(offset, lengthBytes)) {
            Zeros.write(file, offset, lengthBytes);
        }
    }

    private void requireData(long offset, int bytes) throws IOException {
        try {
            hosts.requireData(offset, bytes);
        } catch (IOException e) {
            throw fail(e);
        }
    }

    long allocate(int count) throws IOException {
        requireHealthy();
        try {
            return hosts.allocate(count);
        } catch (CorruptStoreException e) {
            throw fail(e);
        }
    }

    void release(long cluster, int count) {
        try {
            hosts.punch(cluster, count);
        } catch (IOException e) {
            LOG.warn("clusters not given back image={} cluster={} count={}", image.image(), cluster, count, e);
        }
        hosts.giveBack(cluster, count);
    }

    /** As {@link io.ucow.store.ExceptionStore#commit}; chunks are clusters. */
    void commit(long chunk, int count, long entry) throws IOException {
        if (RemapEntry.isZero(entry)) {
            limitWaiting();
        } else {
            sync();
        }
        int done = 0;
        while (done < count) {
            int n = (int) Math.min(count - done, map.chunksToTableEnd(chunk + done));
            commitInTable(chunk + done, n, RemapEntry.isZero(entry) ? entry : entry + done, count - done);
            done += n;
        }
    }

    /** @param rest how many chunks this one and those to come have: their clusters are taken back if this fails */
    private void commitInTable(long chunk, int count, long entry, int rest) throws IOException {
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
                    release(RemapEntry.slotOf(entry), rest);
                }
            }
            writeEntries(chunk, count, entry);
        } finally {
            lock.unlock();
        }
    }

    private void writeEntries(long chunk, int count, long entry) throws IOException {
        ByteBuffer buffer = buffers.take().order(ByteOrder.BIG_ENDIAN).limit(count * L2Entry.BYTES);
        long[] old = new long[count];
        try {
            long place = map.l2Place(chunk);
            file.read(buffer, place);
            if (buffer.hasRemaining()) {
                throw Qcow2Image.corrupt(image.image(), place, "the file ends within an L2 table");
            }
            for (int i = 0; i < count; i++) {
                old[i] = buffer.getLong(i * L2Entry.BYTES);
                buffer.putLong(i * L2Entry.BYTES, l2Entry(entry, i));
            }
            file.write(buffer.flip(), place);
        } catch (IOException e) {
            // Nobody knows what of it is there.
            throw fail(e);
        } finally {
            buffers.give(buffer.order(ByteOrder.LITTLE_ENDIAN));
        }
        map.publish(chunk, count, entry);
        for (long entryBefore : old) {
            free(entryBefore);
        }
    }

    private long l2Entry(long entry, int i) {
        return RemapEntry.isZero(entry) ? L2Entry.ZERO : L2Entry.COPIED | (RemapEntry.slotOf(entry) + i) << clusterBits;
    }

    private void free(long l2) {
        if (L2Entry.isCompressed(l2)) {
            long offset = L2Entry.compressedOffset(l2, clusterBits);
            long last = offset + L2Entry.compressedBytes(l2, clusterBits) - 1;
            for (long cluster = (offset & ~511L) >>> clusterBits; cluster <= last >>> clusterBits; cluster++) {
                addFreed(cluster);
            }
        } else if (L2Entry.offset(l2) != 0) {
            addFreed(L2Entry.offset(l2) >>> clusterBits);
        }
    }

    private void addFreed(long cluster) {
        freedLock.lock();
        try {
            if (freedCount == freed.length) {
                freed = Arrays.copyOf(freed, 2 * freedCount);
            }
            freed[freedCount++] = cluster;
        } finally {
            freedLock.unlock();
        }
    }

    /** Sees to it that the chunk has an L2 table which no snapshot shares. The caller holds its lock. */
    private void ensureTable(long chunk) throws IOException {
        long l1 = map.l1Entry(chunk);
        if (L1Entry.offset(l1) != 0 && L1Entry.isCopied(l1)) {
            return;
        }
        long cluster = SlotRun.slot(allocate(1));
        boolean written = false;
        try {
            copyTable(L1Entry.offset(l1), cluster << clusterBits);
            // Power loss must not leave a table that is something else's bytes.
            file.sync();
            written = true;
        } finally {
            if (!written) {
                release(cluster, 1);
            }
        }
        try {
            map.writeL1(chunk, L1Entry.COPIED | cluster << clusterBits);
            hosts.noteMetadata(cluster);
        } catch (IOException e) {
            throw fail(e);
        }
        if (L1Entry.offset(l1) != 0) {
            addFreed(L1Entry.offset(l1) >>> clusterBits);
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
        if (freedCount() << clusterBits >= MAX_WAITING_BYTES) {
            flush();
        }
    }

    private long freedCount() {
        freedLock.lock();
        try {
            return freedCount;
        } finally {
            freedLock.unlock();
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
            file.sync();
            syncsDone = covers;
        } catch (IOException e) {
            throw fail(e);
        } finally {
            syncLock.unlock();
        }
    }

    /** Makes all that was written before durable, then lets go of what is not referred to any more. */
    void flush() throws IOException {
        long[] ready = takeFreed();
        sync();
        dropLock.lock();
        try {
            drop(ready);
        } finally {
            dropLock.unlock();
        }
    }

    private long[] takeFreed() {
        freedLock.lock();
        try {
            long[] taken = Arrays.copyOf(freed, freedCount);
            freedCount = 0;
            return taken;
        } finally {
            freedLock.unlock();
        }
    }

    private void drop(long[] ready) throws IOException {
        if (ready.length == 0) {
            return;
        }
        readers.await();
        Arrays.sort(ready);
        int n = 0;
        try {
            for (; n < ready.length; n++) {
                if (hosts.drop(ready[n])) {
                    reclaimed.incrementAndGet();
                }
            }
        } catch (IOException e) {
            throw fail(e);
        }
    }

    boolean reclaim() throws IOException {
        long before = reclaimed();
        if (freedCount() > 0) {
            flush();
        }
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

    /** Makes everything durable, and lets go of what is freed, or was taken ahead. */
    @Override
    public void close() throws IOException {
        try (hosts) {
            flush();
            hosts.releaseReserved();
            file.sync();
        }
    }
}
