package io.ucow.store.journal;

import io.ucow.store.ChecksummedStore;
import io.ucow.store.ChunkPacker;
import io.ucow.store.ChunkSource;
import io.ucow.store.ContentId;
import io.ucow.store.DeviceStats;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreFullException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.Errno;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A store in ucow's own format.
 *
 * <p>What makes it safe, by invariant number of ARCHITECTURE.md: data is written before its journal record, the record
 * before the mapping becomes visible (I1); a barrier is written only after everything it covers is durable (I2); a freed
 * slot is reused only after a durable barrier and a grace period (I4); a metadata page is never overwritten while the
 * durable superblock refers to it (I5).
 *
 * <p>Threading: as {@link ChecksummedStore}. Reads and in-place writes take no lock; a first write takes none either,
 * unless the journal is full.
 */
final class UcowStore implements ChecksummedStore {
    private static final Logger LOG = LoggerFactory.getLogger(UcowStore.class);

    /** What discards may leave waiting for a barrier; whoever would add to more sees to one first. */
    static final long MAX_WAITING_BYTES = 64 << 20;

    /** A page may move twice until it is where it would be without gaps: with those above it, which were there before. */
    private static final int MAX_MAP_PASSES = 3;

    private final PositionalFile file;
    /** What chunks have in their slots. */
    private final SlotFile data;
    /** Null, as what follows, where there are no checksums. */
    private final SumTable sums;

    private final MapTree sumTree;
    /** Null also where nothing is to be changed. */
    private final Overwrites overwrites;

    private final Path image;
    private final StoreContext context;
    private final Geometry geometry;
    private final int chunkShift;
    private final RemapTable table;
    private final SlotAllocator slots;
    /** What is used of packs; null, as what follows, where nothing is compressed. */
    private final PackMap packs;

    private final PackReader packReader;
    /** Null also where nothing is to be changed. */
    private final Packer packer;

    private final MapTree tree;
    private final PagePool freePages;
    private final Journal journal;
    private final FreedSlots freed;
    private final Maintenance maintenance;
    private final boolean cleanAtOpen;
    private final boolean continuesSession;
    private final long replayedRecords;
    /** Where the slots in use ended when the store was opened. */
    private final long endAtOpen;
    /** Counted down once nothing that is free is referred to by what power loss may bring back, see {@link #settle}. */
    private final CountDownLatch settled;
    /** What a barrier in the ring covered at open: durable as soon as anything is synced. */
    private final long coveredAtOpen;

    private final ReentrantLock flushLock = new ReentrantLock();
    /** Flushes asked for so far. */
    private final AtomicLong flushesAsked = new AtomicLong();
    /** Flushes answered so far. Guarded by flushLock. */
    private long flushesDone;
    /** Every record below this number is durable. Written under flushLock or checkpointLock, only upwards. */
    private final AtomicLong durable = new AtomicLong();

    private final ReentrantLock checkpointLock = new ReentrantLock();
    /** The current superblock. Written under checkpointLock. */
    private volatile Superblock superblock;

    private final LongAdder checkpoints = new LongAdder();

    private final ReentrantLock giveBackLock = new ReentrantLock();
    /** Slots given back so far. */
    private final AtomicLong reclaimed = new AtomicLong();

    /** The failed sync, or the bug, after which nothing may be reported durable; null while all is well. */
    private volatile IOException failure;

    private final AtomicBoolean closed = new AtomicBoolean();

    /** Opens and recovers a store; {@code file} is closed when this throws. */
    static UcowStore open(PositionalFile file, Path image, StoreContext context) throws IOException {
        boolean done = false;
        try {
            Recovery recovery = new Recovery(file, context.bootId(), Problems.STRICT);
            UcowStore store = null;
            try {
                store = new UcowStore(file, image, context, recovery);
                if (!context.readOnly()) {
                    store.startSession(recovery);
                }
                done = true;
                return store;
            } finally {
                if (!done) {
                    recovery.close();
                    if (store != null) {
                        store.closeOwn();
                    }
                }
            }
        } finally {
            if (!done) {
                file.close();
            }
        }
    }

