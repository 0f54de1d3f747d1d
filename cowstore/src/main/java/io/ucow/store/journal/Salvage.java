package io.ucow.store.journal;

import io.ucow.store.Compression;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.RepairReport.LostRange;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.BufferPool;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.LongStream;

/**
 * Reads a damaged store and keeps of its map what can be told: where {@link Recovery} would stop or report, this decides.
 * It writes nothing. In doubt a chunk is lost rather than given another chunk's bytes; only 2 below can be wrong unnoticed.
 *
 * <p>Of a node that cannot be read there are, in this order:
 * <ol>
 *   <li>the same node under the previous superblock, with every journal record since then: that is exact, and used only
 *       if none of those records is missing;
 *   <li>where its parent is lost as well, so that nobody knows which page was the current one, the newest page of the
 *       file that says it is this node. Of what it says, whatever an owner that is certain, or any record left in the
 *       ring, contradicts is dropped;
 *   <li>journal records of its chunks.
 * </ol>
 * Of two chunks in one slot the one with the newer record or page keeps it. A packed chunk says itself whose it is: it is
 * kept if all of it can be unpacked, and neither a slot's owner that is as new nor another packed chunk is in its place.
 *
 * <p>Threading: confined to one thread. Time and memory are bounded by the file's size, and by a few bits for each chunk.
 */
final class Salvage implements AutoCloseable {
    private static final int SCAN_BYTES = 1 << 20;
    /** With two records lost, one of them may have freed a slot that the other gave to somebody else. */
    private static final int MAX_DAMAGED_RECORDS = 1;

    private static final long AMBIGUOUS = -1;
    /** Owner of the slots of a pack, which are no chunk's. */
    private static final long PACK = 1;

    private final PositionalFile file;
    private final String name;
    private final long fileSize;
    private final Superblock superblock;
    private final Superblock previous;
    private final Geometry geometry;
    private final Blocks blocks;
    private final int uuidHead;
    private final JournalReader journal;
    private final long firstSlot;
    private final RemapTable table;
    /** How recent a chunk's entry is: 0 unknown, else of a page or a record, see {@link #rankOfPage}. */
    private final SparseLongs ranks;
    /** By slot, from the first: twice its owner plus 2, odd when two claims are equally recent; 0 for none. */
    private final SparseLongs owners;
    /** Slots with map pages, one bit each. */
    private final SparseLongs mapSlots;
    /** Chunks whose entry comes from a page that is perhaps not the current one, one bit each. */
    private final SparseLongs doubtful;

    /** Places of packed chunks, kept or not; null, as the reader, where nothing is compressed. */
    private final PackMap packs;

    private final PackReader packReader;

    private final ByteBuffer[] pages;
    private final LongStream.Builder pagesSeen = LongStream.builder();
    private final List<LostRange> lost = new ArrayList<>();

    private record Node(int level, long number) {}

