package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.Origin;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** G7, one contradiction at a time, each with right checksums. {@link FuzzTest} looks for the rest. */
@Timeout(20)
class HostileImageTest {
    private static final int CHUNK = 4096;
    /** Two levels of map. */
    private static final int CHUNKS = 1200;

    private static final UUID STORE = new UUID(0x1234567890abcdefL, 42);
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final Origin NOTHING = TestDevices.origin(new byte[0]);

    private final SparseFile image = new SparseFile();
    private final ByteBuffer page = ByteBuffer.allocateDirect(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);

    /** Chunks 0, 1 and 600 altered, folded into a map of three pages. */
    HostileImageTest() throws IOException {
        UcowFormat.create(image, new Geometry((long) CHUNKS * CHUNK, 12), null, StoreOptions.NONE, 64, STORE);
        try (CowDevice device = open()) {
            for (int chunk : new int[] {0, 1, 600}) {
                device.write((long) chunk * CHUNK, TestDevices.direct(new byte[] {1}, 0, 1));
            }
        }
    }

    @Test
    void untouchedImageIsSound() throws IOException {
        assertThat(check().corruptions()).isEmpty();
        open().close();
    }

    @Test
    void mapPageThatIsItsOwnChild() throws IOException {
        long root = superblock().rootPage();
        setValue(root, 1, root);
        assertCorrupt("map page is node 0 of level 1 (store 12345678), expected node 1 of level 0 (store 12345678)");
    }

    @Test
    void twoNodesThatShareAPage() throws IOException {
        long root = superblock().rootPage();
        setValue(root, 1, value(root, 0));
        assertCorrupt("map page is node 0 of level 0 (store 12345678), expected node 1 of level 0");
    }

    @Test
    void mapPagesInTheHeaderTheJournalAndPastTheEnd() throws IOException {
        long root = superblock().rootPage();
        long last = image.size() / 4096 - 1;
        for (long number : new long[] {1, 16, last + 1, Long.MAX_VALUE, -1}) {
            setValue(root, 1, number);
            assertCorrupt("map node 1 of level 0 is at page " + number + ", expected 17.." + last);
        }
    }

    @Test
    void rootPastTheEnd() throws IOException {
        Superblock s = superblock();
        rewrite(s.advanced(1L << 40, s.journalHead(), Superblock.CLEAN));
        assertCorrupt("map node 0 of level 1 is at page 1099511627776");
    }

    @Test
    void childBeyondTheDevice() throws IOException {
        long root = superblock().rootPage();
        setValue(root, 3, value(root, 0));
        assertCorrupt("map page has a child 3 on level 0, expected fewer than 3");
    }

    @Test
    void entryBeyondTheDevice() throws IOException {
        long root = superblock().rootPage();
        setValue(root, 2, newPage(2, 0, CHUNKS - 2 * MapPage.FANOUT, RemapEntry.ZERO));
        assertCorrupt("map has an entry for chunk 1200, the device has 1200");
    }

    @Test
    void slotOwnedTwice() throws IOException {
        long leaf = value(superblock().rootPage(), 0);
        setValue(leaf, 5, value(leaf, 0));
        assertCorrupt("of chunk 5 has another owner, too");
    }

    @Test
    void slotThatIsAMapPage() throws IOException {
        long leaf = value(superblock().rootPage(), 0);
        setValue(leaf, 5, RemapEntry.slot(leaf));
        assertCorrupt("of chunk 5 has another owner, too");
    }

    @Test
    void slotsOutsideTheData() throws IOException {
        long leaf = value(superblock().rootPage(), 0);
        long last = image.size() / CHUNK - 1;
        for (long slot : new long[] {0, 1, 16, last + 1, RemapEntry.MAX_SLOTS - 1}) {
            setValue(leaf, 5, RemapEntry.slot(slot));
            assertCorrupt(String.format(
                    "chunk 5 is in slot %d and ends at 0x%x, expected slots from 17 on and an end by 0x%x",
                    slot, (slot + 1) * CHUNK, image.size()));
        }
    }

    @Test
    void entryOfNoKind() throws IOException {
        long leaf = value(superblock().rootPage(), 0);
        for (long entry : new long[] {1, RemapEntry.ZERO | 1, -1, 0xc000000000000000L, 0xa000000000000011L}) {
            setValue(leaf, 5, entry);
            assertCorrupt(String.format("map entry of chunk 5 is 0x%016x, no known kind", entry));
        }
    }

    @Test
    void blocksThatDoNotExistOrAllOfThemMissing() throws IOException {
        long leaf = value(superblock().rootPage(), 0);
        // A chunk of 4 KiB is one block.
        for (int missing : new int[] {1, 2, 0x8000, 0xffff}) {
            setValue(leaf, 1, RemapEntry.withMissing(value(leaf, 1), missing));
            assertCorrupt(String.format(
                    "map entry of chunk 1 is 0x%016x, a slot without blocks 0x%x, expected some of 0x1",
                    value(leaf, 1), missing));
        }
    }