    private UcowStore(PositionalFile file, Path image, StoreContext context, Recovery recovery) throws IOException {
        this.file = file;
        this.image = image;
        this.context = context;
        this.superblock = recovery.superblock();
        this.geometry = superblock.geometry();
        this.chunkShift = geometry.chunkShift();
        this.table = recovery.table();
        this.slots = recovery.slots();
        this.tree = recovery.tree();
        this.freePages = recovery.freePages();
        this.cleanAtOpen = superblock.bootId().equals(Superblock.CLEAN);
        this.replayedRecords = recovery.replayedRecords();
        this.continuesSession = recovery.continuesSession();
        this.freed = recovery.freed();
        this.endAtOpen = recovery.endOfSlots();
        this.settled = new CountDownLatch(continuesSession ? 1 : 0);
        long head = superblock.journalHead();
        long skipped = head + superblock.journalCapacity();
        this.journal = continuesSession
                ? new Journal(file, superblock, head, recovery.endOfJournal(), recovery.lastRemap())
                : new Journal(file, superblock, skipped, skipped, -1);
        this.coveredAtOpen = continuesSession ? recovery.covered() : 0;
        this.durable.set(journal.next() - journal.length());
        this.packs = recovery.packs();
        if (packs == null) {
            this.packReader = null;
            this.packer = null;
        } else {
            PackedForm form = new PackedForm(Superblock.bytes(superblock.uuid()), chunkShift);
            this.packReader = new PackReader(file, form, chunkShift);
            this.packer = context.readOnly() ? null : new Packer(this, file, table, slots, packs, form, originBytes());
        }
        this.sums = recovery.sums();
        this.sumTree = recovery.sumTree();
        boolean keepsSpace = superblock.isReserved();
        this.data = sums == null ? new SlotFile(file, keepsSpace) : new SummedSlotFile(file, sums, keepsSpace);
        this.overwrites = sums == null || context.readOnly() ? null : new Overwrites(journal, endOfFile(), room());
        this.maintenance = new Maintenance(this::maintain, image.toString(), LOG);
    }

    private long originBytes() {
        return superblock.origin() == null ? 0 : superblock.origin().sizeBytes();
    }

    /** Where slots end at the most. */
    private long endOfFile() {
        return (slots.first() + slots.count()) << chunkShift;
    }

    private Overwrites.Store room() {
        return new Overwrites.Store() {
            @Override
            public void sync() throws IOException {
                try {
                    file.sync();
                } catch (IOException e) {
                    throw fail(e);
                }
            }

            @Override
            public void makeJournalRoom(long reserve) throws IOException {
                UcowStore.this.makeJournalRoom(reserve);
            }
        };
    }

    /** Closes what recovery did not make. */
    private void closeOwn() throws IOException {
        try (overwrites) {
            if (packer != null) {
                packer.close();
            }
        }
    }

    /**
     * Notes that the store is open in this boot, with what was replayed folded into the map on disk. A session that was
     * killed in this boot is continued as it is: that takes neither time nor, on a full disk, space.
     */
    private void startSession(Recovery recovery) throws IOException {
        if (!continuesSession) {
            checkpointOrAdopt(recovery);
        }
        if (!cleanAtOpen) {
            LOG.info("recovered image={} records={} altered={}", image, replayedRecords, table.alteredChunks());
        }
        if (!continuesSession && !cleanAtOpen) {
            punchFree();
        } else if (!context.background()) {
            settle();
        }
        if (!context.background()) {
            file.writeBehind();
        } else {
            maintenance.start();
            if (continuesSession || !freed.isEmpty()) {
                maintenance.wake();
            }
        }
    }

    /** Gives back slots that were allocated but never committed, and freed but not given back. */
    private void punchFree() throws IOException {
        slots.forEachFreeRun(endAtOpen, this::punch);
        if (packs != null) {
            packs.forEachUnusedBlocks(this::punchBytes);
        }
    }

    /**
     * Makes durable what a killed session left, the last superblock included: its process may have died between writing
     * that and syncing it, and until then what only the one before refers to is not free. Does nothing the second time.
     */
    private void settle() throws IOException {
        if (settled.getCount() == 0) {
            return;
        }
        try {
            requireHealthy();
            try {
                file.sync();
            } catch (IOException e) {
                throw fail(e);
            }
            punchFree();
        } finally {
            settled.countDown();
        }
    }