    /**
     * @param bootId this boot
     * @throws CorruptStoreException if too little is left to tell what was where; it says what is missing
     */
    Salvage(PositionalFile file, UUID bootId) throws IOException {
        this.file = file;
        this.name = file.name();
        this.fileSize = file.size();
        this.superblock = Recovery.readSuperblock(file);
        this.previous = readPrevious();
        this.geometry = superblock.geometry();
        this.blocks = Blocks.finest(geometry.chunkShift());
        Recovery.requirePossibleSize(name, superblock, fileSize);
        this.uuidHead = (int) (superblock.uuid().getMostSignificantBits() >>> 32);
        this.journal = new JournalReader(file, superblock);
        long endOfRecords = endOfRecords(bootId);
        requireCertainJournal(endOfRecords);
        this.firstSlot = superblock.dataStart() >>> geometry.chunkShift();
        this.table = new RemapTable(geometry.chunkCount(), MapPage.FANOUT);
        this.ranks = new SparseLongs(geometry.chunkCount());
        this.doubtful = new SparseLongs(geometry.chunkCount() / Long.SIZE + 1);
        this.owners = new SparseLongs(endOfSlots() - firstSlot);
        this.mapSlots = new SparseLongs((endOfSlots() - firstSlot) / Long.SIZE + 1);
        this.pages = new ByteBuffer[Math.max(table.levels(), SumTable.LEVELS)];
        if (superblock.compression() == Compression.NONE) {
            this.packs = null;
            this.packReader = null;
        } else {
            PackedForm form = new PackedForm(Superblock.bytes(superblock.uuid()), geometry.chunkShift());
            this.packs = new PackMap(firstSlot, endOfSlots() - firstSlot, geometry.chunkShift());
            this.packReader = new PackReader(file, form, geometry.chunkShift());
        }
        boolean done = false;
        try {
            long history = startOfHistory();
            List<Node> unreadable = loadCurrent();
            if (previous != null && history == previous.journalHead()) {
                unreadable = loadPrevious(unreadable);
            }
            for (long seq = history; seq < endOfRecords; seq++) {
                apply(seq);
            }
            settleOwners();
            findOrphans(unreadable);
            mergeLost();
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /** The superblock that counts. */
    Superblock superblock() {
        return superblock;
    }

    /** What is left, all of it dirty. */
    RemapTable table() {
        return table;
    }

    /** First four bytes of the uuid, for map pages. */
    int uuidHead() {
        return uuidHead;
    }

    /** The number after that of the last slot of which the file has any bytes. */
    long endOfSlots() {
        return (fileSize + geometry.chunkSize() - 1) >>> geometry.chunkShift();
    }

    /** Parts of the device whose mapping, if there was one, is lost: ascending, not adjacent. */
    List<LostRange> lost() {
        return lost;
    }

    /**
     * Copies all metadata to the same places of {@code copy}: everything before the first slot, and each page that is, or
     * should be, one of the map. What is zeros stays a hole.
     */
    void copyMetadata(PositionalFile copy) throws IOException {
        ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        long offset = file.seekData(0);
        while (offset < superblock.dataStart()) {
            offset &= -MapPage.SIZE;
            copyPage(page, offset, copy);
            offset = file.seekData(offset + MapPage.SIZE);
        }
        for (long number : pagesSeen.build().sorted().distinct().toArray()) {
            copyPage(page, number << MapPage.SHIFT, copy);
        }
    }

    private void copyPage(ByteBuffer page, long offset, PositionalFile copy) throws IOException {
        page.clear();
        file.read(page, offset);
        page.flip();
        for (int i = 0; i < page.limit(); i++) {
            if (page.get(i) != 0) {
                copy.write(page, offset);
                return;
            }
        }
    }

    /** The superblock before the one that counts, null when it is not there as it was. */
    private Superblock readPrevious() throws IOException {
        ByteBuffer block = ByteBuffer.allocateDirect(Superblock.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        if (file.read(block, superblock.otherOffset()) < Superblock.SIZE || !Superblock.isIntact(block, 0)) {
            return null;
        }
        try {
            Superblock other = Superblock.decode(block, 0, name);
            boolean sameStore = other.uuid().equals(superblock.uuid())
                    && other.geometry().equals(superblock.geometry())
                    && other.journalOffset() == superblock.journalOffset()
                    && other.journalCapacity() == superblock.journalCapacity()
                    && other.dataStart() == superblock.dataStart();
            return sameStore && other.generation() == superblock.generation() - 1 ? other : null;
        } catch (CorruptStoreException | UnsupportedFormatException e) {
            return null; // as good as none
        }
    }

    /** The number after that of the last record that counts, as {@link Recovery} has it. */
    private long endOfRecords(UUID bootId) {
        long head = superblock.journalHead();
        if (superblock.bootId().equals(Superblock.CLEAN)) {
            return head;
        }
        long end = head;
        long covered = head;
        for (long seq = head; seq < head + journal.capacity(); seq++) {
            if (journal.has(seq)) {
                end = seq + 1;
                if (journal.isBarrier(seq) && journal.isPossibleBarrier(seq)) {
                    covered = Math.max(covered, journal.value(seq));
                }
            }
        }
        return superblock.bootId().equals(bootId) ? end : Math.min(covered, end);
    }

    private void requireCertainJournal(long endOfRecords) throws CorruptStoreException {
        if (previous == null) {
            boolean clean = superblock.bootId().equals(Superblock.CLEAN);
            long beyond = journal.anyFrom(superblock.journalHead() + (clean ? 0 : journal.capacity()));
            if (beyond != JournalReader.NONE) {
                throw new CorruptStoreException(name + " at 0x" + Long.toHexString(superblock.otherOffset())
                        + ": the newer superblock is lost, and with it the place of the current map; nothing was"
                        + " changed; restore the image from a backup");
            }
        }
        int damaged = 0;
        for (long seq = superblock.journalHead(); seq < endOfRecords; seq++) {
            if (journal.has(seq) ? !isPossible(seq) : journal.isDamaged(seq)) {
                damaged++;
            }
        }
        if (damaged > MAX_DAMAGED_RECORDS) {
            throw new CorruptStoreException(name + " at 0x" + Long.toHexString(superblock.journalOffset()) + ": "
                    + damaged + " records of the journal are damaged, and with them which chunk owns which slot;"
                    + " nothing was changed; restore the image from a backup");
        }
    }

    private boolean isPossible(long seq) {
        return journal.isPossible(seq, geometry.chunkCount(), blocks);
    }

    /**
     * The first record from which on none is missing up to the journal's head: all of them are in the map already. Goes
     * back to the previous superblock at most, and to that only if it is of the session that wrote the current one.
     */
    private long startOfHistory() {
        long head = superblock.journalHead();
        if (previous == null
                || previous.bootId().equals(Superblock.CLEAN)
                || !(superblock.bootId().equals(Superblock.CLEAN)
                        || superblock.bootId().equals(previous.bootId()))) {
            return head;
        }
        long first = head;
        while (first > previous.journalHead() && journal.has(first - 1) && isPossible(first - 1)) {
            first--;
        }
        return first;
    }

    /** Loads the map. @return nodes that cannot be read, each without those below it */
    private List<Node> loadCurrent() throws IOException {
        List<Node> unreadable = new ArrayList<>();
        if (superblock.rootPage() != 0) {
            loadNode(table.levels() - 1, 0, superblock.rootPage(), superblock.generation(), unreadable);
        }
        if (superblock.sumsRoot() != 0) {
            noteSums(SumTable.LEVELS - 1, 0, superblock.sumsRoot());
        }
        return unreadable;
    }

    /** Notes where pages of checksums are: no chunk is. What they say is forgotten. */
    private void noteSums(int level, long node, long number) throws IOException {
        ByteBuffer page = read(MapPage.SUM_MAGIC_VALUE, level, node, number, superblock.generation());
        for (int i = 0; page != null && level > 0 && i < MapPage.FANOUT; i++) {
            long child = MapPage.value(page, 0, i);
            if (child != 0) {
                noteSums(level - 1, node * MapPage.FANOUT + i, child);
            }
        }
    }

    /** Loads {@code nodes} as the previous superblock has them. @return those that it does not have either */
    private List<Node> loadPrevious(List<Node> nodes) throws IOException {
        List<Node> unreadable = new ArrayList<>();
        for (Node node : nodes) {
            long page = previous.rootPage();
            for (int level = table.levels() - 1; level > node.level() && page > 0; level--) {
                long number = node.number() / leavesBelow(level - node.level());
                ByteBuffer parent = read(level, number, page, previous.generation());
                long child = node.number() / leavesBelow(level - 1 - node.level());
                page = parent == null ? AMBIGUOUS : MapPage.value(parent, 0, (int) (child % MapPage.FANOUT));
            }
            if (page != 0) {
                loadNode(node.level(), node.number(), page, previous.generation(), unreadable);
            }
        }
        return unreadable;
    }

    /** Nodes on the level that is {@code levels} lower, below one node. */
    private static long leavesBelow(int levels) {
        long leaves = 1;
        for (int i = 0; i < levels; i++) {
            leaves *= MapPage.FANOUT;
        }
        return leaves;
    }

    private void loadNode(int level, long node, long number, long maxGeneration, List<Node> unreadable)
            throws IOException {
        ByteBuffer page = read(level, node, number, maxGeneration);
        if (page == null) {
            unreadable.add(new Node(level, node));
            return;
        }
        for (int i = 0; i < MapPage.FANOUT; i++) {
            long value = MapPage.value(page, 0, i);
            long child = node * MapPage.FANOUT + i;
            if (value == 0) {
                continue;
            }
            if (level == 0) {
                load(child, value, rankOfPage(page));
            } else if (child < table.nodeCount(level - 1)) {
                loadNode(level - 1, child, value, maxGeneration, unreadable);
            }
        }
    }

    /** The page if it is that node, null if not. */
    private ByteBuffer read(int level, long node, long number, long maxGeneration) throws IOException {
        return read(MapPage.MAGIC_VALUE, level, node, number, maxGeneration);
    }

    /** As the other, for the tree that {@code magic} says. */
    private ByteBuffer read(int magic, int level, long node, long number, long maxGeneration) throws IOException {
        if (number < superblock.dataStart() >>> MapPage.SHIFT || number >= fileSize >>> MapPage.SHIFT) {
            return null;
        }
        if (pages[level] == null) {
            pages[level] = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        }
        ByteBuffer page = pages[level].clear();
        pagesSeen.add(number);
        if (file.read(page, number << MapPage.SHIFT) < MapPage.SIZE
                || MapPage.problem(page, 0, magic, maxGeneration, node, level, uuidHead) != null) {
            return null;
        }
        long index = slotOfPage(number) - firstSlot;
        mapSlots.getAndBitwiseOr(index >>> 6, 1L << index);
        return page;
    }

    private long slotOfPage(long number) {
        return number >>> (geometry.chunkShift() - MapPage.SHIFT);
    }

    /** Pages by generation, and all of them before any record. */
    private static long rankOfPage(ByteBuffer page) {
        return Long.MIN_VALUE + page.getLong(MapPage.GENERATION);
    }

    private void load(long chunk, long entry, long rank) {
        if (chunk >= table.chunkCount()) {
            return;
        }
        if (RemapEntry.isValid(entry, blocks) || (packs != null && RemapEntry.isValidPacked(entry, blocks))) {
            table.publish(chunk, entry);
            ranks.set(chunk, rank);
        } else {
            addLost(chunk, chunk + 1);
        }
    }

    private void apply(long seq) {
        if (!journal.has(seq) || journal.isBarrier(seq) || journal.isOverwrite(seq) || !isPossible(seq)) {
            return;
        }
        for (int i = 0; i < journal.count(seq); i++) {
            table.publish(journal.chunk(seq) + i, journal.entry(seq, i));
            ranks.set(journal.chunk(seq) + i, seq + 1);
        }
    }

    /** Gives each slot to the newest of those that claim it; the others lose their chunk. */
    private void settleOwners() {
        forEachSlotEntry(this::claim);
        forEachSlotEntry((chunk, slot) -> {
            if (!isSlotOfChunks(chunk, slot) || owners.get(slot - firstSlot) != ownedBy(chunk)) {
                drop(chunk);
            }
        });
        settlePacked(false);
    }

    /** Keeps the packed chunks that are whole and alone in their place, of those that are doubtful or of the others. */
    private void settlePacked(boolean ofDoubtful) {
        if (packs == null) {
            return;
        }
        BufferPool buffers = BufferPool.shared(geometry.chunkShift());
        ByteBuffer stored = buffers.take();
        ByteBuffer raw = buffers.take();
        try {
            forEachEntry((chunk, entry) -> {
                if (RemapEntry.isPacked(entry) && isDoubtful(chunk) == ofDoubtful) {
                    if (isKept(chunk, entry, stored, raw)) {
                        for (long slot = packs.firstSlot(entry); slot <= packs.lastSlot(entry); slot++) {
                            owners.set(slot - firstSlot, PACK);
                        }
                    } else {
                        drop(chunk);
                    }
                }
            });
        } finally {
            buffers.give(stored);
            buffers.give(raw);
        }
    }

    private boolean isKept(long chunk, long entry, ByteBuffer stored, ByteBuffer raw) {
        long first = packs.firstSlot(entry) - firstSlot;
        long last = packs.lastSlot(entry) - firstSlot;
        long end = RemapEntry.packedOffset(entry) + RemapEntry.packedBytes(entry);
        if (first < 0 || end > fileSize || isMapSlot(first) || isMapSlot(last)) {
            return false;
        }
        // Marked also where it turns out damaged, so that no byte of the file is unpacked twice.
        if (!packs.take(entry) || packReader.problem(chunk, entry, stored, raw) != null) {
            return false;
        }
        boolean both = prevails(chunk, first);
        return prevails(chunk, last) && both;
    }

    /** True when nothing but packs is in the slot after this: an owner that is no newer loses it. */
    private boolean prevails(long chunk, long index) {
        long owner = owners.get(index);
        if (owner == 0 || owner == PACK) {
            return true;
        }
        long other = (owner >>> 1) - 1;
        int order = Long.compare(ranks.get(chunk), ranks.get(other));
        if (order >= 0 && isOwner(other, index)) {
            drop(other);
        }
        if (order > 0) {
            owners.set(index, 0);
        }
        return order > 0;
    }

    private boolean isOwner(long chunk, long index) {
        long entry = table.lookup(chunk);
        return RemapEntry.isSlot(entry) && RemapEntry.slotOf(entry) == firstSlot + index;
    }

    private boolean isMapSlot(long index) {
        return (mapSlots.get(index >>> 6) & 1L << index) != 0;
    }

    private void claim(long chunk, long slot) {
        if (!isSlotOfChunks(chunk, slot)) {
            return;
        }
        long owner = owners.get(slot - firstSlot);
        if (owner == PACK) {
            return;
        }
        int order = owner == 0 ? 1 : Long.compare(ranks.get(chunk), ranks.get((owner >>> 1) - 1));
        if (order > 0) {
            owners.set(slot - firstSlot, ownedBy(chunk));
        } else if (order == 0) {
            owners.set(slot - firstSlot, owner | 1);
        }
    }

    private static long ownedBy(long chunk) {
        return (chunk + 1) << 1;
    }

    /** True when the file has those blocks of the slot that the chunk's entry says it has, and they are no map pages. */
    private boolean isSlotOfChunks(long chunk, long slot) {
        long index = slot - firstSlot;
        long end = (slot << geometry.chunkShift()) + blocks.endOfHeld(RemapEntry.missing(table.lookup(chunk)));
        return index >= 0 && end <= fileSize && !isMapSlot(index);
    }

    private void drop(long chunk) {
        table.publish(chunk, RemapEntry.ORIGIN);
        addLost(chunk, chunk + 1);
    }

    private interface EntryVisitor {
        void visit(long chunk, long entry);
    }

    private interface SlotVisitor {
        void visit(long chunk, long slot);
    }

    private void forEachSlotEntry(SlotVisitor visitor) {
        forEachEntry((chunk, entry) -> {
            if (RemapEntry.isSlot(entry)) {
                visitor.visit(chunk, RemapEntry.slotOf(entry));
            }
        });
    }

    private void forEachEntry(EntryVisitor visitor) {
        for (long chunk = table.nextPresent(0); chunk < table.chunkCount(); chunk = table.nextPresent(chunk)) {
            long leafEnd = Math.min(table.chunkCount(), (chunk / MapPage.FANOUT + 1) * MapPage.FANOUT);
            for (; chunk < leafEnd; chunk++) {
                visitor.visit(chunk, table.lookup(chunk));
            }
            if (chunk >= table.chunkCount()) {
                return;
            }
        }
    }

    /** Looks for the leaves below nodes that cannot be read; of a leaf whose parent is known only stale pages are left. */
    private void findOrphans(List<Node> unreadable) throws IOException {
        for (Node node : unreadable) {
            if (node.level() == 0) {
                addLostLeaves(node.number(), node.number() + 1);
            }
        }
        List<Node> parents = unreadable.stream().filter(n -> n.level() > 0).toList();
        if (parents.isEmpty()) {
            return;
        }
        try (SparseLongs pageOf = new SparseLongs(table.nodeCount(0));
                SparseLongs generations = new SparseLongs(table.nodeCount(0))) {
            scan(pageOf, generations);
            for (Node parent : parents) {
                loadOrphans(parent, pageOf);
            }
        }
        forEachSlotEntry((chunk, slot) -> {
            if (isDoubtful(chunk)) {
                claim(chunk, slot);
            }
        });
        dropContradicted();
        forEachSlotEntry((chunk, slot) -> {
            if (isDoubtful(chunk) && (!isSlotOfChunks(chunk, slot) || owners.get(slot - firstSlot) != ownedBy(chunk))) {
                drop(chunk);
            }
        });
        settlePacked(true);
    }

    /** Finds the newest page of each leaf, in slots that no chunk is known to own. */
    private void scan(SparseLongs pageOf, SparseLongs generations) throws IOException {
        ByteBuffer part = ByteBuffer.allocateDirect(SCAN_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        long offset = file.seekData(superblock.dataStart());
        while (offset < fileSize) {
            offset &= -MapPage.SIZE;
            part.clear();
            int n = file.read(part, offset);
            for (int at = 0; at + MapPage.SIZE <= n; at += MapPage.SIZE) {
                long number = (offset + at) >>> MapPage.SHIFT;
                int magic = part.getInt(at + MapPage.MAGIC);
                if ((magic == MapPage.MAGIC_VALUE || magic == MapPage.SUM_MAGIC_VALUE)
                        && part.getInt(at + MapPage.UUID) == uuidHead
                        && owners.get(slotOfPage(number) - firstSlot) == 0) {
                    pagesSeen.add(number);
                    if (magic == MapPage.MAGIC_VALUE) {
                        note(part, at, number, pageOf, generations);
                    } else {
                        noteSumPage(part.getInt(at + MapPage.LEVEL), part.getLong(at + MapPage.NODE), number);
                    }
                }
            }
            if (n < MapPage.SIZE) {
                return;
            }
            offset = file.seekData(offset + n);
        }
    }

    private void noteSumPage(int level, long node, long number) throws IOException {
        if (level >= 0 && level < SumTable.LEVELS) {
            read(MapPage.SUM_MAGIC_VALUE, level, node, number, superblock.generation());
        }
    }

    private void note(ByteBuffer part, int at, long number, SparseLongs pageOf, SparseLongs generations) {
        long leaf = part.getLong(at + MapPage.NODE);
        long generation = part.getLong(at + MapPage.GENERATION);
        if (leaf < 0
                || leaf >= table.nodeCount(0)
                || generation < Math.max(1, generations.get(leaf))
                || MapPage.problem(part, at, superblock.generation(), leaf, 0, uuidHead) != null) {
            return;
        }
        // Two pages of one generation: one is of a checkpoint that was cut short, nobody can tell which.
        pageOf.set(leaf, generation == generations.get(leaf) ? AMBIGUOUS : number);
        generations.set(leaf, generation);
    }

    private void loadOrphans(Node parent, SparseLongs pageOf) throws IOException {
        long first = parent.number() * leavesBelow(parent.level());
        long end = Math.min(table.nodeCount(0), first + leavesBelow(parent.level()));
        long unknown = first;
        for (long leaf = first; leaf < end; leaf++) {
            if (pageOf.get(leaf) > 0) {
                ByteBuffer page = read(0, leaf, pageOf.get(leaf), superblock.generation());
                if (page != null) {
                    addLostLeaves(unknown, leaf);
                    unknown = leaf + 1;
                    loadOrphan(leaf, page);
                }
            }
        }
        addLostLeaves(unknown, end);
    }

    private void loadOrphan(long leaf, ByteBuffer page) {
        for (int i = 0; i < MapPage.FANOUT; i++) {
            long chunk = leaf * MapPage.FANOUT + i;
            long entry = MapPage.value(page, 0, i);
            if (entry == 0 || chunk >= table.chunkCount() || ranks.get(chunk) != 0) {
                continue;
            }
            boolean taken = RemapEntry.isSlot(entry)
                    ? isOwned(RemapEntry.slotOf(entry))
                    : packs != null
                            && RemapEntry.isPacked(entry)
                            && (isOwnedByChunk(packs.firstSlot(entry)) || isOwnedByChunk(packs.lastSlot(entry)));
            if (taken) {
                addLost(chunk, chunk + 1);
            } else {
                load(chunk, entry, rankOfPage(page));
                doubtful.getAndBitwiseOr(chunk >>> 6, 1L << chunk);
            }
        }
    }

    private boolean isOwned(long slot) {
        return slot >= firstSlot && slot < endOfSlots() && owners.get(slot - firstSlot) != 0;
    }

    private boolean isOwnedByChunk(long slot) {
        return isOwned(slot) && owners.get(slot - firstSlot) != PACK;
    }

    private boolean isDoubtful(long chunk) {
        return (doubtful.get(chunk >>> 6) & 1L << chunk) != 0;
    }

    /** Drops what a page says that is perhaps stale, where the last word of the ring on that chunk or slot differs. */
    private void dropContradicted() throws IOException {
        long[] records = new long[journal.capacity()];
        int count = 0;
        for (int index = 0; index < records.length; index++) {
            long seq = journal.numberAt(index);
            if (seq != JournalReader.NONE && !journal.isBarrier(seq) && isPossible(seq)) {
                records[count++] = seq;
            }
        }
        Arrays.sort(records, 0, count);
        try (SparseLongs contradicted = new SparseLongs(geometry.chunkCount() / Long.SIZE + 1)) {
            for (int r = 0; r < count; r++) {
                for (int i = 0; i < journal.count(records[r]); i++) {
                    weigh(journal.chunk(records[r]) + i, journal.entry(records[r], i), contradicted);
                }
            }
            for (long chunk = table.nextPresent(0); chunk < table.chunkCount(); chunk = table.nextPresent(chunk + 1)) {
                if ((contradicted.get(chunk >>> 6) & 1L << chunk) != 0) {
                    drop(chunk);
                }
            }
        }
    }

    private void weigh(long chunk, long entry, SparseLongs contradicted) {
        if (RemapEntry.isSlot(entry) && isOwned(RemapEntry.slotOf(entry))) {
            long owner = (owners.get(RemapEntry.slotOf(entry) - firstSlot) >>> 1) - 1;
            if (owner >= 0 && owner != chunk && isDoubtful(owner)) {
                contradicted.getAndBitwiseOr(owner >>> 6, 1L << owner);
            }
        }
        if (isDoubtful(chunk)) {
            long bit = 1L << chunk;
            if (table.lookup(chunk) == entry) {
                contradicted.getAndBitwiseAnd(chunk >>> 6, ~bit);
            } else {
                contradicted.getAndBitwiseOr(chunk >>> 6, bit);
            }
        }
    }

    private void addLostLeaves(long first, long end) {
        long stop = Math.min(table.chunkCount(), end * MapPage.FANOUT);
        long chunk = first * MapPage.FANOUT;
        while (chunk < stop) {
            long known = nextKnown(chunk, stop);
            addLost(chunk, known);
            chunk = known;
            while (chunk < stop && ranks.get(chunk) != 0) {
                chunk++;
            }
        }
    }

    /** The first chunk from {@code chunk} of which a page or a record tells; {@code stop} if none does. */
    private long nextKnown(long chunk, long stop) {
        long known = table.nextPresent(chunk);
        while (known < stop && ranks.get(known) == 0) {
            known = table.nextPresent(known + 1);
        }
        return Math.min(known, stop);
    }

    private void addLost(long firstChunk, long endChunk) {
        if (firstChunk < endChunk) {
            long start = geometry.startOf(firstChunk);
            lost.add(new LostRange(start, Math.min(geometry.sizeBytes(), geometry.startOf(endChunk)) - start));
        }
    }

    private void mergeLost() {
        List<LostRange> sorted = new ArrayList<>(lost);
        sorted.sort(Comparator.comparingLong(LostRange::guestOffset));
        lost.clear();
        for (LostRange range : sorted) {
            LostRange last = lost.isEmpty() ? null : lost.get(lost.size() - 1);
            if (last != null && range.guestOffset() <= last.guestOffset() + last.lengthBytes()) {
                long end = Math.max(last.guestOffset() + last.lengthBytes(), range.guestOffset() + range.lengthBytes());
                lost.set(lost.size() - 1, new LostRange(last.guestOffset(), end - last.guestOffset()));
            } else {
                lost.add(range);
            }
        }
    }

    @Override
    public void close() throws NativeException {
        table.close();
        ranks.close();
        owners.close();
        mapSlots.close();
        doubtful.close();
        if (packs != null) {
            packs.close();
        }
    }
}
