package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.ucow.store.Compression;
import io.ucow.store.CowDevice;
import io.ucow.store.ExceptionStore;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.PowerLossScenario;
import io.ucow.store.Preallocation;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * G1, G2 and G3: a recorded run of the store is cut at every call; what power loss or a kill may leave there is opened
 * again and every sector compared with what the guest was promised.
 *
 * <p>{@code -Ducow.powerloss.seed=N} runs one more seed, {@code -Ducow.powerloss.variants=N} tries more outcomes of each
 * cut.
 */
@Execution(ExecutionMode.CONCURRENT)
class PowerLossTest {
    private static final UUID STORE = new UUID(7, 9);

    /** ucow's own format, with all that its maintenance does. */
    private record Native(Compression compression, boolean checksums, Preallocation preallocation)
            implements PowerLossScenario.Subject {
        @Override
        public ExceptionStoreProvider format() {
            return new UcowFormat();
        }

        @Override
        public byte[] create(long sizeBytes, int chunkShift) throws IOException {
            FaultFile file = new FaultFile(new byte[0]);
            // So small a journal that checkpoints and the ring's wrap-around happen all the time.
            OriginReference base = new OriginReference("base", sizeBytes, 0, 0, "00".repeat(32), false);
            Geometry geometry = new Geometry(sizeBytes, chunkShift);
            UcowFormat.create(
                    file,
                    geometry,
                    base,
                    StoreOptions.NONE
                            .withCodec(compression.label())
                            .withChecksums(checksums)
                            .withPreallocation(preallocation),
                    64,
                    STORE);
            return file.killedAt(file.eventCount());
        }

        @Override
        public void disturb(CowDevice device, ExceptionStore store, Random r) throws IOException {
            if (r.nextInt(8) == 0) {
                // What the maintenance thread does whenever it comes round to it.
                ((UcowStore) store).giveBack();
            }
            if (compression != Compression.NONE && r.nextInt(6) == 0) {
                long[] chunks =
                        r.longs(1 + r.nextInt(12), 0, PowerLossScenario.CHUNKS).toArray();
                // In a device one thread alone packs; here each guest does, in turn.
                synchronized (store.packer()) {
                    device.relocate(chunks, chunks.length, store.packer());
                }
            }
            if (r.nextInt(16) == 0) {
                TestDevices.move(
                        device,
                        r.longs(1 + r.nextInt(5), 0, PowerLossScenario.CHUNKS).toArray());
            } else if (r.nextInt(60) == 0) {
                TestDevices.compact(device);
            }
        }
    }

    private static PowerLossScenario scenario(long seed, int shift, Compression compression, boolean checksums) {
        Preallocation some = seed % 4 == 3 ? Preallocation.METADATA : Preallocation.OFF;
        return new PowerLossScenario(new Native(compression, checksums, some), seed, shift);
    }

