package io.ucow.store.journal;

import io.ucow.store.format.MapPage;
import io.ucow.store.remap.TreeTable;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A {@link TreeTable}, the remap map or the checksums, on disk: a tree of {@link MapPage}s in slots that hold nothing else,
 * never overwritten while the current superblock refers to them. {@link #writeChanges} writes every dirty page to a new place, children before parents; the old pages
 * become free with {@link #commit}, after the superblock that refers to the new root is durable.
 *
 * <p>Threading: confined to recovery and then to the holder of the checkpoint lock.
 */
final class MapTree implements AutoCloseable {
    private final PositionalFile file;
    private final TreeTable table;
    private final PagePool free;
    private final int magic;
    private final int uuid;
    /** Page number of each node, by level; 0 for a node that is not on disk. */
    private final SparseLongs[] pageOf;

    private final ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
    private final LongStack undo = new LongStack();
    private long generation;
    private long pagesWritten;

    /**
     * @param free where places for pages come from
     * @param magic which tree it is, see {@link MapPage}
     * @param uuid first four bytes of the store's
     */
    MapTree(PositionalFile file, TreeTable table, PagePool free, int magic, int uuid) throws NativeException {
        this.file = file;
        this.table = table;
        this.free = free;
        this.magic = magic;
        this.uuid = uuid;
        this.pageOf = new SparseLongs[table.levels()];
        for (int level = 0; level < pageOf.length; level++) {
            pageOf[level] = new SparseLongs(table.nodeCount(level));
        }
    }

    /** What is wrong with a page that is to be a node of this tree, null if nothing is; as {@link MapPage#problem}. */
    String problem(ByteBuffer read, long maxGeneration, long node, int level) {
        return MapPage.problem(read, 0, magic, maxGeneration, node, level, uuid);
    }

    /** What it is a tree of. */
    TreeTable table() {
        return table;
    }

    /** Remembers where a node was found. */
    void loaded(int level, long node, long pageNumber) {
        pageOf[level].set(node, pageNumber);
    }

    /** Pages written since this tree was made. */
    long pagesWritten() {
        return pagesWritten;
    }

    /**
     * Writes all changed pages to free places; the current ones stay.
     *
     * @return the new root's page number, 0 when every value is 0
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
        long children = level == 0 ? table.valueCount() : table.nodeCount(level - 1);
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
                value = level == 0 ? table.value(firstChild + i) : pageOf[level - 1].get(firstChild + i);
            }
            any |= value;
            MapPage.setValue(page, 0, i, value);
        }
        pageOf[level].set(node, any == 0 ? 0 : writePage(level, node));
    }

    private long writePage(int level, long node) throws IOException {
        MapPage.seal(page, 0, magic, generation, node, level, uuid);
        long number = free.take();
        try {
            file.write(page.clear(), number << MapPage.SHIFT);
        } catch (IOException e) {
            free.add(number);
            throw e;
        }
        pagesWritten++;
        return number;
    }

    /**
     * Has the next {@link #writeChanges} write every page again that is to move to a place before {@code firstPage}.
     *
     * @return false, and nothing is changed, when no page is there
     */
    boolean vacate(long firstPage) {
        boolean any = false;
        for (int level = 0; level < pageOf.length; level++) {
            for (long node = 0; node < pageOf[level].length(); node++) {
                if (free.isToMove(pageOf[level].get(node), firstPage)) {
                    table.markDirty(level, node);
                    any = true;
                }
            }
        }
        return any;
    }

    /** Undoes {@link #writeChanges} instead of {@link #commit}: the current pages stay, the new ones are free. */
    void rollBack() {
        while (!undo.isEmpty()) {
            long oldPage = undo.pop();
            long node = undo.pop();
            int level = (int) undo.pop();
            long written = pageOf[level].get(node);
            if (written != oldPage && written != 0) {
                free.add(written);
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
                free.add(oldPage);
            }
        }
    }

    @Override
    public void close() throws NativeException {
        for (SparseLongs level : pageOf) {
            level.close();
        }
    }
}
