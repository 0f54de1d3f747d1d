package io.ucow.store.journal;

import io.ucow.store.ChecksummedStore;
import io.ucow.store.ChunkPacker;
import io.ucow.store.ChunkSource;
import io.ucow.store.DeviceStats;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.Preallocation;
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
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A store in ucow's own format.
 *
 * <p>What makes it safe, by invariant number of ARCHITECTURE.md: data is written before its journal record, the record
 * before the mapping becomes visible (I1); a freed slot is reused only after a durable barrier and a grace period (I4). What
 * makes all that durable is {@link Durability}'s.
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
    /** Whether what the file occupies is never given back. */
    private final boolean keepsSpace;

    private final boolean cleanAtOpen;
    private final boolean continuesSession;
    private final long replayedRecords;
    /** Where the slots in use ended when the store was opened. */
    private final long endAtOpen;

    private final Durability durability;

    private final ReentrantLock giveBackLock = new ReentrantLock();
    /** Slots given back so far. */
    private final AtomicLong reclaimed = new AtomicLong();

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
        Superblock superblock = recovery.superblock();
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
        long head = superblock.journalHead();
        long skipped = head + superblock.journalCapacity();
        this.journal = continuesSession
                ? new Journal(file, superblock, head, recovery.endOfJournal(), recovery.lastRemap())
                : new Journal(file, superblock, skipped, skipped, -1);
        this.packs = recovery.packs();
        if (packs == null) {
            this.packReader = null;
            this.packer = null;
        } else {
            PackedForm form = new PackedForm(Superblock.bytes(superblock.uuid()), chunkShift);
            this.packReader = new PackReader(file, form, chunkShift);
            long originBytes =
                    superblock.origin() == null ? 0 : superblock.origin().sizeBytes();
            this.packer = context.readOnly() ? null : new Packer(this, file, table, slots, packs, form, originBytes);
        }
        this.sums = recovery.sums();
        this.sumTree = recovery.sumTree();
        this.keepsSpace = superblock.isReserved();
        this.data = sums == null ? new SlotFile(file, keepsSpace) : new SummedSlotFile(file, sums, keepsSpace);
        this.overwrites = sums == null || context.readOnly() ? null : new Overwrites(journal, endOfFile(), room());
        this.durability = new Durability(file, image, context, recovery, journal, overwrites);
        this.maintenance = new Maintenance(this::maintain, image.toString(), LOG);
    }

    /** Where slots end at the most. */
    private long endOfFile() {
        return (slots.first() + slots.count()) << chunkShift;
    }

    private Overwrites.Store room() {
        return new Overwrites.Store() {
            @Override
            public void sync() throws IOException {
                durability.sync();
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
            durability.begin(recovery);
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

    private void settle() throws IOException {
        durability.settle(this::punchFree);
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
    public boolean splice(long entry, int offsetInChunk, int lengthBytes, SpliceTarget target) throws IOException {
        return data.splice(storeOffset(entry) + offsetInChunk, lengthBytes, target);
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
        durability.requireHealthy();
        noteWrite(entry, offsetInChunk, src.remaining());
        data.write(src, storeOffset(entry) + offsetInChunk);
    }

    @Override
    public void zero(long entry, int offsetInChunk, int lengthBytes) throws IOException {
        durability.requireHealthy();
        noteWrite(entry, offsetInChunk, lengthBytes);
        data.zero(storeOffset(entry) + offsetInChunk, lengthBytes);
    }

    @Override
    public boolean isAnnounced(long entry, int offsetInChunk, int lengthBytes) {
        return overwrites == null || overwrites.isAnnounced(storeOffset(entry) + offsetInChunk, lengthBytes);
    }

    @Override
    public void announce(long entry, int offsetInChunk, int lengthBytes) throws IOException {
        durability.requireHealthy();
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
        durability.awaitSettled();
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
        durability.requireHealthy();
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
            if (!durability.isFullDisk(e)) {
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
                    throw durability.fail(e);
                }
            }
            throw e;
        }
    }

    private void makeJournalRoom(long reserve) throws IOException {
        long before = reclaimed();
        try {
            durability.checkpointUnlessRoom(reserve);
        } catch (IOException e) {
            if (!durability.isFullDisk(e)) {
                throw e;
            }
            // What discards freed may be all the room there is.
            if (!reclaim() && reclaimed() == before) {
                throw new StoreFullException(image + ": no room for a checkpoint of the map", e);
            }
            durability.checkpointUnlessRoom(reserve);
        }
    }

    @Override
    public void flush() throws IOException {
        if (context.readOnly()) {
            return;
        }
        durability.flush();
        if (!freed.isEmpty()) {
            maintenance.wake();
        }
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
            long[] ready = freed.takeBefore(durability.durable());
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
        if (keepsSpace) {
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
        durability.awaitSettled();
        durability.checkpointLock().lock();
        try {
            releaseFreeMapSlots();
            return slots.first() + slots.used();
        } finally {
            durability.checkpointLock().unlock();
        }
    }

    private void releaseFreeMapSlots() {
        freePages.releaseFreeSlots(slot -> releaseSlots(slot, 1));
    }

    @Override
    public void shrink() throws IOException {
        durability.checkpointLock().lock();
        try {
            durability.requireHealthy();
            int passes = 0;
            while (passes < MAX_MAP_PASSES && vacateMap()) {
                passes++;
            }
            cutFreeEnd();
        } finally {
            durability.checkpointLock().unlock();
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
            durability.checkpoint();
        } catch (IOException e) {
            if (!durability.isFullDisk(e)) {
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
        if (keepsSpace) {
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
        if (durability.hasFailed()) {
            return false;
        }
        try {
            if (journal.length() > journal.capacity() / 2) {
                durability.checkpoint();
            }
            if (idle && !freed.isEmpty()) {
                flush();
            }
            giveBack();
            return !freed.isEmpty();
        } catch (RuntimeException | Error e) {
            // A bug, met half-way: nobody knows what of the map in memory still holds.
            throw durability.fail(new IOException(image + ": maintenance broke off", e));
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
        Superblock now = durability.superblock();
        Map<String, String> details = new LinkedHashMap<>();
        details.put("generation", Long.toString(now.generation()));
        details.put("journal records", Long.toString(context.readOnly() ? replayedRecords : journal.length()));
        details.put("data start", Long.toString(now.dataStart()));
        if (now.maxBytes() != 0) {
            details.put("max size", Long.toString(now.maxBytes()));
        }
        if (now.isReserved()) {
            details.put("preallocation", Preallocation.FULL.label());
        } else if (now.mapReserve() != 0) {
            details.put("preallocation", Preallocation.METADATA.label());
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
                durability.checkpoints(),
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
                freePages;
                sums;
                sumTree;
                overwrites) {
            if (!context.readOnly()) {
                settle();
                durability.end();
                giveBack();
                // Nothing durable refers to them, and the next session would not know them for slots of map pages.
                releaseFreeMapSlots();
                cutFreeEnd();
            }
        }
    }
}
