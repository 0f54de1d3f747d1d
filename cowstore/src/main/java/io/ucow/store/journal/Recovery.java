package io.ucow.store.journal;

import io.ucow.store.Compression;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.BitSet;
import java.util.UUID;
import java.util.function.LongConsumer;

/**
 * Reads a store's metadata into memory: superblock, map, journal, and from them which slots are in use. It writes
 * nothing. Everything read is taken for hostile until checked; work and memory are bounded by the file's size.
 *
 * <p>Which journal records count: all valid ones when the store was last opened for writing in this boot, for then the
 * page cache still holds what they point at; otherwise those that a barrier covers.
 *
 * <p>Threading: confined to the thread that opens the store.
 */
final class Recovery implements AutoCloseable {
    /** Twice the largest device: bounds what a sparse hostile file can make us reserve and walk. */
    static final long MAX_FILE_SLOTS = 2 * Geometry.MAX_CHUNKS;

    private static final int MAX_LEVELS = 8;

    private final PositionalFile file;
    private final String name;
    private final Problems problems;
    private final long fileSize;
    private final Superblock superblock;
    private final boolean otherIntact;
    private final Geometry geometry;
    /** How many chunks the slots are to be enough for. */
    private final long chunksToCome;

    private final Blocks blocks;
    private final RemapTable table;
    private final SlotAllocator slots;
    /** Null where nothing is compressed. */
    private final PackMap packs;

    private final MapTree tree;
    /** Checksums and their tree; null where there are none. */
    private final SumTable sums;

    private final MapTree sumTree;
    private final PagePool freePages;
    private final int uuidHead;
    private final ByteBuffer[] pages = new ByteBuffer[MAX_LEVELS];
    /** Page numbers of the nodes found, as a list. */
    private long[] mapPages = new long[64];

    private int mapPageCount;
    private final FreedSlots freed = new FreedSlots();
    private final boolean sameBoot;
    private final BitSet distrusted = new BitSet();
    private long replayedRecords;
    private long endOfJournal;
    private long lastRemap = -1;
    private long covered;

    /**
     * @param bootId this boot
     * @param problems told of each contradiction
     * @throws UnsupportedFormatException if this is no ucow store, or one of another version
     * @throws CorruptStoreException if there is no usable superblock, or {@code problems} throws it
     */
    Recovery(PositionalFile file, UUID bootId, Problems problems) throws IOException {
        this(file, bootId, problems, 0);
    }

