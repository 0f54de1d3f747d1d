package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.GracePeriod;
import io.ucow.store.Origin;
import io.ucow.store.RepairReport;
import io.ucow.store.RepairReport.LostRange;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Damage of each kind, and what is left after repair: every chunk has its own bytes or is reported lost, and none has
 * another's. Each chunk is full of a stamp, its own number and that of the write.
 */
@Timeout(60)
class RepairTest {
    /** Three leaves below one root. */
    private static final int CHUNKS = 1200;

    private static final int SHIFT = 12;
    private static final int JOURNAL = 128;
    private static final UUID STORE = new UUID(0x1234567890abcdefL, 42);
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final Origin NOTHING = TestDevices.origin(new byte[0]);
    private static final Path NAME = Path.of("x");

    private final SparseFile image = new SparseFile();
    /** What a chunk was last written with, 0 for zeros. */
    private final int[] model = new int[CHUNKS];

    private final Random random = new Random(7);
    private int writes;

    /** One session at work on the store. */
    private final class Session {
        private final UcowStore store;
        private final CowDevice device;

        Session(UUID boot) throws IOException {
            GracePeriod readers = new GracePeriod();
            store = UcowStore.open(image, NAME, new StoreContext(false, boot, readers, false));
            device = TestDevices.over(store, NOTHING, readers);
        }

        Session write(int... chunks) throws IOException {
            for (int chunk : chunks) {
                model[chunk] = ++writes;
                ByteBuffer bytes = ByteBuffer.allocateDirect(1 << SHIFT);
                while (bytes.hasRemaining()) {
                    bytes.putInt(chunk).putInt(writes);
                }
                device.write((long) chunk << SHIFT, bytes.flip());
            }
            return this;
        }

        Session discard(int chunk) throws IOException {
            device.discard((long) chunk << SHIFT, 1 << SHIFT);
            model[chunk] = 0;
            return this;
        }

        /** Freed slots may be used again. */
        Session flush() throws IOException {
            device.flush();
            store.giveBack();
            return this;
        }

        /** Any of these, {@code count} times. */
        Session work(int count) throws IOException {
            for (int i = 0; i < count; i++) {
                int chunk = random.nextInt(CHUNKS);
                switch (random.nextInt(6)) {
                    case 0, 1 -> discard(chunk);
                    case 2 -> flush();
                    default -> write(chunk);
                }
            }
            return this;
        }

        void close() throws IOException {
            device.close();
        }
    }

    private Session open() throws IOException {
        return new Session(TestDevices.BOOT);
    }

    private void create() throws IOException {
        UcowFormat.create(image, new Geometry((long) CHUNKS << SHIFT, SHIFT), null, StoreOptions.NONE, JOURNAL, STORE);
    }

    @Test
    void soundImageStaysAsItIs() throws IOException {
        create();
        open().write(1, 600).close();
        SparseFile before = image.copy();
        RepairReport report = repair(image);
        assertThat(report.found().isSound()).isTrue();
        assertThat(report.metadataCopy()).isEmpty();
        assertThat(image.sameAs(before)).isTrue();
    }

    @Test
    void leaksAreGivenBack() throws IOException {
        create();
        open().write(1, 600).close();
        image.write(TestDevices.direct(new byte[] {1}, 0, 1), image.size() + (1 << SHIFT));
        assertThat(FORMAT.check(image, NAME, TestDevices.BOOT).leakedBytes()).isPositive();
        repairAndExpect();
    }

    @Test
    void eitherSuperblockIsRebuiltFromTheOther() throws IOException {
        create();
        open().write(1, 600).close();
        for (int place = 0; place < 2; place++) {
            if (superblock().offset() != place * 4096L) {
                garble(place * 4096L + 100);
                assertThat(check()).singleElement().asString().contains("at 0x" + Integer.toHexString(place * 4096));
                repairAndExpect();
                assertThat(intactSuperblocks()).isEqualTo(2);
            }
        }
    }

    @Test
    void withoutAnySuperblockNothingIsChanged() throws IOException {
        create();
        open().write(1).close();
        garble(100);
        garble(4196);
        SparseFile before = image.copy();
        RepairReport report = repair(image);
        assertThat(report.obstacle()).get().asString().contains("both superblocks are damaged");
        assertThat(image.sameAs(before)).isTrue();
    }

