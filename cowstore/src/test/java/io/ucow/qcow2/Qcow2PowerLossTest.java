package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.ExceptionStore;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.FaultFile;
import io.ucow.store.OriginReference;
import io.ucow.store.PowerLossScenario;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * G1, G2 and G3 for qcow2 images, as {@code PowerLossTest} has them for ucow's own. What each cut leaves is also checked:
 * leaks are all that may be wrong with it. Of some images {@code qemu-img check} is asked, too.
 */
@Execution(ExecutionMode.CONCURRENT)
class Qcow2PowerLossTest {
    /** So small a log that it is full all the time. */
    private static final int LOG_BYTES = 1024;

    private static final int LEAKS = 3;
    private static final int ASK_QEMU_EVERY = 400;
    private static final Path NAME = Path.of("vm.qcow2");
    private static final String BASE = "base.img";

    @TempDir
    Path directory;

    private final AtomicInteger verified = new AtomicInteger();

    /** Images with a backing file, so that there is a name in the way of the header extension. */
    private class Subject implements PowerLossScenario.Subject {
        private final Qcow2Format format = new Qcow2Format(LOG_BYTES);
        /** As for {@code create -o}; empty for none. */
        private final Map<String, String> options;

        Subject(Map<String, String> options) {
            this.options = options;
        }

        @Override
        public ExceptionStoreProvider format() {
            return format;
        }

        @Override
        public byte[] create(long sizeBytes, int chunkShift) throws IOException {
            FaultFile file = new FaultFile(new byte[0]);
            // A chunk is a cluster, but with extended L2 entries a subcluster, of 32.
            int clusterBytes = options.containsKey(ImageOptions.EXTENDED_L2) ? 32 << chunkShift : 1 << chunkShift;
            StoreOptions asked = StoreOptions.ofChunk(clusterBytes).withOwn(options);
            format.create(file, sizeBytes, OriginReference.ofPath(BASE, false), asked);
            return file.killedAt(file.eventCount());
        }

        @Override
        public void disturb(CowDevice device, ExceptionStore store, Random random) throws IOException {
            if (random.nextInt(50) == 0) {
                store.reclaim();
            }
        }

        @Override
        public void verify(byte[] image, UUID boot) throws IOException {
            CheckReport report = format.check(new FaultFile(image), NAME, boot);
            assertThat(report.corruptions()).isEmpty();
            assertThat(format.origin(new FaultFile(image), NAME).path()).isEqualTo(BASE);
            if (verified.incrementAndGet() % ASK_QEMU_EVERY == 0) {
                askQemu(image);
            }
        }
    }

    /** Images with an external data file, a raw one without a backing file. */
    private final class WithDataFile implements PowerLossScenario.Subject {
        private final TwoFiles files;
        private final Qcow2Format checking = new Qcow2Format(LOG_BYTES);

        WithDataFile(boolean raw) {
            this.files = new TwoFiles(directory.resolve("data"), raw);
        }

        @Override
        public ExceptionStoreProvider format() {
            return files.opener(LOG_BYTES);
        }

        @Override
        public byte[] create(long sizeBytes, int chunkShift) throws IOException {
            OriginReference origin = files.raw() ? null : OriginReference.ofPath(BASE, false);
            FaultFile both = files.create(sizeBytes, 1 << chunkShift, origin, sizeBytes);
            return both.killedAt(both.eventCount());
        }

        @Override
        public void verify(byte[] both, UUID boot) throws IOException {
            byte[] image = Arrays.copyOf(both, TwoFiles.IMAGE_BYTES);
            CheckReport report = checking.check(new FaultFile(image), NAME, boot);
            assertThat(report.corruptions()).isEmpty();
            if (verified.incrementAndGet() % ASK_QEMU_EVERY == 0) {
                Files.write(files.dataFile(), Arrays.copyOfRange(both, TwoFiles.IMAGE_BYTES, both.length));
                askQemu(image);
            }
        }
    }