    @Test
    void blocksOfLargerChunks() throws IOException {
        image.truncate(0);
        UcowFormat.create(image, new Geometry(4 << 15, 15), null, StoreOptions.NONE, 64, STORE);
        try (CowDevice device = open()) {
            device.write(CHUNK, TestDevices.direct(new byte[] {1}, 0, 1));
        }
        long root = superblock().rootPage();
        long partial = value(root, 0);
        assertThat(RemapEntry.missing(partial)).isEqualTo(0xfd);
        for (int missing : new int[] {0xff, 0x100, 0x1fd, 0x80fd}) {
            setValue(root, 0, RemapEntry.withMissing(partial, missing));
            assertCorrupt(String.format("a slot without blocks 0x%x, expected some of 0xff", missing));
        }
        // The blocks of a slot lie in the file, those it lacks need not.
        setValue(root, 0, partial);
        long slot = (image.size() >>> 15) + 1;
        image.truncate((slot << 15) + 2 * CHUNK);
        setValue(root, 1, RemapEntry.withMissing(RemapEntry.slot(slot), 0xfc));
        open().close();
        long anotherRoot = superblock().rootPage();
        image.truncate((slot << 15) + 2 * CHUNK);
        setValue(anotherRoot, 1, RemapEntry.withMissing(RemapEntry.slot(slot), 0xf8));
        assertCorrupt(String.format("chunk 1 is in slot %d and ends at 0x%x", slot, (slot << 15) + 3 * CHUNK));
        setValue(anotherRoot, 1, RemapEntry.ZERO);
        makeUnclean();
        record(0, JournalRecord.REMAP, 2, 2, RemapEntry.withMissing(RemapEntry.slot(slot), 0xfe));
        assertCorrupt("record of type 1 for 2 chunks from 2 with entry 0x80");
        record(0, JournalRecord.REMAP, 2, 1, RemapEntry.withMissing(RemapEntry.slot(slot), 0xff));
        assertCorrupt("record of type 1 for 1 chunks from 2 with entry 0x80");
    }

    @Test
    void recordsThatCannotBe() throws IOException {
        makeUnclean();
        long slot = RemapEntry.slot(image.size() / CHUNK - 1);
        record Bad(int type, long chunk, int count, long value) {}
        for (Bad bad : new Bad[] {
            new Bad(3, 0, 1, 0),
            new Bad(0, 0, 1, 0),
            new Bad(1, 0, 0, slot),
            new Bad(1, 0, 257, RemapEntry.ZERO),
            new Bad(1, 0, -1, RemapEntry.ZERO),
            new Bad(1, CHUNKS, 1, RemapEntry.ZERO),
            new Bad(1, CHUNKS - 1, 2, RemapEntry.ZERO),
            new Bad(1, 0xffffffffL, 256, RemapEntry.ZERO),
            new Bad(1, 0, 1, 7)
        }) {
            record(0, bad.type, bad.chunk, bad.count, bad.value);
            assertCorrupt("journal record " + superblock().journalHead() + ": record of type " + bad.type);
        }
    }

    @Test
    void barrierThatCoversTheFuture() throws IOException {
        makeUnclean();
        long head = superblock().journalHead();
        for (long value : new long[] {head + 2, Long.MAX_VALUE, -1, Long.MIN_VALUE}) {
            record(1, JournalRecord.BARRIER, 0, 0, value);
            assertCorrupt("barrier covers up to " + value + ", expected at most " + (head + 1));
        }
    }

    /** The second chunk of the run would be in slot 2^40, whose low 40 bits are those of slot 0: the superblock. */
    @Test
    void runThatPassesTheLastSlot() throws IOException {
        makeUnclean();
        record(0, JournalRecord.REMAP, 10, 2, RemapEntry.slot(RemapEntry.MAX_SLOTS - 1));
        record(1, JournalRecord.REMAP, 10, 1, RemapEntry.ZERO);
        assertCorrupt("record of type 1 for 2 chunks from 10 with entry 0x800000ffffffffff cannot be");
    }

    @Test
    void fileThatEndsBeforeItsData() throws IOException {
        image.truncate(superblock().dataStart() - 1);
        assertCorrupt(
                "file has " + image.size() + " bytes, expected " + superblock().dataStart() + "..");
    }

    @Test
    void fileCutOffWithinAMapPage() throws IOException {
        image.truncate(image.size() - 1);
        assertCorrupt("expected 17..");
    }