    /** Waits until what is free may be written to. */
    private void awaitSettled() throws IOException {
        boolean interrupted = false;
        while (settled.getCount() > 0) {
            try {
                settled.await();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        requireHealthy();
    }

    private void checkpointOrAdopt(Recovery recovery) throws IOException {
        try {
            checkpoint(context.bootId());
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC || failure != null) {
                throw e;
            }
            LOG.warn("no room for the map, it stays in the journal image={}", image);
            adoptJournal(recovery);
        }
    }

    /**
     * Continues the journal of an earlier boot, which takes no space. Records that no barrier covers are wiped first:
     * once the superblock names this boot, a later recovery would trust them.
     */
    private void adoptJournal(Recovery recovery) throws IOException {
        BitSet distrusted = recovery.distrusted();
        ByteBuffer nothing = ByteBuffer.allocateDirect(JournalRecord.SIZE);
        for (int i = distrusted.nextSetBit(0); i >= 0; i = distrusted.nextSetBit(i + 1)) {
            file.write(nothing.clear(), superblock.journalOffset() + (long) i * JournalRecord.SIZE);
        }
        file.sync();
        writeSuperblock(superblock.advanced(superblock.rootPage(), superblock.journalHead(), context.bootId()));
        journal.resume(superblock.journalHead(), recovery.endOfJournal());
        durable.set(recovery.covered());
    }

    @Override
    public Geometry geometry() {
        return geometry;
    }

    @Override
    public int blockBytes() {
        return Blocks.finest(chunkShift).blockSize();
    }

    @Override
    public boolean isReadOnly() {
        return context.readOnly();
    }

    @Override
    public long lookup(long chunk) {
        return table.lookup(chunk);
    }

    @Override
    public long lookupToWrite(long chunk) {
        return table.lookupToWrite(chunk);
    }

    @Override
    public void freeze(long chunk) {
        table.freeze(chunk);
    }

    @Override
    public void thaw(long chunk) {
        table.thaw(chunk);
    }

    @Override
    public long nextPresent(long chunk) {
        return table.nextPresent(chunk);
    }

    @Override
    public void read(long entry, int offsetInChunk, ByteBuffer dst) throws IOException {
        data.read(dst, storeOffset(entry) + offsetInChunk);
    }

    @Override
    public void readPacked(long chunk, long entry, int offsetInChunk, ByteBuffer dst) throws IOException {
        packReader.read(chunk, entry, offsetInChunk, dst);
    }

    @Override
    public ChunkPacker packer() {
        return packer;
    }

    @Override
    public void write(long entry, int offsetInChunk, ByteBuffer src) throws IOException {
        requireHealthy();
        noteWrite(entry, offsetInChunk, src.remaining());
        data.write(src, storeOffset(entry) + offsetInChunk);
    }

    @Override
    public void zero(long entry, int offsetInChunk, int lengthBytes) throws IOException {
        requireHealthy();
        noteWrite(entry, offsetInChunk, lengthBytes);
        data.zero(storeOffset(entry) + offsetInChunk, lengthBytes);
    }

    @Override
    public boolean isAnnounced(long entry, int offsetInChunk, int lengthBytes) {
        return overwrites == null || overwrites.isAnnounced(storeOffset(entry) + offsetInChunk, lengthBytes);
    }

    @Override
    public void announce(long entry, int offsetInChunk, int lengthBytes) throws IOException {
        requireHealthy();
        overwrites.announce(storeOffset(entry) + offsetInChunk, lengthBytes);
    }

    @Override
    public boolean hasChecksums() {
        return sums != null;
    }

    @Override
    public int summedBytes() {
        return SumTable.BLOCK_BYTES;
    }

    @Override
    public void scrub(long entry, int offsetInChunk, int lengthBytes, ByteBuffer scratch, BlockVisitor visitor)
            throws IOException {
        summedData().scrub(storeOffset(entry) + offsetInChunk, lengthBytes, scratch, visitor);
    }

    @Override
    public void forgetChecksums(long entry) throws IOException {
        summedData().forget(storeOffset(entry), geometry.chunkSize());
    }

    private SummedSlotFile summedData() throws UnsupportedFormatException {
        if (data instanceof SummedSlotFile summed) {
            return summed;
        }
        throw new UnsupportedFormatException(image + ": has no checksums; they come with 'ucow create --checksums'");
    }

    private void noteWrite(long entry, int offsetInChunk, int lengthBytes) {
        if (packer != null) {
            int slotsTouched = (offsetInChunk + lengthBytes + geometry.chunkSize() - 1) >>> chunkShift;
            packer.noteWrite(RemapEntry.slotOf(entry), slotsTouched);
        }
    }

    private long storeOffset(long entry) {
        return RemapEntry.slotOf(entry) << chunkShift;
    }

    @Override
    public long allocate(long chunk, int count) throws IOException {
        awaitSettled();
        return slots.allocate(count);
    }

    @Override
    public void release(long chunk, long entry, int count) {
        release(entry, count);
    }

    /** Takes back places that nobody refers to, in a pack or {@code count} adjacent slots. */
    void release(long entry, int count) {
        if (RemapEntry.isPacked(entry)) {
            releasePacked(entry);
            return;
        }
        // A write cut short by a full disk keeps what it got; others need that space now.
        releaseSlots(RemapEntry.slotOf(entry), count);
    }

    private void releaseSlots(long slot, int count) {
        try {
            punch(slot, count);
        } catch (IOException e) {
            LOG.warn("slots not given back image={} slot={} count={}", image, slot, count, e);
        }
        slots.free(slot, count);
    }

    /** Gives a place in a pack back that no record refers to, or none that power loss could bring back. */
    private void releasePacked(long entry) {
        packReader.forget(entry);
        packs.release(entry, new PackMap.Visitor() {
            @Override
            public void slot(long slot) {
                releaseSlots(slot, 1);
            }

            @Override
            public void blocks(long storeOffset, long lengthBytes) {
                try {
                    punchBytes(storeOffset, lengthBytes);
                } catch (IOException e) {
                    // What nothing refers to does not matter.
                    LOG.warn("space in a pack not given back image={} offset={}", image, storeOffset, e);
                }
            }
        });
    }

    @Override
    public int maxCommit() {
        return JournalRecord.MAX_COUNT;
    }

    @Override
    public void commit(long chunk, int count, long entry) throws IOException {
        requireHealthy();
        boolean newPlace = RemapEntry.isPacked(entry)
                || (RemapEntry.isSlot(entry) && !RemapEntry.isSameSlot(entry, table.lookup(chunk)));
        // Discards may use the last eighth of the journal: they are the way out of a full disk.
        long reserve = RemapEntry.isZero(entry) ? 0 : journal.capacity() / 8;
        if (RemapEntry.isZero(entry)) {
            limitWaiting();
        }
        while (!tryCommit(chunk, count, entry, reserve)) {
            boolean room = false;
            try {
                makeJournalRoom(reserve);
                room = true;
            } finally {
                if (!room && newPlace) {
                    // The place is on no record, and its space may be what the checkpoint lacks.
                    release(entry, count);
                }
            }
        }
        if (journal.length() > journal.capacity() / 2) {
            maintenance.wake();
        }
    }

    /** Keeps a guest that discards and writes without a flush, or a packer, from growing the file without end. */
    void limitWaiting() throws IOException {
        if (freed.size() < MAX_WAITING_BYTES >>> chunkShift) {
            return;
        }
        try {
            reclaim();
        } catch (IOException e) {
            // Discards are the way out of a full disk, so they go on.
            if (Errno.of(e) != Errno.ENOSPC || failure != null) {
                throw e;
            }
        }
    }

    private boolean tryCommit(long chunk, int count, long entry, long reserve) throws IOException {
        int section = journal.appends().enter();
        try {
            long seq = append(chunk, count, entry, reserve);
            if (seq == Journal.FULL) {
                return false;
            }
            for (int i = 0; i < count; i++) {
                long now = RemapEntry.isSlot(entry) ? entry + i : entry;
                long previous = table.publish(chunk + i, now);
                boolean slot = RemapEntry.isSlot(previous) && !RemapEntry.isSameSlot(previous, now);
                if (slot || RemapEntry.isPacked(previous)) {
                    if (freed.add(slot ? RemapEntry.slotOf(previous) : previous, seq)) {
                        maintenance.wake(); // gives it back after a while, if no flush comes before
                    }
                }
            }
            return true;
        } finally {
            journal.appends().exit(section);
        }
    }

    /** A record that failed may be there all the same. Replayed, it must not cost what is written in place from now on. */
    private long append(long chunk, int count, long entry, long reserve) throws IOException {
        try {
            return journal.append(chunk, count, entry, reserve);
        } catch (IOException e) {
            for (int i = 0; i < count && Errno.of(e) != Errno.ENOSPC; i++) {
                long now = table.lookup(chunk + i);
                if (RemapEntry.isSlot(now) && !RemapEntry.isSameSlot(now, entry)) {
                    throw fail(e);
                }
            }
            throw e;
        }
    }

    private void makeJournalRoom(long reserve) throws IOException {
        long before = reclaimed();
        try {
            checkpointUnlessRoom(reserve);
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC || failure != null) {
                throw e;
            }
            // What discards freed may be all the room there is.
            if (!reclaim() && reclaimed() == before) {
                throw new StoreFullException(image + ": no room for a checkpoint of the map", e);
            }
            checkpointUnlessRoom(reserve);
        }
    }