    @ParameterizedTest(name = "seed {0}, chunk 2^{1}, {2} threads")
    @CsvSource({
        "1, 12, 1",
        "2, 12, 1",
        "3, 12, 1",
        "4, 12, 1",
        "5, 13, 1",
        "6, 13, 1",
        "7, 16, 1",
        "8, 12, 4",
        "9, 12, 4",
        "10, 13, 4",
        "11, 14, 2",
        "12, 15, 1",
        "13, 14, 4"
    })
    void everyCutKeepsWhatWasPromised(long seed, int shift, int threads) throws Exception {
        PowerLossScenario run = scenario(seed, shift, Compression.NONE, false);
        run.generations(threads);
        System.out.printf("power loss: seed %d, chunk 2^%d, %d threads: %d cuts%n", seed, shift, threads, run.cuts());
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    @ParameterizedTest(name = "seed {0}, chunk 2^{1}, {2} threads, compressed")
    @CsvSource({"21, 14, 1", "22, 14, 3"})
    void everyCutKeepsWhatWasPromisedOfCompressedChunks(long seed, int shift, int threads) throws Exception {
        PowerLossScenario run = scenario(seed, shift, Compression.LZ4, false);
        run.generations(threads);
        System.out.printf("power loss: seed %d, chunk 2^%d, compressed: %d cuts%n", seed, shift, run.cuts());
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    /** No block may become unreadable, whenever its checksum and it were parted. */
    @ParameterizedTest(name = "seed {0}, chunk 2^{1}, {2} threads, checksums, {3}")
    @CsvSource({"31, 12, 1, NONE", "32, 13, 1, NONE", "33, 15, 1, NONE", "34, 14, 4, NONE", "35, 14, 1, LZ4"})
    void everyCutKeepsWhatWasPromisedWithChecksums(long seed, int shift, int threads, Compression compression)
            throws Exception {
        PowerLossScenario run = scenario(seed, shift, compression, true);
        run.generations(threads);
        System.out.printf("power loss: seed %d, chunk 2^%d, checksums: %d cuts%n", seed, shift, run.cuts());
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    @Test
    void checkerCatchesAnOverwriteThatIsNotAnnouncedDurably() throws Exception {
        assertCaught(12, true, session -> {
            List<FaultFile.Event> events = session.file.events();
            return session.file.forgetting(i -> i > 0 && isRecord(events.get(i - 1), JournalRecord.OVERWRITE));
        });
    }

    /** The record is lost, as if recovery took no notice of it. */
    @Test
    void checkerCatchesAnOverwriteThatIsNotAnnounced() throws Exception {
        assertCaught(
                12,
                true,
                session -> session.file.replacing(e -> isRecord(e, JournalRecord.OVERWRITE)
                        ? new FaultFile.Event(e.offset(), new byte[JournalRecord.SIZE], false)
                        : e));
    }

    /** Chunks were packed, and lost their place again. */
    @Test
    void theScenarioPacks() throws Exception {
        PowerLossScenario run = scenario(21, 14, Compression.LZ4, false);
        PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true);
        long packed = session.file.events().stream()
                .filter(PowerLossTest::isRemap)
                .filter(e -> RemapEntry.isPacked(JournalRecord.value(record(e), 0)))
                .count();
        assertThat(packed).as("records of packed chunks").isGreaterThan(10);
    }

    @Test
    void aSeedGivenByHandHoldsToo() throws Exception {
        long seed = Long.getLong("ucow.powerloss.seed", 20261122);
        System.out.printf("power loss: -Ducow.powerloss.seed=%d%n", seed);
        scenario(seed, 12, Compression.NONE, false).generations(1);
    }

    @Test
    void checkerCatchesABarrierWithoutDataSync() throws Exception {
        assertCaught((events, i) -> i + 1 < events.size() && isBarrier(events.get(i + 1)));
    }

    @Test
    void checkerCatchesABarrierThatIsNotSynced() throws Exception {
        assertCaught((events, i) -> i > 0 && isBarrier(events.get(i - 1)));
    }

    @Test
    void checkerCatchesACheckpointWithoutDataSync() throws Exception {
        assertCaught((events, i) -> i + 1 < events.size()
                && events.get(i + 1).offset() <= Superblock.SIZE
                && events.get(i + 1).data().length == Superblock.SIZE);
    }

    @Test
    void checkerCatchesAStoreThatForgetsWhichBlocksAreMissing() throws Exception {
        assertCaught(15, session -> session.file.replacing(PowerLossTest::withoutMask));
    }

    /** What is cut off must be what nothing durable names any more. */
    @Test
    void checkerCatchesACutBeforeTheBarrier() throws Exception {
        assertCaught((events, i) -> {
            int next = i + 1;
            while (next < events.size() && !events.get(next).isSync()) {
                if (events.get(next++).isCut()) {
                    return true;
                }
            }
            return false;
        });
    }

    @Test
    void slotsAreFilledBlockByBlock() throws Exception {
        PowerLossScenario run = scenario(1, 15, Compression.NONE, false);
        PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true);
        Set<Long> slots = new HashSet<>();
        long again = session.file.events().stream()
                .filter(PowerLossTest::isRemap)
                .mapToLong(e -> JournalRecord.value(record(e), 0))
                .filter(entry -> RemapEntry.isSlot(entry) && !slots.add(RemapEntry.slotOf(entry)))
                .count();
        assertThat(again).as("records that only clear bits of a mask").isGreaterThan(10);
    }

    /** A remap record as of a store that takes every slot for whole, its checksum right. */
    private static FaultFile.Event withoutMask(FaultFile.Event e) {
        if (!isRemap(e) || !RemapEntry.isPartial(JournalRecord.value(record(e), 0))) {
            return e;
        }
        ByteBuffer old = record(e);
        ByteBuffer whole = ByteBuffer.allocate(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        JournalRecord.encode(
                whole,
                0,
                JournalRecord.salted(Superblock.bytes(STORE)),
                JournalRecord.REMAP,
                old.getLong(JournalRecord.SEQ),
                JournalRecord.chunk(old, 0),
                (int) JournalRecord.count(old, 0),
                RemapEntry.withMissing(JournalRecord.value(old, 0), 0));
        return new FaultFile.Event(e.offset(), whole.array(), false);
    }

    private interface Planted {
        boolean forgets(List<FaultFile.Event> events, int sync);
    }

    private interface Tampering {
        FaultFile withBug(PowerLossScenario.Session session);
    }

    private static void assertCaught(Planted bug) throws Exception {
        assertCaught(12, session -> {
            List<FaultFile.Event> events = session.file.events();
            return session.file.forgetting(i -> bug.forgets(events, i));
        });
    }

    private static void assertCaught(int chunkShift, Tampering bug) throws Exception {
        assertCaught(chunkShift, false, bug);
    }

    private static void assertCaught(int chunkShift, boolean checksums, Tampering bug) throws Exception {
        for (long seed = 1; seed < 30; seed++) {
            PowerLossScenario run = scenario(seed, chunkShift, Compression.NONE, checksums);
            PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true);
            try {
                run.verifyEveryCut(session.with(bug.withBug(session)));
            } catch (AssertionError | IOException caught) {
                return;
            }
        }
        fail("the planted bug was not noticed");
    }

    private static boolean isBarrier(FaultFile.Event e) {
        return isRecord(e, JournalRecord.BARRIER);
    }

    private static boolean isRemap(FaultFile.Event e) {
        return isRecord(e, JournalRecord.REMAP);
    }

    private static boolean isRecord(FaultFile.Event e, int type) {
        return e.data().length == JournalRecord.SIZE && JournalRecord.type(record(e), 0) == type;
    }

    private static ByteBuffer record(FaultFile.Event e) {
        return ByteBuffer.wrap(e.data()).order(ByteOrder.LITTLE_ENDIAN);
    }
}
