package io.ucow.store.remap;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.sys.NativeException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class RemapTableTest {
    @ParameterizedTest
    @CsvSource({
        "1, 508, 1, 1",
        "508, 508, 1, 1",
        "509, 508, 2, 2",
        "258064, 508, 2, 508",
        "258065, 508, 3, 509",
        "4294967296, 508, 4, 8454661",
        "7, 2, 3, 4",
        "9, 2, 4, 5"
    })
    void treeHasTheLevelsItNeeds(long chunks, int fanout, int levels, long leaves) throws NativeException {
        try (RemapTable table = new RemapTable(chunks, fanout)) {
            assertThat(table.levels()).isEqualTo(levels);
            assertThat(table.nodeCount(0)).isEqualTo(leaves);
            assertThat(table.nodeCount(levels - 1)).isEqualTo(1);
            assertThat(table.chunkCount()).isEqualTo(chunks);
            assertThat(table.lookup(chunks - 1)).isEqualTo(RemapEntry.ORIGIN);
            assertThat(table.nextPresent(0)).isEqualTo(chunks);
            table.publish(chunks - 1, RemapEntry.ZERO);
            assertThat(table.lookup(chunks - 1)).isEqualTo(RemapEntry.ZERO);
            assertThat(table.nextPresent(0)).isEqualTo((chunks - 1) / fanout * fanout);
            assertThat(table.nextPresent(chunks - 1)).isEqualTo(chunks - 1);
            assertThat(table.nextPresent(chunks)).isEqualTo(chunks);
        }
    }

    @Test
    void frozenChunkIsNoSlotForWritersAlone() throws NativeException {
        long entry = RemapEntry.withMissing(RemapEntry.slot(9), 0x11);
        try (RemapTable table = new RemapTable(100, 4)) {
            table.publish(3, entry);
            assertThat(table.lookupToWrite(3)).isEqualTo(entry);
            table.freeze(3);
            assertThat(table.lookup(3)).isEqualTo(entry);
            assertThat(RemapEntry.isSlot(table.lookupToWrite(3))).isFalse();
            assertThat(RemapEntry.isWhole(table.lookupToWrite(3))).isFalse();
            assertThat(RemapEntry.continues(RemapEntry.slot(8), table.lookupToWrite(3)))
                    .isFalse();
            table.thaw(3);
            assertThat(table.lookupToWrite(3)).isEqualTo(entry);
            table.freeze(3);
            assertThat(table.publish(3, RemapEntry.slot(1))).isEqualTo(entry);
            assertThat(table.lookupToWrite(3)).isEqualTo(RemapEntry.slot(1));
            assertThat(table.alteredChunks()).isEqualTo(1);
        }
    }

    @Test
    void publishReturnsWhatWasThereAndCounts() throws NativeException {
        try (RemapTable table = new RemapTable(100, 4)) {
            assertThat(table.publish(3, RemapEntry.slot(9))).isEqualTo(RemapEntry.ORIGIN);
            assertThat(table.publish(3, RemapEntry.ZERO)).isEqualTo(RemapEntry.slot(9));
            assertThat(table.publish(4, RemapEntry.slot(1))).isEqualTo(RemapEntry.ORIGIN);
            assertThat(table.publish(4, RemapEntry.slot(2))).isEqualTo(RemapEntry.slot(1));
            assertThat(table.alteredChunks()).isEqualTo(1);
            assertThat(table.zeroChunks()).isEqualTo(1);
            table.publish(3, RemapEntry.ORIGIN);
            table.load(5, RemapEntry.slot(3));
            assertThat(table.alteredChunks()).isEqualTo(2);
            assertThat(table.zeroChunks()).isZero();
        }
    }

    @Test
    void publishDirtiesTheWholePathAndLoadNothing() throws NativeException {
        try (RemapTable table = new RemapTable(64, 4)) {
            table.load(20, RemapEntry.slot(1));
            for (int level = 0; level < 3; level++) {
                assertThat(dirty(table, level)).isEmpty();
            }
            table.publish(20, RemapEntry.slot(2));
            table.publish(63, RemapEntry.ZERO);
            assertThat(dirty(table, 0)).containsExactly(5L, 15L);
            assertThat(dirty(table, 1)).containsExactly(1L, 3L);
            assertThat(dirty(table, 2)).containsExactly(0L);
            assertThat(dirty(table, 0)).isEmpty();
            table.restoreDirty(5);
            assertThat(dirty(table, 0)).containsExactly(5L);
            assertThat(dirty(table, 1)).containsExactly(1L);
            assertThat(dirty(table, 2)).containsExactly(0L);
        }
    }

    @Test
    void nextPresentFindsWholeLeaves() throws NativeException {
        Random random = new Random(6);
        for (int round = 0; round < 50; round++) {
            int fanout = 2 + random.nextInt(5);
            int chunks = 1 + random.nextInt(2000);
            try (RemapTable table = new RemapTable(chunks, fanout)) {
                TreeSet<Integer> leaves = new TreeSet<>();
                for (int i = random.nextInt(12); i > 0; i--) {
                    int chunk = random.nextInt(chunks);
                    table.publish(chunk, RemapEntry.ZERO);
                    leaves.add(chunk / fanout);
                }
                for (int chunk = 0; chunk <= chunks; chunk++) {
                    Integer leaf = leaves.ceiling(chunk / fanout);
                    long expected = leaf == null ? chunks : Math.max(chunk, leaf * fanout);
                    assertThat(table.nextPresent(chunk)).isEqualTo(Math.min(chunks, expected));
                }
            }
        }
    }

    /**
     * Publications race with checkpoints that take dirty bits from the root down and then read: what the last of them
     * has read, once publishers are quiet, is everything.
     */
    @Test
    void noPublicationEscapesACheckpoint() throws Exception {
        int chunks = 300;
        int fanout = 4;
        try (RemapTable table = new RemapTable(chunks, fanout)) {
            long[] disk = new long[chunks];
            AtomicBoolean stop = new AtomicBoolean();
            ExecutorService pool = Executors.newFixedThreadPool(4);
            try {
                List<Callable<Void>> publishers = new ArrayList<>();
                for (int t = 0; t < 3; t++) {
                    int id = t;
                    Random random = new Random(t);
                    publishers.add(() -> {
                        for (int i = 1; i < 300_000; i++) {
                            table.publish(random.nextInt(chunks / 3) * 3 + id, RemapEntry.slot(i));
                        }
                        return null;
                    });
                }
                Future<?> checkpointer = pool.submit(() -> {
                    while (!stop.get()) {
                        checkpoint(table, table.levels() - 1, 0, fanout, disk);
                    }
                    checkpoint(table, table.levels() - 1, 0, fanout, disk);
                });
                for (Future<Void> done : pool.invokeAll(publishers)) {
                    done.get();
                }
                stop.set(true);
                checkpointer.get();
            } finally {
                pool.shutdown();
            }
            for (int chunk = 0; chunk < chunks; chunk++) {
                assertThat(disk[chunk]).as("chunk %d", chunk).isEqualTo(table.lookup(chunk));
            }
            assertThat(table.alteredChunks()).isEqualTo(countAltered(table));
        }
    }

    private static long countAltered(RemapTable table) {
        long altered = 0;
        for (long chunk = 0; chunk < table.chunkCount(); chunk++) {
            altered += RemapEntry.isSlot(table.lookup(chunk)) ? 1 : 0;
        }
        return altered;
    }

    private static void checkpoint(RemapTable table, int level, long node, int fanout, long[] disk) {
        if (!table.takeDirty(level, node)) {
            return;
        }
        for (long child = node * fanout; child < (node + 1) * fanout; child++) {
            if (level > 0 && child < table.nodeCount(level - 1)) {
                checkpoint(table, level - 1, child, fanout, disk);
            } else if (level == 0 && child < disk.length) {
                disk[(int) child] = table.lookup(child);
            }
        }
    }

    private static Set<Long> dirty(RemapTable table, int level) {
        Set<Long> dirty = new HashSet<>();
        for (long node = 0; node < table.nodeCount(level); node++) {
            if (table.takeDirty(level, node)) {
                dirty.add(node);
            }
        }
        return new TreeSet<>(dirty);
    }
}