    /** Runs a checkpoint unless another thread's made room meanwhile. */
    private void checkpointUnlessRoom(long reserve) throws IOException {
        checkpointLock.lock();
        try {
            if (!journal.hasRoom(reserve)) {
                checkpoint(context.bootId());
            }
        } finally {
            checkpointLock.unlock();
        }
    }

    /**
     * Groups flushes: one that starts while another runs is answered, with all that arrived meanwhile, by the next run.
     */
    @Override
    public void flush() throws IOException {
        if (context.readOnly()) {
            return;
        }
        long mine = flushesAsked.incrementAndGet();
        flushLock.lock();
        try {
            if (flushesDone >= mine) {
                return;
            }
            requireHealthy();
            long covers = flushesAsked.get();
            writeBarrier();
            flushesDone = covers;
        } finally {
            flushLock.unlock();
        }
        if (!freed.isEmpty()) {
            maintenance.wake();
        }
    }

    private void writeBarrier() throws IOException {
        long upTo = journal.next();
        boolean remapped = journal.lastRemap() >= Math.max(durable.get(), coveredAtOpen);
        if (remapped) {
            // Records below upTo may be on their way to the file; a barrier may only cover what the sync will reach.
            journal.appends().await();
        }
        boolean written = false;
        try {
            file.sync();
            durable.accumulateAndGet(coveredAtOpen, Math::max);
            if (!remapped) {
                return;
            }
            int section = journal.appends().enter();
            try {
                written = journal.barrier(upTo);
            } finally {
                journal.appends().exit(section);
            }
            if (written) {
                file.sync();
            }
        } catch (IOException e) {
            throw fail(e);
        }
        if (!written) {
            // Fails for good only if a sync does: without room for the map this flush fails, and a later one may not.
            checkpoint(context.bootId());
        }
        durable.accumulateAndGet(upTo, Math::max);
    }