    /** As the other, with slots for {@code chunksToCome} chunks, should the device have fewer. */
    Recovery(PositionalFile file, UUID bootId, Problems problems, long chunksToCome) throws IOException {
        this.file = file;
        this.name = file.name();
        this.problems = problems;
        this.fileSize = file.size();
        this.superblock = readSuperblock(file);
        this.otherIntact = hasBothSuperblocks(file);
        this.geometry = superblock.geometry();
        this.chunksToCome = Math.max(chunksToCome, geometry.chunkCount());
        this.blocks = Blocks.finest(geometry.chunkShift());
        requirePossibleSize(name, superblock, fileSize);
        this.sameBoot = superblock.bootId().equals(bootId);
        this.endOfJournal = superblock.journalHead();
        this.covered = superblock.journalHead();
        this.uuidHead = (int) (superblock.uuid().getMostSignificantBits() >>> 32);
        this.table = new RemapTable(geometry.chunkCount(), MapPage.FANOUT);
        this.slots =
                new SlotAllocator(name, superblock.dataStart() >>> geometry.chunkShift(), slotCount(), slotsForMap());
        this.packs = superblock.compression() == Compression.NONE
                ? null
                : new PackMap(slots.first(), slotCount(), geometry.chunkShift());
        this.freePages = new PagePool(slots, geometry.chunkShift());
        this.tree = new MapTree(file, table, freePages, MapPage.MAGIC_VALUE, uuidHead);
        this.sums = superblock.checksums() ? new SumTable(summedBytes(), MapPage.FANOUT) : null;
        this.sumTree = sums == null ? null : new MapTree(file, sums, freePages, MapPage.SUM_MAGIC_VALUE, uuidHead);
        boolean done = false;
        try {
            setAside();
            loadTrees();
            boolean clean = superblock.bootId().equals(Superblock.CLEAN);
            if (!clean || (!otherIntact && hasWrittenJournal())) {
                JournalReader journal = new JournalReader(file, superblock);
                if (!otherIntact) {
                    findLostSuperblock(journal);
                }
                if (!clean) {
                    replay(journal);
                }
            }
            takeSlots();
            freed.removeUnless(this::takeFreed);
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /** @throws CorruptStoreException if the file cannot be that of {@code superblock}, for its size alone */
    static void requirePossibleSize(String name, Superblock superblock, long fileSize) throws CorruptStoreException {
        long largest = MAX_FILE_SLOTS << superblock.geometry().chunkShift();
        if (fileSize < superblock.dataStart() || fileSize > largest) {
            throw new CorruptStoreException(
                    name + ": file has " + fileSize + " bytes, expected " + superblock.dataStart() + ".." + largest);
        }
    }

    Superblock superblock() {
        return superblock;
    }

    RemapTable table() {
        return table;
    }

    SlotAllocator slots() {
        return slots;
    }

    /** Null where nothing is compressed. */
    PackMap packs() {
        return packs;
    }

    MapTree tree() {
        return tree;
    }

    /** Null where there are no checksums. */
    SumTable sums() {
        return sums;
    }

    /** Null where there are no checksums. */
    MapTree sumTree() {
        return sumTree;
    }

    /** What the trees get their pages from. */
    PagePool freePages() {
        return freePages;
    }

    /** True when the store was open in this boot and not closed: its journal may simply be continued. */
    boolean continuesSession() {
        return sameBoot;
    }

    /** The number after that of the last valid record; the journal's head when there is none. */
    long endOfJournal() {
        return endOfJournal;
    }

    /** The number of the last remap that was applied, -1 when there is none. */
    long lastRemap() {
        return lastRemap;
    }

    /** What the last barrier in the ring covers: records with a lower number are durable if that barrier is. */
    long covered() {
        return covered;
    }

    /** Positions in the ring of valid remaps that were not applied, because no barrier covers them. */
    BitSet distrusted() {
        return distrusted;
    }

    /** Slots, and places in packs, that replayed records freed and nothing has taken since; marked used until a barrier. */
    FreedSlots freed() {
        return freed;
    }

    /** The number after that of the last slot of which the file has any bytes. */
    long endOfSlots() {
        return (fileSize + geometry.chunkSize() - 1) >>> geometry.chunkShift();
    }

    /** Storage in slots that nothing owns: left by a session that was killed, given back when the store is opened. */
    long leakedBytes() throws IOException {
        if (superblock.isReserved()) {
            return 0;
        }
        long[] leaked = new long[1];
        int shift = geometry.chunkShift();
        slots.forEachFreeRun(endOfSlots(), (slot, count) -> leaked[0] += file.dataBytes(slot << shift, count << shift));
        if (packs != null) {
            packs.forEachUnusedBlocks((offset, length) -> leaked[0] += file.dataBytes(offset, length));
        }
        return leaked[0];
    }

    /** Journal records that were applied. */
    long replayedRecords() {
        return replayedRecords;
    }

    /** The superblock that counts. Throws as the constructor. */
    static Superblock readSuperblock(PositionalFile file) throws IOException {
        String name = file.name();
        ByteBuffer head =
                ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        file.read(head, 0);
        boolean second = head.position() == head.capacity() && Superblock.isIntact(head, Superblock.SIZE);
        boolean first = head.position() >= Superblock.SIZE && Superblock.isIntact(head, 0);
        if (!first && !second) {
            if (Superblock.hasMagic(head, 0) || Superblock.hasMagic(head, Superblock.SIZE)) {
                throw new CorruptStoreException(name
                        + " at 0x0: both superblocks are damaged (checksum), and with them the device's size, the chunk size"
                        + " and the place of the map; restore the image from a backup");
            }
            throw new UnsupportedFormatException(name + ": is not a ucow image");
        }
        boolean useSecond =
                second && (!first || Superblock.generation(head, Superblock.SIZE) > Superblock.generation(head, 0));
        return Superblock.decode(head, useSecond ? Superblock.SIZE : 0, name);
    }

    /** True when both superblocks have their magic number and their checksum. */
    static boolean hasBothSuperblocks(PositionalFile file) throws IOException {
        ByteBuffer head =
                ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        return file.read(head, 0) == head.capacity()
                && Superblock.isIntact(head, 0)
                && Superblock.isIntact(head, Superblock.SIZE);
    }

    /**
     * What is wrong with the superblock that does not count, null when nothing is: the image opens without it, but has
     * no other. Before anything was written to an image there is none.
     */
    String otherSuperblockProblem() {
        return otherIntact || superblock.generation() == 1
                ? null
                : String.format(
                        "%s at 0x%x: superblock is damaged (checksum), that of generation %d at 0x%x counts",
                        name, superblock.otherOffset(), superblock.generation(), superblock.offset());
    }

    /** Every chunk altered, the whole map twice, and as much again for freed slots that wait for a barrier. */
    private long slotCount() {
        long most = Math.min(RemapEntry.MAX_SLOTS >>> 1, endOfSlots() + 2 * chunksToCome + (1 << 16));
        return superblock.maxBytes() == 0
                ? most
                : Math.min(most, (superblock.maxBytes() - superblock.dataStart()) >>> geometry.chunkShift());
    }

    private long slotsForMap() {
        return superblock.maxBytes() == 0 ? 0 : Math.min(slotCount(), UcowFormat.slotsForMap(superblock, geometry));
    }

    /** True when the file has all slots that a superblock says are set aside for the map, or it says none are. */
    static boolean hasReserve(Superblock superblock, long fileSize) {
        long end = superblock.mapReserve() + UcowFormat.slotsSetAside(superblock);
        return superblock.mapReserve() == 0
                || (superblock.mapReserve() << superblock.geometry().chunkShift() >= superblock.dataStart()
                        && end <= fileSize >>> superblock.geometry().chunkShift());
    }

    private void setAside() throws IOException {
        long first = superblock.mapReserve();
        long count = UcowFormat.slotsSetAside(superblock);
        if (first == 0) {
            return;
        }
        if (hasReserve(superblock, fileSize) && slots.isInRange(first + count - 1)) {
            freePages.setAside(first, count);
        } else {
            problems.report(String.format(
                    "%s: slots %d..%d are set aside for the map, expected slots from %d on and an end by 0x%x",
                    name, first, first + count - 1, slots.first(), fileSize));
        }
    }

    /**
     * Gives a slot an owner. One that is set aside for the map may be a chunk's, should a program that does not know of that
     * have written to the store; it is the chunk's then. @return false when it has another owner
     */
    private boolean take(long slot) {
        return slots.take(slot) || freePages.takeSetAside(slot);
    }

    private void loadTrees() throws IOException {
        if (superblock.rootPage() != 0) {
            loadNode(tree, tree.table().levels() - 1, 0, superblock.rootPage());
        }
        if (superblock.sumsRoot() != 0) {
            loadNode(sumTree, SumTable.LEVELS - 1, 0, superblock.sumsRoot());
        }
        Arrays.sort(mapPages, 0, mapPageCount);
        forEachFreePage(freePages::add);
    }

    /**
     * How long a file the checksums are to be enough for: with all the slots that there may be, or as far as there are any,
     * should the file have been longer once.
     */
    private long summedBytes() throws IOException {
        long end = (slots.first() + slotCount()) << geometry.chunkShift();
        ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        long node = 0;
        long number = superblock.sumsRoot();
        for (int level = SumTable.LEVELS - 1; level > 0 && number != 0; level--) {
            page.clear();
            if (!isInFile(number)
                    || file.read(page, number << MapPage.SHIFT) < MapPage.SIZE
                    || MapPage.problem(page, 0, MapPage.SUM_MAGIC_VALUE, superblock.generation(), node, level, uuidHead)
                            != null) {
                return end; // loading the tree meets it, too
            }
            int last = MapPage.FANOUT - 1;
            while (last > 0 && MapPage.value(page, 0, last) == 0) {
                last--;
            }
            number = MapPage.value(page, 0, last);
            node = node * MapPage.FANOUT + last;
        }
        long leafEnd = ((node + 1) * MapPage.FANOUT * 2) << SumTable.BLOCK_SHIFT;
        return Math.max(end, Math.min(leafEnd, (2 * MAX_FILE_SLOTS) << geometry.chunkShift()));
    }

    private boolean isInFile(long pageNumber) {
        return pageNumber >= superblock.dataStart() >>> MapPage.SHIFT && pageNumber < fileSize >>> MapPage.SHIFT;
    }

    private void loadNode(MapTree into, int level, long node, long number) throws IOException {
        long start = superblock.dataStart() >>> MapPage.SHIFT;
        if (!isInFile(number) || !slots.isInRange(number >>> (geometry.chunkShift() - MapPage.SHIFT))) {
            problems.report(String.format(
                    "%s: %s node %d of level %d is at page %d, expected %d..%d",
                    name, whose(into), node, level, number, start, (fileSize >>> MapPage.SHIFT) - 1));
            return;
        }
        take(number >>> (geometry.chunkShift() - MapPage.SHIFT));
        ByteBuffer page = pages[level];
        if (page == null) {
            page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
            pages[level] = page;
        }
        page.clear();
        if (file.read(page, number << MapPage.SHIFT) < MapPage.SIZE) {
            problems.report(at(number) + "map page is cut short by the end of the file");
            return;
        }
        String problem = into.problem(page, superblock.generation(), node, level);
        if (problem != null) {
            problems.report(at(number) + problem);
            return;
        }
        // No page is loaded twice: it says which node it is, and each node has one place in one parent.
        into.loaded(level, node, number);
        if (mapPageCount == mapPages.length) {
            mapPages = Arrays.copyOf(mapPages, mapPageCount * 2);
        }
        mapPages[mapPageCount++] = number;
        for (int i = 0; i < MapPage.FANOUT; i++) {
            long value = MapPage.value(page, 0, i);
            if (value != 0) {
                long child = node * MapPage.FANOUT + i;
                if (level > 0) {
                    loadChild(into, level - 1, child, value, number);
                } else if (into == tree) {
                    loadEntry(child, value, number);
                } else {
                    loadSums(child, value, number);
                }
            }
        }
    }

    private String whose(MapTree into) {
        return into == tree ? "map" : "checksums'";
    }

    private void loadChild(MapTree into, int level, long node, long value, long parent) throws IOException {
        long nodes = into.table().nodeCount(level);
        if (node < nodes) {
            loadNode(into, level, node, value);
        } else {
            problems.report(at(parent) + "map page has a child " + node + " on level " + level
                    + ", expected fewer than " + nodes);
        }
    }

    private void loadSums(long index, long value, long number) throws IOException {
        if (index < sums.valueCount()) {
            sums.load(index, value);
        } else {
            problems.report(at(number) + "checksums of blocks from " + 2 * index + " on, expected fewer than "
                    + 2 * sums.valueCount());
        }
    }

    private void loadEntry(long chunk, long entry, long number) throws IOException {
        if (chunk >= table.chunkCount()) {
            problems.report(
                    at(number) + "map has an entry for chunk " + chunk + ", the device has " + table.chunkCount());
        } else if (!isValid(entry)) {
            problems.report(String.format(
                    "%smap entry of chunk %d is 0x%016x, %s", at(number), chunk, entry, whatIsWrongWith(entry)));
        } else {
            table.load(chunk, entry);
        }
    }

    private boolean isValid(long entry) {
        return RemapEntry.isValid(entry, blocks) || (packs != null && RemapEntry.isValidPacked(entry, blocks));
    }

    private String whatIsWrongWith(long entry) {
        if (RemapEntry.isPacked(entry) && packs != null) {
            return "packed into " + RemapEntry.packedBytes(entry) + " bytes, expected less than a chunk";
        }
        return RemapEntry.isSlot(entry)
                ? String.format(
                        "a slot without blocks 0x%x, expected some of 0x%x", RemapEntry.missing(entry), blocks.all())
                : "no known kind";
    }

    /** Pages of slots that hold at least one node: the only ones a checkpoint may take without a new slot. */
    void forEachFreePage(LongConsumer visitor) {
        int shift = geometry.chunkShift() - MapPage.SHIFT;
        if (shift == 0) {
            return;
        }
        for (int i = 0; i < mapPageCount; ) {
            long slot = mapPages[i] >>> shift;
            for (long number = slot << shift; number < (slot + 1) << shift; number++) {
                if (i < mapPageCount && mapPages[i] == number) {
                    i++;
                } else {
                    visitor.accept(number);
                }
            }
        }
    }

    private void replay(JournalReader journal) throws IOException {
        long head = superblock.journalHead();
        long end = head + journal.capacity();
        findLastBarrier(journal);
        for (long seq = head; seq < end; seq++) {
            if (journal.has(seq)) {
                if (journal.isOverwrite(seq)) {
                    forgetRegions(journal, seq);
                } else if (sameBoot || seq < covered) {
                    apply(journal, seq);
                } else if (!journal.isBarrier(seq)) {
                    distrusted.set(journal.indexOf(seq));
                }
                endOfJournal = seq + 1;
            }
        }
        long trusted = sameBoot ? endOfJournal : Math.min(covered, end);
        for (long seq = head; seq < trusted; seq++) {
            if (!journal.has(seq) && journal.isDamaged(seq)) {
                problems.report(journal.at(seq) + "damaged, expected a record, an older one or zeros");
            }
        }
    }

    /** Each that is there counts: it was durable before what it tells of, and a checksum too few is no loss. */
    private void forgetRegions(JournalReader journal, long seq) throws IOException {
        if (!journal.isPossibleOverwrite(seq)) {
            problems.report(journal.at(seq)
                    + String.format(
                            "overwrite of %d regions from %d on cannot be", journal.count(seq), journal.chunk(seq)));
            return;
        }
        int shift = JournalRecord.REGION_SHIFT - SumTable.BLOCK_SHIFT;
        sums.forget(journal.chunk(seq) << shift, (journal.chunk(seq) + journal.count(seq)) << shift);
    }

    private void findLastBarrier(JournalReader journal) throws IOException {
        long head = superblock.journalHead();
        for (long seq = head; seq < head + journal.capacity(); seq++) {
            if (!journal.has(seq) || !journal.isBarrier(seq)) {
                continue;
            }
            if (journal.isPossibleBarrier(seq)) {
                covered = Math.max(covered, journal.value(seq));
            } else {
                problems.report(
                        journal.at(seq) + "barrier covers up to " + journal.value(seq) + ", expected at most " + seq);
            }
        }
    }

    private void apply(JournalReader journal, long seq) throws IOException {
        if (journal.isBarrier(seq)) {
            return;
        }
        if (!journal.isPossibleRemap(seq, table.chunkCount(), blocks)) {
            problems.report(journal.at(seq)
                    + String.format(
                            "record of type %d for %d chunks from %d with entry 0x%016x cannot be",
                            journal.type(seq), journal.count(seq), journal.chunk(seq), journal.value(seq)));
            return;
        }
        for (int i = 0; i < journal.count(seq); i++) {
            long now = journal.entry(seq, i);
            long previous = table.publish(journal.chunk(seq) + i, now);
            if (sums != null && RemapEntry.isSlot(now)) {
                // What was written to the slot after the checkpoint has checksums that were in memory alone.
                int shift = geometry.chunkShift() - SumTable.BLOCK_SHIFT;
                sums.forget(RemapEntry.slotOf(now) << shift, (RemapEntry.slotOf(now) + 1) << shift);
            }
            if (RemapEntry.isSlot(previous)
                    && !RemapEntry.isSameSlot(previous, now)
                    && slots.isInRange(RemapEntry.slotOf(previous))) {
                freed.add(RemapEntry.slotOf(previous), seq);
            } else if (RemapEntry.isPacked(previous) && previous != now && isPackedInRange(previous)) {
                freed.add(previous, seq);
            }
        }
        lastRemap = seq;
        replayedRecords++;
    }

    /**
     * Where the other superblock is damaged, the journal tells whether that was the newer one: a record that the one left
     * does not count was written after another had become durable.
     */
    private void findLostSuperblock(JournalReader journal) throws IOException {
        boolean clean = superblock.bootId().equals(Superblock.CLEAN);
        long end = superblock.journalHead() + (clean ? 0 : journal.capacity());
        long seq = journal.anyFrom(end);
        if (seq != JournalReader.NONE) {
            problems.report(journal.at(seq) + "written under a newer superblock than that of generation "
                    + superblock.generation() + ", expected numbers below " + end + "; the superblock at 0x"
                    + Long.toHexString(superblock.otherOffset()) + " is lost");
        }
    }

    /** False for the ring of a new image, which is a hole: it need not be read to see that it has no record. */
    private boolean hasWrittenJournal() throws IOException {
        long end = superblock.journalOffset() + superblock.journalCapacity() * JournalRecord.SIZE;
        return file.seekData(superblock.journalOffset()) < end;
    }

    /** Gives every slot, and every sector of a pack, its one owner; only now, because a replayed journal may move a slot from chunk to chunk. */
    private void takeSlots() throws IOException {
        long chunkCount = table.chunkCount();
        for (long chunk = table.nextPresent(0); chunk < chunkCount; chunk = table.nextPresent(chunk)) {
            long leafEnd = Math.min(chunkCount, (chunk / MapPage.FANOUT + 1) * MapPage.FANOUT);
            for (; chunk < leafEnd; chunk++) {
                long entry = table.lookup(chunk);
                if (RemapEntry.isSlot(entry)) {
                    takeSlot(chunk, entry);
                } else if (RemapEntry.isPacked(entry)) {
                    takePacked(chunk, entry);
                }
            }
            if (chunk >= chunkCount) {
                return;
            }
        }
    }

    private void takeSlot(long chunk, long entry) throws IOException {
        long slot = RemapEntry.slotOf(entry);
        long end = (slot << geometry.chunkShift()) + blocks.endOfHeld(RemapEntry.missing(entry));
        if (!slots.isInRange(slot) || end > fileSize) {
            problems.report(String.format(
                    "%s: chunk %d is in slot %d and ends at 0x%x, expected slots from %d on and an end by 0x%x",
                    name, chunk, slot, end, slots.first(), fileSize));
        } else if (!take(slot)) {
            problems.report(String.format(
                    "%s at 0x%x: slot %d of chunk %d has another owner, too",
                    name, slot << geometry.chunkShift(), slot, chunk));
        }
    }

    private void takePacked(long chunk, long entry) throws IOException {
        String problem = null;
        if (!isPackedInRange(entry) || endOfPacked(entry) > fileSize) {
            problem = String.format(
                    "chunk %d is packed and ends at 0x%x, expected slots from %d on and an end by 0x%x",
                    chunk, endOfPacked(entry), slots.first(), fileSize);
        } else if (!takeSlotsOf(entry)) {
            problem = "packed chunk " + chunk + " is in a slot that has another owner, too";
        } else if (!packs.take(entry)) {
            problem = "packed chunk " + chunk + " overlaps another one";
        }
        if (problem != null) {
            problems.report(String.format("%s at 0x%x: %s", name, RemapEntry.packedOffset(entry), problem));
        }
    }

    private boolean isPackedInRange(long entry) {
        return slots.isInRange(packs.firstSlot(entry)) && slots.isInRange(packs.lastSlot(entry));
    }

    private static long endOfPacked(long entry) {
        return RemapEntry.packedOffset(entry) + RemapEntry.packedBytes(entry);
    }

    /** Makes the slots that a packed entry lies in a pack's. @return false, and none is, if one is somebody else's */
    private boolean takeSlotsOf(long entry) {
        long first = packs.firstSlot(entry);
        boolean took = !packs.isPack(first) && take(first);
        if (!took && !packs.isPack(first)) {
            return false;
        }
        long last = packs.lastSlot(entry);
        if (last == first || packs.isPack(last) || take(last)) {
            return true;
        }
        if (took) {
            slots.free(first, 1);
        }
        return false;
    }

    /** Marks what a replayed record freed as used. @return false if it was given back since, and is in use again */
    private boolean takeFreed(long place) {
        if (!RemapEntry.isPacked(place)) {
            return take(place);
        }
        return !packs.isTaken(place) && takeSlotsOf(place) && packs.take(place);
    }

    private String at(long pageNumber) {
        return String.format("%s at 0x%x: ", name, pageNumber << MapPage.SHIFT);
    }

    /** Gives the memory back, for a recovery whose parts nobody took over. */
    @Override
    public void close() throws NativeException {
        tree.close();
        if (sums != null) {
            sumTree.close();
            sums.close();
        }
        if (packs != null) {
            packs.close();
        }
        freePages.close();
        slots.close();
        table.close();
    }
}
