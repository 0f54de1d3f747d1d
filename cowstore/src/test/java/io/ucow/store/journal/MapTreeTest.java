package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.HookedFile;
import io.ucow.store.HookedFile.Call;
import io.ucow.store.SparseFile;
import io.ucow.store.format.MapPage;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The map on disk: what a checkpoint costs, where it writes, and what is left when it fails. */
class MapTreeTest {
    private static final int UUID = 0x12345678;
    /** Three levels of 508. */
    private static final long CHUNKS = 1_000_000;

    private static final int SHIFT = 14;
    private static final long FIRST_SLOT = 5;

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final RemapTable table = new RemapTable(CHUNKS, MapPage.FANOUT);
    private final SlotAllocator slots = new SlotAllocator("store", FIRST_SLOT, 100_000, 0);
    private final PagePool free = new PagePool(slots, SHIFT);
    private final MapTree tree = new MapTree(file, table, free, MapPage.MAGIC_VALUE, UUID);
    private long generation;

    MapTreeTest() throws NativeException {}

    @AfterEach
    void close() throws NativeException {
        tree.close();
        slots.close();
        table.close();
    }

    @Test
    void untouchedMapCostsNothing() throws IOException {
        assertThat(tree.writeChanges(++generation)).isZero();
        assertThat(tree.pagesWritten()).isZero();
    }

    @Test
    void costFollowsWhatChanged() throws IOException {
        assertThat(costOf(0)).isEqualTo(3);
        assertThat(costOf(0)).isEqualTo(3);
        assertThat(costOf()).isZero();
        // One leaf, however many of its chunks.
        assertThat(costOf(0, 1, 2, 507)).isEqualTo(3);
        // Two leaves under one node.
        assertThat(costOf(0, 508)).isEqualTo(4);
        // Two leaves under two nodes.
        assertThat(costOf(0, CHUNKS - 1)).isEqualTo(5);
        long[] everyThousandth = new Random(1).longs(1000, 0, CHUNKS).toArray();
        long many = costOf(everyThousandth);
        assertThat(many).isBetween(700L, 1000L + 4 + 1);
        assertThat(costOf(CHUNKS / 2)).isEqualTo(3);
        assertMapOnDisk(tree.writeChanges(generation));
    }

    @Test
    void mapThatIsAllOriginAgainHasNoRoot() throws IOException {
        table.publish(70, RemapEntry.ZERO);
        assertThat(checkpoint()).isNotZero();
        table.publish(70, RemapEntry.ORIGIN);
        assertThat(checkpoint()).isZero();
        table.publish(70, RemapEntry.ZERO);
        assertMapOnDisk(checkpoint());
    }

