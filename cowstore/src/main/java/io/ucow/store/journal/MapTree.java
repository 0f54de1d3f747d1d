package io.ucow.store.journal;

import io.ucow.store.Geometry;
import io.ucow.store.format.MapPage;
import io.ucow.store.remap.RemapTable;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.LongConsumer;

/**
 * The remap map on disk: a tree of {@link MapPage}s in slots of their own, never overwritten while the current superblock
 * refers to them. {@link #writeChanges} writes every dirty page to a new place, children before parents; the old pages
 * become free with {@link #commit}, after the superblock that refers to the new root is durable.
 *
 * <p>Threading: confined to recovery and then to the holder of the checkpoint lock.
 */
final class MapTree implements AutoCloseable {
    private final PositionalFile file;
    private final RemapTable table;
    private final SlotAllocator slots;
    private final int pagesPerSlotShift;
    private final int uuid;
    /** Page number of each node, by level; 0 for a node that is not on disk. */
    private final SparseLongs[] pageOf;

    private final ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
    private final LongStack freePages = new LongStack();
    /** Free pages that are not to be used, because their slots are to be given back. */
    private final LongStack withheld = new LongStack();

    private final LongStack undo = new LongStack();
    private long generation;
    private long pagesWritten;

    MapTree(PositionalFile file, RemapTable table, SlotAllocator slots, int chunkShift, int uuid)
            throws NativeException {
        this.file = file;
        this.table = table;
        this.slots = slots;
        this.pagesPerSlotShift = chunkShift - MapPage.SHIFT;
        this.uuid = uuid;
        this.pageOf = new SparseLongs[table.levels()];
        for (int level = 0; level < pageOf.length; level++) {
            pageOf[level] = new SparseLongs(table.nodeCount(level));
        }
    }

    /**
     * Slots that all pages of the map take twice: never more are in use, because a new one is taken only when every page
     * of those there are belongs to the current tree or to the one that is being written.
     */
    static long mostSlots(Geometry geometry) {
        int pagesPerSlot = 1 << (geometry.chunkShift() - MapPage.SHIFT);
        return (2 * MapPage.pages(geometry.chunkCount()) + pagesPerSlot - 1) / pagesPerSlot;
    }

    /** Remembers where a node was found. */
    void loaded(int level, long node, long pageNumber) {
        pageOf[level].set(node, pageNumber);
    }

    /** Adds a page of a metadata slot that no node occupies. */
    void addFreePage(long pageNumber) {
        freePages.push(pageNumber);
    }

    /** Pages written since this tree was made. */
    long pagesWritten() {
        return pagesWritten;
    }

    /**
     * Writes all changed pages to free places; the current ones stay.
     *
     * @return the new root's page number, 0 when every chunk is unaltered
     * @throws IOException when a page cannot be written; everything is then as before this call
     */
    long writeChanges(long newGeneration) throws IOException {
        generation = newGeneration;
        int top = pageOf.length - 1;
        boolean done = false;
        try {
            if (table.takeDirty(top, 0)) {
                writeNode(top, 0);
            }
            done = true;
            return pageOf[top].get(0);
        } finally {
            if (!done) {
                rollBack();
            }
        }
    }

    private void writeNode(int level, long node) throws IOException {
        long oldPage = pageOf[level].get(node);
        undo.push(level);
        undo.push(node);
        undo.push(oldPage);
        long firstChild = node * MapPage.FANOUT;
        long children = level == 0 ? table.chunkCount() : table.nodeCount(level - 1);
        int count = (int) Math.min(MapPage.FANOUT, children - firstChild);
        if (level > 0) {
            for (int i = 0; i < count; i++) {
                if (table.takeDirty(level - 1, firstChild + i)) {
                    writeNode(level - 1, firstChild + i);
                }
            }
        }
        long any = 0;
        for (int i = 0; i < MapPage.FANOUT; i++) {
            long value = 0;
            if (i < count) {
                value = level == 0 ? table.lookup(firstChild + i) : pageOf[level - 1].get(firstChild + i);
            }
            any |= value;
            MapPage.setValue(page, 0, i, value);
        }
        pageOf[level].set(node, any == 0 ? 0 : writePage(level, node));
    }