    private void askQemu(byte[] image) throws IOException {
        if (!Qemu.areThere()) {
            return;
        }
        Path file = Files.createTempFile(directory, "cut", ".qcow2");
        Files.write(directory.resolve(BASE), new byte[0]);
        Files.write(file, image);
        try {
            Qemu.Result result = Qemu.run("qemu-img", "check", file);
            assertThat(result.status()).as(result.output()).isIn(0, LEAKS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
        Files.delete(file);
    }

    @ParameterizedTest(name = "seed {0}, chunk 2^{1}, {2} chunks, {3} threads, {5}")
    @CsvSource({
        "1, 12, 24, 1, 2, ",
        "2, 9, 100, 1, 1, ",
        "3, 12, 24, 4, 1, ",
        "4, 12, 24, 1, 1, compat=0.10",
        "5, 9, 100, 4, 1, extended_l2=on",
        "6, 9, 100, 1, 1, extended_l2=on",
    })
    void everyCutKeepsWhatWasPromised(long seed, int shift, int chunks, int threads, int lives, String option)
            throws Exception {
        Map<String, String> options = options(option);
        PowerLossScenario run = new PowerLossScenario(new Subject(options), seed, shift, chunks);
        run.generations(threads, lives);
        System.out.printf(
                "power loss of qcow2 %s: seed %d, chunk 2^%d, %d threads: %d cuts%n",
                options, seed, shift, threads, run.cuts());
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    /** Each file has its own sectors to lose, and its own syncs. */
    @ParameterizedTest(name = "seed {0}, {1} threads, raw {2}")
    @CsvSource({"6, 1, false", "7, 1, true", "8, 4, false"})
    void everyCutOfTwoFilesKeepsWhatWasPromised(long seed, int threads, boolean raw) throws Exception {
        PowerLossScenario run = new PowerLossScenario(new WithDataFile(raw), seed, 12, 24);
        run.generations(threads, 1);
        assertThat(run.cuts()).as("cuts").isGreaterThan(200);
    }

    /** An L2 entry is there before the data that it names. */
    @Test
    void checkerCatchesADataFileThatIsNotSynced() throws Exception {
        assertCaughtIn(
                seed -> new PowerLossScenario(new WithDataFile(false), seed, 12),
                session -> session.file.forgetting(
                        i -> session.file.events().get(i).offset() == TwoFiles.IMAGE_BYTES));
    }

    private static Map<String, String> options(String option) {
        return option == null ? Map.of() : Map.of(option.split("=", -1)[0], option.split("=", -1)[1]);
    }

    /** What the L2 tables are written after. */
    @ParameterizedTest
    @NullSource
    @ValueSource(strings = "extended_l2=on")
    void checkerCatchesEntriesBeforeTheirData(String option) throws Exception {
        assertCaught(option, session -> {
            List<FaultFile.Event> events = session.file.events();
            long table = table(session.file);
            return session.file.forgetting(i -> i + 1 < events.size() && isIn(events.get(i + 1), table));
        });
    }

    /** What clusters are let go of after. */
    @Test
    void checkerCatchesEntriesThatAreNotSynced() throws Exception {
        assertCaught(null, session -> {
            List<FaultFile.Event> events = session.file.events();
            long table = table(session.file);
            return session.file.forgetting(i -> i > 0 && isIn(events.get(i - 1), table));
        });
    }

    @Test
    void checkerCatchesATableThatIsNotSyncedBeforeItIsNamed() throws Exception {
        assertCaught(null, session -> {
            List<FaultFile.Event> events = session.file.events();
            long l1 = header(session.file).l1TableOffset();
            return session.file.forgetting(i -> i + 1 < events.size() && isIn(events.get(i + 1), l1));
        });
    }

    /** A kill must not lose what is in the log alone. */
    @ParameterizedTest
    @NullSource
    @ValueSource(strings = "extended_l2=on")
    void checkerCatchesALogThatIsNotWritten(String option) throws Exception {
        assertCaught(
                option,
                session -> session.file.replacing(
                        e -> e.data().length == 32 ? new FaultFile.Event(e.offset(), new byte[32], false) : e));
    }

    /** Power loss must void the log: what it names need not be there. */
    @Test
    void checkerCatchesALogThatCountsInAnotherBoot() throws Exception {
        PowerLossScenario run = new PowerLossScenario(new Subject(Map.of()), 1, 12);
        PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true, TestDevices.NEXT_BOOT);
        assertThatThrownBy(() -> run.verifyEveryCut(session))
                .isInstanceOfAny(AssertionError.class, CorruptStoreException.class)
                .hasMessageFindingMatch("power loss|log of pending entries is impossible");
    }

    private static Header header(FaultFile file) {
        return Header.decode(ByteBuffer.wrap(file.killedAt(file.eventCount())));
    }

    /** The image's only L2 table. */
    private static long table(FaultFile file) {
        long l1 = header(file).l1TableOffset();
        return L1Entry.offset(ByteBuffer.wrap(file.killedAt(file.eventCount())).getLong((int) l1));
    }

    private static boolean isIn(FaultFile.Event e, long cluster) {
        return e.data().length > 0 && e.offset() >= cluster && e.offset() < cluster + 4096;
    }

    private interface Tampering {
        FaultFile withBug(PowerLossScenario.Session session) throws IOException;
    }

    private void assertCaught(String option, Tampering bug) throws Exception {
        int chunkShift = option == null ? 12 : 9;
        int chunks = option == null ? 40 : 100;
        assertCaughtIn(seed -> new PowerLossScenario(new Subject(options(option)), seed, chunkShift, chunks), bug);
    }

    private static void assertCaughtIn(LongFunction<PowerLossScenario> scenario, Tampering bug) throws Exception {
        for (long seed = 1; seed < 30; seed++) {
            PowerLossScenario run = scenario.apply(seed);
            PowerLossScenario.Session session = run.run(run.newImage(), run.originStamps, 1, true);
            try {
                run.verifyEveryCut(session.with(bug.withBug(session)));
            } catch (AssertionError | IOException caught) {
                return;
            }
        }
        fail("the planted bug was not noticed");
    }
}