    @Test
    void currentPagesAreNotOverwrittenAndOldOnesServeAgain() throws IOException {
        Random random = new Random(3);
        Set<Long> current = new HashSet<>();
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE) {
                assertThat(length).isEqualTo(MapPage.SIZE);
                assertThat(offset % MapPage.SIZE).isZero();
                assertThat(offset).isGreaterThanOrEqualTo(FIRST_SLOT << SHIFT);
                assertThat(current).doesNotContain(offset / MapPage.SIZE);
            }
        });
        for (int i = 0; i < 200; i++) {
            for (int k = 0; k < 5; k++) {
                table.publish(random.nextInt(20) * 5000L, RemapEntry.slot(random.nextInt(1000)));
            }
            long root = checkpoint();
            current.clear();
            collect(current, root, 2, 0);
        }
        assertMapOnDisk(tree.writeChanges(generation));
        // Twenty leaves, twenty nodes at most and a root, twice.
        assertThat(disk.size() - (FIRST_SLOT << SHIFT)).isLessThan(2 * 50L * MapPage.SIZE);
    }

    @Test
    void failedPageLeavesEverythingAsItWas() throws IOException {
        for (long chunk = 0; chunk < CHUNKS; chunk += 100_000) {
            table.publish(chunk, RemapEntry.slot(chunk));
        }
        long root = checkpoint();
        Set<Long> current = new HashSet<>();
        collect(current, root, 2, 0);
        for (long chunk = 0; chunk < CHUNKS; chunk += 100_000) {
            table.publish(chunk, RemapEntry.slot(chunk + 1));
        }
        int pages = 10 + 4 + 1;
        for (int failing = 1; failing < pages; failing++) {
            int[] left = {failing};
            file.hook((call, offset, length) -> {
                assertThat(current).doesNotContain(offset / MapPage.SIZE);
                if (call == Call.WRITE && --left[0] == 0) {
                    throw new NativeException("pwrite", Errno.ENOSPC);
                }
            });
            assertThatThrownBy(() -> tree.writeChanges(++generation)).isInstanceOf(NativeException.class);
            assertThat(left[0]).isZero();
            file.hook((call, offset, length) -> {});
            Set<Long> still = new HashSet<>();
            collect(still, root, 2, 0);
            assertThat(still).isEqualTo(current);
        }
        long size = disk.size();
        assertMapOnDisk(checkpoint());
        // What the failed ones wrote is free again.
        assertThat(disk.size() - size).isLessThanOrEqualTo(1L << SHIFT);
    }

    @Test
    void pagesMoveToTheFront() throws IOException {
        slots.allocate(1000);
        for (long chunk = 0; chunk < CHUNKS; chunk += 100_000) {
            table.publish(chunk, RemapEntry.slot(chunk));
        }
        assertMapOnDisk(checkpoint());
        long limit = FIRST_SLOT + 1000;
        slots.free(FIRST_SLOT + 10, 4);
        // Ten leaves, four nodes, a root: four slots of four pages.
        assertThat(tree.vacate(limit << 2)).isTrue();
        free.withhold(limit << 2);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE) {
                assertThat(offset).isLessThan(limit << SHIFT);
            }
        });
        assertMapOnDisk(checkpoint());
        free.settle();
        free.releaseFreeSlots(slot -> slots.free(slot, 1));
        assertThat(slots.endOfUsed()).isEqualTo(limit);
        assertThat(slots.used()).isEqualTo(1000);
        assertThat(tree.vacate(limit << 2)).as("nothing is there any more").isFalse();
        file.hook((call, offset, length) -> {});
        for (int i = 0; i < 10; i++) {
            table.publish(i * 1000L, RemapEntry.ZERO);
            assertMapOnDisk(checkpoint());
        }
    }

    @Test
    void noSlotForAPageLeavesEverythingAsItWas() throws IOException {
        try (RemapTable small = new RemapTable(2000, MapPage.FANOUT);
                SlotAllocator none = new SlotAllocator("store", 1, 1, 0);
                MapTree full = new MapTree(disk, small, new PagePool(none, 12), MapPage.MAGIC_VALUE, UUID)) {
            small.publish(0, RemapEntry.ZERO);
            assertThatThrownBy(() -> full.writeChanges(1))
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));
            assertThatThrownBy(() -> full.writeChanges(1))
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));
            assertThat(small.takeDirty(1, 0)).isTrue();
            assertThat(small.takeDirty(0, 0)).isTrue();
        }
    }

    private long costOf(long... chunks) throws IOException {
        long before = tree.pagesWritten();
        for (long chunk : chunks) {
            table.publish(chunk, RemapEntry.slot(generation + chunk));
        }
        checkpoint();
        return tree.pagesWritten() - before;
    }

    private long checkpoint() throws IOException {
        long root = tree.writeChanges(++generation);
        tree.commit();
        return root;
    }

    /** Walks the tree on disk and compares it with the table. */
    private void assertMapOnDisk(long root) {
        List<long[]> entries = new ArrayList<>();
        walk(root, 2, 0, new HashSet<>(), entries);
        long next = 0;
        for (long[] entry : entries) {
            for (; next < entry[0]; next++) {
                assertThat(table.lookup(next)).as("chunk %d", next).isZero();
            }
            assertThat(entry[1]).isEqualTo(table.lookup(entry[0]));
            next = entry[0] + 1;
        }
        for (; next < CHUNKS; next++) {
            if (table.lookup(next) != 0) {
                throw new AssertionError("chunk " + next + " is not on disk");
            }
        }
    }

    private void collect(Set<Long> pages, long root, int level, long node) {
        walk(root, level, node, pages, new ArrayList<>());
    }

    private void walk(long number, int level, long node, Set<Long> pages, List<long[]> entries) {
        if (number == 0) {
            return;
        }
        assertThat(pages.add(number)).isTrue();
        ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        disk.read(page, number * MapPage.SIZE);
        assertThat(MapPage.problem(page, 0, generation, node, level, UUID)).isNull();
        for (int i = 0; i < MapPage.FANOUT; i++) {
            long value = MapPage.value(page, 0, i);
            long child = node * MapPage.FANOUT + i;
            if (level > 0) {
                walk(value, level - 1, child, pages, entries);
            } else if (value != 0) {
                entries.add(new long[] {child, value});
            }
        }
    }
}