    /** Writes the changed part of the map and makes it, and everything committed before, durable. */
    private void checkpoint(UUID bootId) throws IOException {
        awaitSettled();
        checkpointLock.lock();
        try {
            requireHealthy();
            long head = overwrites == null ? journal.next() : overwrites.takeBack();
            journal.appends().await();
            if (overwrites != null) {
                // Who was allowed to write in place before may not have noted the checksum yet (I11).
                context.readers().await();
            }
            Superblock next = writeTrees(head, bootId);
            try {
                file.sync();
                writeSuperblock(next);
            } catch (IOException e) {
                throw fail(e);
            }
            checkpoints.increment();
            tree.commit();
            if (sumTree != null) {
                sumTree.commit();
            }
            journal.advanceHead(head);
            durable.accumulateAndGet(head, Math::max);
        } finally {
            checkpointLock.unlock();
        }
    }

    /** Writes what changed of the map and the checksums to free places. @return the superblock that is to refer to that */
    private Superblock writeTrees(long head, UUID bootId) throws IOException {
        long generation = superblock.generation() + 1;
        long root = tree.writeChanges(generation);
        if (sumTree == null) {
            return superblock.advanced(root, head, bootId);
        }
        boolean done = false;
        try {
            long sumsRoot = sumTree.writeChanges(generation);
            done = true;
            return superblock.advanced(root, head, bootId).withSumsRoot(sumsRoot);
        } finally {
            if (!done) {
                tree.rollBack();
            }
        }
    }