    @Test
    void hugeSparseFileOpensInNoTime() throws IOException {
        for (int shift : new int[] {12, 16, 20}) {
            SparseFile huge = new SparseFile();
            UcowFormat.create(huge, new Geometry(1L << (shift + 32), shift), null, StoreOptions.NONE, 64, STORE);
            TestDevices.open(FORMAT, huge, NOTHING, TestDevices.BOOT)
                    .write(0, TestDevices.direct(new byte[] {1}, 0, 1));
            huge.truncate(1L << (shift + 33));
            long start = System.nanoTime();
            assertThat(FORMAT.check(huge, Path.of("x"), TestDevices.BOOT).corruptions())
                    .isEmpty();
            // Killed in this boot, so that free slots are looked for.
            try (CowDevice device = TestDevices.open(FORMAT, huge, NOTHING, TestDevices.BOOT)) {
                assertThat(TestDevices.read(device, 0, 1)).containsExactly(1);
            }
            assertThat(System.nanoTime() - start).isLessThan(4_000_000_000L);
            huge.truncate((1L << (shift + 33)) + 1);
            assertThatThrownBy(() -> TestDevices.open(FORMAT, huge, NOTHING, TestDevices.BOOT))
                    .isInstanceOf(CorruptStoreException.class)
                    .hasMessageContaining("file has " + huge.size() + " bytes, expected ");
        }
    }

    @Test
    void checkStopsAfterAThousandProblems() throws IOException {
        long root = superblock().rootPage();
        for (int leaf = 0; leaf < 3; leaf++) {
            int chunks = Math.min(MapPage.FANOUT, CHUNKS - leaf * MapPage.FANOUT);
            long number = newPage(leaf, 0, 0, -1);
            for (int i = 0; i < chunks; i++) {
                MapPage.setValue(page, 0, i, -1);
            }
            seal(number);
            setValue(root, leaf, number);
        }
        assertThat(check().corruptions()).hasSize(1001).last().asString().contains("more problems than the first 1000");
    }

    @Test
    void checkNamesEveryProblemAndGoesOn() throws IOException {
        long root = superblock().rootPage();
        long leaf = value(root, 0);
        setValue(leaf, 5, -1);
        setValue(leaf, 6, RemapEntry.slot(3));
        setValue(root, 2, 1);
        assertThat(check().corruptions()).hasSize(3).allMatch(line -> line.startsWith("/sparse.cow"));
    }

    private void assertCorrupt(String message) throws IOException {
        SparseFile before = image.copy();
        assertThat(check().corruptions()).isNotEmpty().anyMatch(line -> line.contains(message));
        assertThatThrownBy(this::open)
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageStartingWith("/sparse.cow")
                .hasMessageContaining(message);
        assertThat(image.sameAs(before)).isTrue();
    }

    private CheckReport check() throws IOException {
        return FORMAT.check(image, Path.of("x"), TestDevices.BOOT);
    }

    private CowDevice open() throws IOException {
        return TestDevices.open(FORMAT, image, NOTHING, TestDevices.BOOT);
    }

    private Superblock superblock() throws IOException {
        ByteBuffer head = ByteBuffer.allocateDirect(8192).order(ByteOrder.LITTLE_ENDIAN);
        image.read(head, 0);
        boolean second = Superblock.hasMagic(head, 4096)
                && (!Superblock.hasMagic(head, 0)
                        || Superblock.generation(head, 4096) > Superblock.generation(head, 0));
        return Superblock.decode(head, second ? 4096 : 0, "x");
    }

    private void rewrite(Superblock superblock) throws IOException {
        superblock.encode(page, MapPage.levels(superblock.geometry().chunkCount()));
        image.write(page.clear(), superblock.offset());
    }

    private void makeUnclean() throws IOException {
        Superblock s = superblock();
        rewrite(s.advanced(s.rootPage(), s.journalHead(), TestDevices.BOOT));
    }

    private void record(int index, int type, long chunk, int count, long value) throws IOException {
        Superblock s = superblock();
        ByteBuffer record = ByteBuffer.allocateDirect(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        long seq = s.journalHead() + index;
        JournalRecord.encode(
                record, 0, JournalRecord.salted(Superblock.bytes(s.uuid())), type, seq, chunk, count, value);
        image.write(record, s.journalOffset() + seq % s.journalCapacity() * JournalRecord.SIZE);
    }

    private long value(long number, int index) {
        image.read(page.clear(), number * 4096);
        return MapPage.value(page, 0, index);
    }

    private void setValue(long number, int index, long value) throws IOException {
        image.read(page.clear(), number * 4096);
        MapPage.setValue(page, 0, index, value);
        seal(number);
    }

    private void seal(long number) throws IOException {
        MapPage.seal(
                page,
                0,
                page.getLong(MapPage.GENERATION),
                page.getLong(MapPage.NODE),
                page.getInt(MapPage.LEVEL),
                page.getInt(MapPage.UUID));
        image.write(page.clear(), number * 4096);
    }

    /** Appends a page with one value. */
    private long newPage(long node, int level, int index, long value) throws IOException {
        long number = image.size() / 4096;
        for (int i = 0; i < MapPage.FANOUT; i++) {
            MapPage.setValue(page, 0, i, 0);
        }
        MapPage.setValue(page, 0, index, value);
        MapPage.seal(page, 0, 1, node, level, 0x12345678);
        image.write(page.clear(), number * 4096);
        return number;
    }
}