    @Test
    void journalToldOfALostSuperblock() throws IOException {
        create();
        open().write(1).close();
        open().write(2).flush();
        garble(superblock().offset() + 100);
        assertThat(check()).anyMatch(line -> line.contains("written under a newer superblock"));
        assertThat(repair(image).obstacle()).get().asString().contains("newer superblock is lost");
    }

    @Test
    void leafIsRebuiltFromTheOneBeforeAndTheJournal() throws IOException {
        create();
        open().write(1, 2, 600).close();
        Session session = open().write(3, 601).discard(2);
        for (int chunk = 100; session.store.stats().checkpoints() < 2; chunk++) {
            session.write(chunk);
        }
        session.flush();
        damageNode(0, 0);
        assertThat(check()).singleElement().asString().contains("map page has crc");
        assertThat(repairAndExpect()).isEmpty();
    }

    @Test
    void rootIsFoundAgainThroughItsLeaves() throws IOException {
        create();
        open().write(1, 2, 600).close();
        // Nothing of the map is written in this session: both superblocks have the same root.
        open().write(3).flush();
        damageNode(1, 0);
        List<LostRange> lost = repairAndExpect();
        // Whether the third leaf ever was, nobody knows.
        assertThat(lost).containsExactly(new LostRange(1016L << SHIFT, (long) (CHUNKS - 1016) << SHIFT));
    }

    @Test
    void leafThatIsNowhereElseIsLostButForTheJournal() throws IOException {
        create();
        open().write(1, 2, 600).close();
        open().write(3).flush();
        damageNode(0, 0);
        List<LostRange> lost = repairAndExpect();
        assertThat(lost)
                .containsExactly(new LostRange(0, 3L << SHIFT), new LostRange(4L << SHIFT, (508L - 4) << SHIFT));
    }

    @Test
    void staleLeafDoesNotGetSlotsThatOthersHaveNow() throws IOException {
        create();
        open().write(1, 2, 600).close();
        for (int i = 0; i < 6; i++) {
            open().discard(1 + i).flush().write(2 + i, 700 + i).close();
        }
        open().discard(3).flush().write(9).flush();
        SparseFile before = image.copy();
        for (int leaf = 0; leaf < 2; leaf++) {
            copyFrom(before);
            damageNode(1, 0);
            zeroNode(before, 0, leaf);
            repairAndExpect();
        }
    }

    @Test
    void newerOfTwoOwnersKeepsTheSlot() throws IOException {
        create();
        open().write(1, 2, 600).close();
        open().write(3).flush();
        Superblock s = superblock();
        long slot = value(leafOf(0), 2);
        record(s, s.journalHead() + 5, 700, slot);
        record(s, JournalRecord.BARRIER, s.journalHead() + 6, 0, 0, s.journalHead() + 6);
        assertThat(check()).anyMatch(line -> line.contains("has another owner"));
        assertThat(repair(image).lost()).containsExactly(new LostRange(2L << SHIFT, 1 << SHIFT));
        assertThat(check()).isEmpty();
    }

    @Test
    void oneDamagedRecordIsFoundAndItsChunkLost() throws IOException {
        create();
        open().write(1, 2).close();
        open().write(3, 4, 5).flush();
        Superblock s = superblock();
        garble(s.journalOffset() + (s.journalHead() + 1) % JOURNAL * JournalRecord.SIZE + 20);
        assertThat(check()).singleElement().asString().contains("damaged, expected a record");
        model[4] = 0;
        assertThat(repairAndExpect()).isEmpty();
    }

    @Test
    void severalDamagedRecordsAreTooMany() throws IOException {
        create();
        open().write(1, 2).close();
        open().write(3, 4, 5).flush();
        Superblock s = superblock();
        for (int i = 0; i < 2; i++) {
            garble(s.journalOffset() + (s.journalHead() + i) % JOURNAL * JournalRecord.SIZE + 20);
        }
        SparseFile before = image.copy();
        assertThat(check()).hasSize(2);
        assertThat(repair(image).obstacle()).get().asString().contains("2 records of the journal are damaged");
        assertThat(image.sameAs(before)).isTrue();
    }