    private void writeSuperblock(Superblock next) throws IOException {
        if (next.bootId().equals(Superblock.CLEAN)) {
            UcowFormat.write(file, next, ContentId.random());
        } else {
            UcowFormat.write(file, next);
        }
        superblock = next;
    }

    @Override
    public boolean reclaim() throws IOException {
        if (!freed.isEmpty()) {
            flush();
        }
        return giveBack() > 0;
    }

    @Override
    public long reclaimed() {
        return reclaimed.get();
    }

    /** Returns slots freed before the last barrier to the allocator and the file system. @return how many */
    long giveBack() throws IOException {
        giveBackLock.lock();
        try {
            long[] ready = freed.takeBefore(durable.get());
            if (ready.length > 0) {
                context.readers().await();
                giveBack(ready);
                reclaimed.addAndGet(ready.length);
            }
            return ready.length;
        } finally {
            giveBackLock.unlock();
        }
    }

    /** @param ready ascending; places in packs first */
    private void giveBack(long[] ready) {
        IOException failed = null;
        int i = 0;
        for (; i < ready.length && RemapEntry.isPacked(ready[i]); i++) {
            releasePacked(ready[i]);
        }
        while (i < ready.length) {
            int run = 1;
            while (i + run < ready.length && ready[i + run] == ready[i] + run) {
                run++;
            }
            try {
                punch(ready[i], run);
            } catch (IOException e) {
                failed = e;
            }
            // Also where no hole could be punched: what a free slot holds does not matter.
            slots.free(ready[i], run);
            i += run;
        }
        if (failed != null) {
            LOG.warn("space of free slots not given back image={}", image, failed);
        }
    }

    private void punch(long slot, long count) throws IOException {
        punchBytes(slot << chunkShift, count << chunkShift);
    }

    private void punchBytes(long offset, long lengthBytes) throws IOException {
        if (superblock.isReserved()) {
            return;
        }
        file.tryPunchHole(offset, lengthBytes);
    }

    @Override
    public long fileBytes() throws IOException {
        return file.size();
    }

    @Override
    public long compactLimit() throws IOException {
        awaitSettled();
        checkpointLock.lock();
        try {
            releaseFreeMapSlots();
            return slots.first() + slots.used();
        } finally {
            checkpointLock.unlock();
        }
    }

    private void releaseFreeMapSlots() {
        freePages.releaseFreeSlots(slot -> releaseSlots(slot, 1));
    }

    @Override
    public void shrink() throws IOException {
        checkpointLock.lock();
        try {
            requireHealthy();
            int passes = 0;
            while (passes < MAX_MAP_PASSES && vacateMap()) {
                passes++;
            }
            cutFreeEnd();
        } finally {
            checkpointLock.unlock();
        }
    }