    private long writePage(int level, long node) throws IOException {
        MapPage.seal(page, 0, generation, node, level, uuid);
        long number = takeFreePage();
        try {
            file.write(page.clear(), number << MapPage.SHIFT);
        } catch (IOException e) {
            freePages.push(number);
            throw e;
        }
        pagesWritten++;
        return number;
    }

    private long takeFreePage() throws IOException {
        if (freePages.isEmpty()) {
            long first = slots.allocateForMap() << pagesPerSlotShift;
            for (long number = first + (1L << pagesPerSlotShift) - 1; number >= first; number--) {
                freePages.push(number);
            }
        }
        return freePages.pop();
    }

    /**
     * Has the next {@link #writeChanges} write every page that lies at or after {@code firstPage} again, and none there as
     * long as it finds a free one before it.
     *
     * @return false, and nothing is changed, when no page is there
     */
    boolean vacate(long firstPage) {
        boolean any = false;
        for (int level = 0; level < pageOf.length; level++) {
            for (long node = 0; node < pageOf[level].length(); node++) {
                if (pageOf[level].get(node) >= firstPage) {
                    table.markDirty(level, node);
                    any = true;
                }
            }
        }
        if (any) {
            withhold(firstPage);
        }
        return any;
    }

    /** Keeps free pages from {@code firstPage} on from being used; of the others the first is taken first. */
    private void withhold(long firstPage) {
        long[] free = freePages.sorted();
        freePages.clear();
        for (int i = free.length - 1; i >= 0; i--) {
            (free[i] >= firstPage ? withheld : freePages).push(free[i]);
        }
    }

    /** Ends what {@link #vacate} began: all free pages may be used again. */
    void settle() {
        while (!withheld.isEmpty()) {
            freePages.push(withheld.pop());
        }
    }

    private void rollBack() {
        while (!undo.isEmpty()) {
            long oldPage = undo.pop();
            long node = undo.pop();
            int level = (int) undo.pop();
            long written = pageOf[level].get(node);
            if (written != oldPage && written != 0) {
                freePages.push(written);
            }
            pageOf[level].set(node, oldPage);
            long leaf = node;
            for (int l = level; l > 0; l--) {
                leaf *= MapPage.FANOUT;
            }
            table.restoreDirty(leaf);
        }
    }

    /** The superblock with the new root is durable: the pages it replaced are free. */
    void commit() {
        while (!undo.isEmpty()) {
            long oldPage = undo.pop();
            undo.pop();
            undo.pop();
            if (oldPage != 0) {
                freePages.push(oldPage);
            }
        }
    }

    /** Passes on each slot of map pages none of which is in use any more: they are no longer this tree's. */
    void releaseFreeSlots(LongConsumer owner) {
        long[] pages = freePages.sorted();
        freePages.clear();
        int whole = 1 << pagesPerSlotShift;
        for (int end = pages.length; end > 0; ) {
            long slot = pages[end - 1] >>> pagesPerSlotShift;
            if (end >= whole && pages[end - whole] >>> pagesPerSlotShift == slot) {
                owner.accept(slot);
                end -= whole;
            } else {
                freePages.push(pages[--end]);
            }
        }
    }

    @Override
    public void close() throws NativeException {
        for (SparseLongs level : pageOf) {
            level.close();
        }
    }

    /** A stack of longs that does not box. */
    private static final class LongStack {
        private long[] elements = new long[64];
        private int size;

        void push(long element) {
            if (size == elements.length) {
                elements = Arrays.copyOf(elements, size * 2);
            }
            elements[size++] = element;
        }

        long pop() {
            return elements[--size];
        }

        void clear() {
            size = 0;
        }

        boolean isEmpty() {
            return size == 0;
        }

        long[] sorted() {
            long[] copy = Arrays.copyOf(elements, size);
            Arrays.sort(copy);
            return copy;
        }
    }
}