    @Test
    void recordsThatNoBarrierCoversAreNoDamage() throws IOException {
        create();
        open().write(1).flush().write(2);
        Superblock s = superblock();
        garble(s.journalOffset() + (s.journalHead() + 2) % JOURNAL * JournalRecord.SIZE + 20);
        assertThat(FORMAT.check(image, NAME, TestDevices.NEXT_BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void metadataCopyPutsEverythingBack() throws IOException {
        create();
        open().write(1, 2, 600).close();
        open().write(3).flush();
        damageNode(1, 0);
        SparseFile before = image.copy();
        SparseFile copy = new SparseFile();
        FORMAT.repair(image, NAME, TestDevices.BOOT, content -> {
            content.writeTo(copy);
            return NAME;
        });
        ByteBuffer page = ByteBuffer.allocateDirect(4096);
        for (long at = copy.seekData(0); at < copy.size(); at = copy.seekData(at + 4096)) {
            copy.read(page.clear(), at);
            image.write(page.flip(), at);
        }
        assertThat(FORMAT.check(image, NAME, TestDevices.BOOT).corruptions())
                .isEqualTo(FORMAT.check(before, NAME, TestDevices.BOOT).corruptions());
        repairAndExpect();
    }

    /** Any map pages damaged after any work: a chunk has its bytes or is reported, and nobody has another's. */
    @Test
    void randomDamageToTheMapNeverGivesForeignBytes() throws IOException {
        int lossy = 0;
        for (int seed = 0; seed < 100; seed++) {
            image.truncate(0);
            random.setSeed(seed);
            java.util.Arrays.fill(model, 0);
            create();
            for (int i = random.nextInt(4); i >= 0; i--) {
                open().work(1 + random.nextInt(150)).close();
            }
            if (random.nextBoolean()) {
                open().work(1 + random.nextInt(150)).flush();
            }
            List<Long> pages = mapPages();
            for (int i = random.nextInt(3); i >= 0 && !pages.isEmpty(); i--) {
                long at = pages.get(random.nextInt(pages.size())) * 4096;
                if (random.nextBoolean()) {
                    garble(at + random.nextInt(4096));
                } else {
                    image.punchHole(at, 4096);
                }
            }
            try {
                lossy += repairAndExpect().isEmpty() ? 0 : 1;
            } catch (AssertionError e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
        assertThat(lossy).isBetween(5, 95);
    }

    /** A kill, or power loss, at every call: what is left can be repaired, to the same end. */
    @Test
    void killedAtEveryWrite() throws IOException {
        create();
        open().write(1, 2, 600).close();
        open().write(3, 700).discard(1).flush();
        damageNode(1, 0);
        ByteBuffer all = ByteBuffer.allocate((int) image.size());
        image.read(all, 0);
        FaultFile recorded = new FaultFile(all.array());
        List<LostRange> lost = repair(recorded).lost();
        assertThat(recorded.eventCount()).isGreaterThan(6);
        for (int cut = 0; cut <= recorded.eventCount(); cut++) {
            List<byte[]> states = new ArrayList<>(List.of(recorded.killedAt(cut)));
            for (int i = 0; i < 5; i++) {
                states.add(recorded.powerLostAt(cut, random));
            }
            for (byte[] state : states) {
                copyFrom(new SparseFile(state));
                RepairReport again = repair(image);
                assertThat(again.obstacle()).isEmpty();
                expectContent(lost);
                assertThat(check()).isEmpty();
            }
        }
    }

    private List<LostRange> repairAndExpect() throws IOException {
        RepairReport report = repair(image);
        assertThat(report.obstacle()).isEmpty();
        assertThat(report.metadataCopy().isPresent()).isEqualTo(!report.found().isSound());
        assertThat(check()).isEmpty();
        assertThat(FORMAT.check(image, NAME, TestDevices.BOOT).leakedBytes()).isZero();
        expectContent(report.lost());
        SparseFile repaired = image.copy();
        assertThat(repair(image).metadataCopy()).isEmpty();
        assertThat(image.sameAs(repaired)).as("idempotent").isTrue();
        return report.lost();
    }

    private void expectContent(List<LostRange> lost) throws IOException {
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, image, NOTHING, TestDevices.BOOT)) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(1 << SHIFT);
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                device.read((long) chunk << SHIFT, bytes.clear());
                bytes.flip();
                long offset = (long) chunk << SHIFT;
                boolean isLost = lost.stream()
                        .anyMatch(r -> r.guestOffset() <= offset && offset < r.guestOffset() + r.lengthBytes());
                boolean reads = model[chunk] != 0 && !isLost;
                for (int at = 0; at < 1 << SHIFT; at += 8) {
                    if (bytes.getInt(at) != (reads ? chunk : 0) || bytes.getInt(at + 4) != (reads ? model[chunk] : 0)) {
                        throw new AssertionError("chunk " + chunk + " at " + at + " has write " + bytes.getInt(at + 4)
                                + " to " + bytes.getInt(at) + ", expected " + model[chunk]
                                + (isLost ? ", reported lost" : ""));
                    }
                }
            }
        }
    }

    private static RepairReport repair(PositionalFile file) throws IOException {
        return FORMAT.repair(file, NAME, TestDevices.BOOT, content -> {
            content.writeTo(new SparseFile());
            return NAME;
        });
    }

    private List<String> check() throws IOException {
        return FORMAT.check(image, NAME, TestDevices.BOOT).corruptions();
    }

    private Superblock superblock() throws IOException {
        return Recovery.readSuperblock(image);
    }

    private int intactSuperblocks() {
        return (Superblock.isIntact(page(image, 0), 0) ? 1 : 0) + (Superblock.isIntact(page(image, 1), 0) ? 1 : 0);
    }

    private static ByteBuffer page(SparseFile file, long number) {
        ByteBuffer page = ByteBuffer.allocateDirect(4096).order(ByteOrder.LITTLE_ENDIAN);
        file.read(page, number * 4096);
        return page.clear();
    }

    private long value(long page, int index) {
        return MapPage.value(page(image, page), 0, index);
    }

    private long leafOf(int leaf) throws IOException {
        return value(superblock().rootPage(), leaf);
    }

    private void damageNode(int level, int node) throws IOException {
        garble((level == 1 ? superblock().rootPage() : leafOf(node)) * 4096 + 50);
    }

    /** Wipes a leaf; {@code sound} still has its parent. */
    private void zeroNode(SparseFile sound, int level, int leaf) throws IOException {
        assertThat(level).isZero();
        long root = Recovery.readSuperblock(sound).rootPage();
        image.punchHole(MapPage.value(page(sound, root), 0, leaf) * 4096, 4096);
    }

    private List<Long> mapPages() {
        List<Long> pages = new ArrayList<>();
        for (long number = 2; number < image.size() / 4096; number++) {
            if (page(image, number).getInt(MapPage.MAGIC) == MapPage.MAGIC_VALUE) {
                pages.add(number);
            }
        }
        return pages;
    }

    private void garble(long offset) throws IOException {
        image.write(TestDevices.direct(new byte[] {(byte) ~image.byteAt(offset)}, 0, 1), offset);
    }

    private void record(Superblock s, long seq, long chunk, long entry) throws IOException {
        record(s, JournalRecord.REMAP, seq, chunk, 1, entry);
    }

    private void record(Superblock s, int type, long seq, long chunk, int count, long value) throws IOException {
        ByteBuffer record = ByteBuffer.allocateDirect(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        JournalRecord.encode(
                record, 0, JournalRecord.salted(Superblock.bytes(s.uuid())), type, seq, chunk, count, value);
        image.write(record, s.journalOffset() + seq % s.journalCapacity() * JournalRecord.SIZE);
    }

    private void copyFrom(SparseFile other) throws IOException {
        image.truncate(0);
        image.truncate(other.size());
        for (long at = other.seekData(0); at < other.size(); at = other.seekData(at + 4096)) {
            int n = (int) Math.min(4096, other.size() - at);
            image.write(page(other, at / 4096).limit(n), at);
        }
    }
}