    /**
     * Writes map pages that lie behind all that would be in use if there were no gaps to free places, the first ones there
     * are. While they are there twice it may take a little more room than there is before that.
     *
     * @return true if what is in use ends sooner now
     */
    private boolean vacateMap() throws IOException {
        long limit = compactLimit();
        long end = slots.endOfUsed();
        long firstPage = limit << (chunkShift - MapPage.SHIFT);
        boolean any = tree.vacate(firstPage);
        if (sumTree != null) {
            any |= sumTree.vacate(firstPage);
        }
        if (!any) {
            return false;
        }
        freePages.withhold(firstPage);
        try {
            checkpoint(context.bootId());
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC || failure != null) {
                throw e;
            }
            LOG.info("no room to move the map image={}", image);
            return false;
        } finally {
            freePages.settle();
        }
        releaseFreeMapSlots();
        return slots.endOfUsed() < end;
    }

    /**
     * Makes the file end with the last slot in use. What is free is named by nothing that is durable (I4, I5), so it does
     * not matter whether power loss undoes this.
     */
    private void cutFreeEnd() throws IOException {
        if (superblock.isReserved()) {
            return;
        }
        long end = slots.shutEnd() << chunkShift;
        try {
            if (file.size() > end) {
                file.truncate(end);
            }
        } finally {
            slots.openEnd();
        }
    }

    /** What the maintenance thread does. @return true to be called again after a while of quiet */
    private boolean maintain(boolean idle) throws IOException {
        settle();
        if (failure != null) {
            return false;
        }
        try {
            if (journal.length() > journal.capacity() / 2) {
                checkpoint(context.bootId());
            }
            if (idle && !freed.isEmpty()) {
                flush();
            }
            giveBack();
            return !freed.isEmpty();
        } catch (RuntimeException | Error e) {
            // A bug, met half-way: nobody knows what of the map in memory still holds.
            throw fail(new IOException(image + ": maintenance broke off", e));
        }
    }

    private IOException fail(IOException cause) {
        if (failure == null) {
            failure = cause;
            LOG.error("store failed, changes are refused until it is reopened image={}", image, cause);
        }
        return cause;
    }

    private void requireHealthy() throws IOException {
        IOException cause = failure;
        if (cause != null) {
            throw new IOException(image + ": failed earlier, changes are refused until it is reopened", cause);
        }
    }

    @Override
    public ChunkSource locate(long entry) {
        if (RemapEntry.isOrigin(entry)) {
            return new ChunkSource.Origin();
        }
        if (RemapEntry.isPacked(entry)) {
            return new ChunkSource.Packed(RemapEntry.packedOffset(entry), RemapEntry.packedBytes(entry));
        }
        return RemapEntry.isZero(entry)
                ? new ChunkSource.Zero()
                : new ChunkSource.Slot(storeOffset(entry), geometry.chunkSize());
    }

    @Override
    public ImageInfo info() throws IOException {
        Superblock now = superblock;
        Map<String, String> details = new LinkedHashMap<>();
        details.put("generation", Long.toString(now.generation()));
        details.put("journal records", Long.toString(context.readOnly() ? replayedRecords : journal.length()));
        details.put("data start", Long.toString(now.dataStart()));
        if (now.maxBytes() != 0) {
            details.put("max size", Long.toString(now.maxBytes()));
        }
        if (now.isReserved()) {
            details.put("preallocation", "full");
        }
        if (now.origin() != null && now.origin().isChanging()) {
            details.put("commit", "not finished");
        }
        return new ImageInfo(
                image,
                "ucow",
                Superblock.VERSION,
                now.uuid().toString(),
                geometry,
                now.origin() == null
                        ? Optional.empty()
                        : Optional.of(now.origin().resolve(image)),
                now.origin() == null ? 0 : now.origin().sizeBytes(),
                now.origin() != null && now.origin().isImage(),
                table.alteredChunks(),
                table.zeroChunks(),
                allocatedBytes(),
                now.maxBytes(),
                now.compression(),
                now.checksums(),
                table.packedChunks(),
                table.packedBytes(),
                now.bootId().equals(Superblock.CLEAN),
                details);
    }

    @Override
    public DeviceStats stats() {
        return new DeviceStats(
                0,
                0,
                0,
                table.alteredChunks(),
                table.zeroChunks(),
                journal.length(),
                journal.capacity(),
                checkpoints.sum(),
                tree.pagesWritten() + (sumTree == null ? 0 : sumTree.pagesWritten()),
                table.packedChunks(),
                table.alteredChunks() << chunkShift,
                ((table.alteredChunks() - table.packedChunks()) << chunkShift) + table.packedBytes(),
                data.damagedReads() + (packReader == null ? 0 : packReader.damagedReads()));
    }

    @Override
    public long allocatedBytes() throws IOException {
        return file.allocatedBytes();
    }

    @Override
    public void close() throws IOException {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        maintenance.stop();
        try (file;
                table;
                slots;
                packs;
                packer;
                tree;
                sums;
                sumTree;
                overwrites) {
            if (!context.readOnly()) {
                settle();
                checkpointOrFlush();
                giveBack();
                // Nothing durable refers to them, and the next session would not know them for slots of map pages.
                releaseFreeMapSlots();
                cutFreeEnd();
            }
        }
    }

    /** A full disk may have no room for the map's pages; the journal then keeps what they would have said. */
    private void checkpointOrFlush() throws IOException {
        try {
            checkpoint(Superblock.CLEAN);
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC || failure != null) {
                throw e;
            }
            LOG.warn("no room for the map, it stays in the journal image={}", image);
            flush();
        }
    }
}
