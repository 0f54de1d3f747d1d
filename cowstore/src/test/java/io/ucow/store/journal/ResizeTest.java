package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.Origin;
import io.ucow.store.Preallocation;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.Superblock;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Devices that grow and shrink: what they gain is zeros, whatever the base or a slot has there. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ResizeTest {
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final Path NAME = Path.of("x");
    private static final long RECORDS = 64;
    private static final int VARIANTS = Integer.getInteger("ucow.powerloss.variants", 4);

    static Stream<Arguments> cases() {
        return IntStream.rangeClosed(Geometry.MIN_CHUNK_SHIFT, Geometry.MAX_CHUNK_SHIFT)
                .boxed()
                .flatMap(shift -> IntStream.range(0, 3).mapToObj(seed -> Arguments.of(shift, seed)));
    }

    /** Random writes, discards, sizes and openings against a byte array that gets the same ones. */
    @ParameterizedTest(name = "chunk 2^{0}, seed {1}")
    @MethodSource("cases")
    void deviceEqualsModel(int shift, int seed) throws IOException {
        Random random = new Random(seed * 37L + shift);
        // Of the smallest chunks so many that the map has now one level, now two.
        int largest = (shift == Geometry.MIN_CHUNK_SHIFT ? 700 : 7) << shift;
        byte[] base = new byte[seed == 0 ? largest / 3 + 5 : largest];
        random.nextBytes(base);
        Arrays.fill(base, base.length / 2, base.length / 2 + base.length / 8, (byte) 0);
        Origin origin = TestDevices.origin(base);
        SparseFile file = new SparseFile();
        byte[] model = Arrays.copyOf(base, 1 + random.nextInt(largest));
        UcowFormat.create(file, new Geometry(model.length, shift), null, options(seed == 2), RECORDS, new UUID(1, 2));
        for (int round = 0; round < 30; round++) {
            try (CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT)) {
                assertThat(device.sizeBytes()).isEqualTo(model.length);
                assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                        .as("round %d, %d bytes", round, model.length)
                        .isEqualTo(-1);
                change(device, model, random, 6);
            }
            int size = random.nextInt(3) == 0
                    ? Math.max(1, Math.min(largest, model.length + random.nextInt(9000) - 4500))
                    : 1 + random.nextInt(largest);
            FORMAT.resize(file, NAME, TestDevices.BOOT, origin, size, true);
            model = Arrays.copyOf(model, size);
            assertThat(FORMAT.check(file, NAME, TestDevices.BOOT).isSound())
                    .as("%s", FORMAT.check(file, NAME, TestDevices.BOOT))
                    .isTrue();
        }
    }

    private static StoreOptions options(boolean mapSetAside) {
        return StoreOptions.NONE.withPreallocation(mapSetAside ? Preallocation.METADATA : Preallocation.OFF);
    }

    private static void change(CowDevice device, byte[] model, Random random, int times) throws IOException {
        for (int i = 0; i < times; i++) {
            // Half of it about the end, where sizes make a difference.
            int from = random.nextInt(Math.min(model.length, random.nextBoolean() ? 10_000 : model.length));
            int at = random.nextBoolean() ? from : model.length - 1 - from;
            byte[] bytes = new byte[1 + random.nextInt(Math.min(model.length - at, 20_000))];
            if (random.nextInt(4) == 0) {
                device.discard(at, bytes.length);
            } else {
                random.nextBytes(bytes);
                device.write(at, TestDevices.direct(bytes, 0, bytes.length));
            }
            System.arraycopy(bytes, 0, model, at, bytes.length);
        }
    }

    /** Whenever it is cut short, the device has one of the two sizes, and all that it is to have with that. */
    @ParameterizedTest(name = "chunk 2^{0}, {1} to {2} bytes")
    @CsvSource({
        "12, 300000, 2500000", // another level of the map
        "12, 2500000, 300000",
        "12, 4095, 4097",
        "15, 100000, 400001",
        "15, 400001, 100000",
        "15, 131072, 131073",
        "16, 200000, 210000", // within a chunk
        "16, 210000, 200000"
    })
    void everyCutLeavesTheOldOrTheNew(int shift, int from, int to) throws IOException {
        for (int seed = 0; seed < 4; seed++) {
            Scenario scenario = new Scenario(shift, from, to, seed);
            int cuts = 0;
            for (int cut = scenario.begin; cut <= scenario.file.eventCount(); cut++) {
                scenario.verify(scenario.file.killedAt(cut));
                for (int v = 0; v < VARIANTS; v++) {
                    scenario.verify(scenario.file.powerLostAt(cut, scenario.random));
                }
                cuts++;
            }
            assertThat(cuts).isGreaterThan(4);
            assertThat(scenario.found).as("sizes found").containsOnly(true, false);
        }
    }

    @Test
    void checkerCatchesASuperblockBeforeWhatItRefersTo() {
        assertCaught((scenario, i) -> i == scenario.firstSuperblock() - 1);
    }

    @Test
    void checkerCatchesSpaceGivenBackTooEarly() {
        assertCaught((scenario, i) -> i > scenario.firstSuperblock());
    }

    private interface Planted {
        boolean forgets(Scenario scenario, int sync);
    }

    private static void assertCaught(Planted bug) {
        for (int seed = 0; seed < 20; seed++) {
            try {
                Scenario scenario = new Scenario(12, 2_500_000, 300_000, seed);
                FaultFile careless = scenario.file.forgetting(i -> i >= scenario.begin && bug.forgets(scenario, i));
                for (int cut = scenario.begin; cut <= careless.eventCount(); cut++) {
                    for (int v = 0; v < VARIANTS; v++) {
                        scenario.verify(careless.powerLostAt(cut, scenario.random));
                    }
                }
            } catch (AssertionError | IOException caught) {
                return;
            }
        }
        fail("the planted bug was not noticed");
    }

    /** One change of size, recorded. */
    private static final class Scenario {
        final Random random;
        final FaultFile file;
        final int begin;
        final List<Boolean> found = new ArrayList<>();
        private final Origin origin;
        private final byte[] before;
        private final byte[] after;

        Scenario(int shift, int from, int to, int seed) throws IOException {
            random = new Random(seed);
            byte[] base = new byte[Math.max(from, to) * 3 / 4];
            random.nextBytes(base);
            origin = TestDevices.origin(base);
            FaultFile first = new FaultFile(new byte[0]);
            UcowFormat.create(first, new Geometry(from, shift), null, options(seed % 2 == 1), RECORDS, new UUID(1, 2));
            before = Arrays.copyOf(base, from);
            try (CowDevice device = TestDevices.open(FORMAT, first, origin, TestDevices.BOOT)) {
                change(device, before, random, 30);
            }
            after = Arrays.copyOf(before, to);
            file = new FaultFile(first.killedAt(first.eventCount()));
            begin = file.eventCount();
            FORMAT.resize(file, NAME, TestDevices.BOOT, origin, to, true);
        }

        int firstSuperblock() {
            List<FaultFile.Event> events = file.events();
            int i = begin;
            while (events.get(i).isSync() || events.get(i).offset() > Superblock.SIZE) {
                i++;
            }
            return i;
        }

        /** Opens what is left, looks at all of it, and goes on with it. */
        void verify(byte[] left) throws IOException {
            PositionalFile image = new FaultFile(left);
            assertThat(FORMAT.check(image, NAME, TestDevices.NEXT_BOOT).corruptions())
                    .isEmpty();
            byte[] now;
            try (CowDevice device = TestDevices.open(FORMAT, image, origin, TestDevices.NEXT_BOOT)) {
                boolean grown = device.sizeBytes() == after.length;
                found.add(grown);
                now = grown ? after.clone() : before.clone();
                assertThat(device.sizeBytes()).isEqualTo(now.length);
                assertThat(Arrays.mismatch(TestDevices.read(device, 0, now.length), now))
                        .isEqualTo(-1);
                change(device, now, random, 3);
            }
            FORMAT.resize(image, NAME, TestDevices.NEXT_BOOT, origin, after.length, true);
            assertHolds(image, origin, Arrays.copyOf(now, after.length));
        }
    }

    /** From one leaf to the largest device and back: as many levels as there can be. */
    @Test
    void mapGetsAndLosesLevels() throws IOException {
        SparseFile file = new SparseFile();
        Origin origin = TestDevices.origin(new byte[0]);
        long small = 100 << 12;
        long large = Geometry.MAX_CHUNKS << 12;
        UcowFormat.create(file, new Geometry(small, 12), null, StoreOptions.NONE, RECORDS, new UUID(1, 2));
        write(file, origin, small - 8, 1);
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, large, false);
        assertThat(read(file, origin, small - 8)).isEqualTo(1);
        write(file, origin, large - 8, 2);
        write(file, origin, large / 3, 3);
        assertThat(read(file, origin, large - 8)).isEqualTo(2);
        long allocated = file.allocatedBytes();
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, small, true);
        assertThat(file.allocatedBytes()).isLessThan(allocated);
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, large, false);
        assertThat(read(file, origin, small - 8)).isEqualTo(1);
        assertThat(read(file, origin, large - 8)).isZero();
        assertThat(read(file, origin, large / 3)).isZero();
        assertThat(FORMAT.check(file, NAME, TestDevices.BOOT).isSound()).isTrue();
    }

    @Test
    void spaceOfWhatIsLostIsGivenBack() throws IOException {
        SparseFile file = new SparseFile();
        Origin origin = TestDevices.origin(new byte[0]);
        UcowFormat.create(file, new Geometry(4 << 20, 15), null, StoreOptions.NONE, RECORDS, new UUID(1, 2));
        long empty = file.allocatedBytes();
        try (CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT)) {
            device.write(0, ByteBuffer.allocateDirect(4 << 20));
        }
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 100_000, true);
        assertThat(file.allocatedBytes() - empty).isLessThanOrEqualTo((4 << 15) + (1 << 15));
    }

    @Test
    void shrinkingIsRefusedUnlessItIsMeant() throws IOException {
        SparseFile file = new SparseFile();
        UcowFormat.create(file, new Geometry(1 << 20, 12), null, StoreOptions.NONE, RECORDS, new UUID(1, 2));
        SparseFile before = file.copy();
        assertThatThrownBy(() ->
                        FORMAT.resize(file, NAME, TestDevices.BOOT, TestDevices.origin(new byte[0]), 1 << 19, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("would be lost; add --shrink");
        FORMAT.resize(file, NAME, TestDevices.BOOT, TestDevices.origin(new byte[0]), 1 << 20, false);
        for (long size : new long[] {0, (Geometry.MAX_CHUNKS << 12) + 1}) {
            assertThatThrownBy(() ->
                            FORMAT.resize(file, NAME, TestDevices.BOOT, TestDevices.origin(new byte[0]), size, true))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThat(file.sameAs(before)).isTrue();
    }

    @Test
    void fullDiskLeavesItAsItWas() throws IOException {
        SparseFile file = new SparseFile();
        byte[] base = new byte[1 << 20];
        new Random(1).nextBytes(base);
        Origin origin = TestDevices.origin(base);
        UcowFormat.create(file, new Geometry(500_000, 15), null, StoreOptions.NONE, RECORDS, new UUID(1, 2));
        write(file, origin, 300_000, 7);
        byte[] held = Arrays.copyOf(base, 500_000);
        ByteBuffer.wrap(held).putLong(300_000, 7);
        file.fillDisk();
        long allocated = file.allocatedBytes();
        assertThatThrownBy(() -> FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 900_000, false))
                .hasMessageContaining("ENOSPC");
        assertThat(file.allocatedBytes()).isEqualTo(allocated);
        assertHolds(file, origin, held);
        file.limitAllocationTo(Long.MAX_VALUE);
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 900_000, false);
        assertHolds(file, origin, Arrays.copyOf(held, 900_000));
    }

    /** The map of a larger device has more room of its own, which chunks may have already. */
    @Test
    void maxSizeKeepsRoomForTheMap() throws IOException {
        int chunk = 1 << 12;
        SparseFile file = new SparseFile();
        Origin origin = TestDevices.origin(new byte[0]);
        Geometry small = new Geometry(500L * chunk, 12);
        long dataStart = (64 << 10) + 4096;
        long max = dataStart + (PagePool.mostSlots(small, 0) + 400) * chunk;
        UcowFormat.create(file, small, null, StoreOptions.NONE.withMaxBytes(max), RECORDS, new UUID(1, 2));
        try (CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT)) {
            device.write(0, ByteBuffer.allocateDirect(300 * chunk));
        }
        // Twice 40 pages more, and there are 100.
        FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 40L * 508 * chunk, false);
        try (CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT)) {
            for (int i = 300; i < 310; i++) {
                device.write((long) i * chunk, ByteBuffer.allocateDirect(chunk));
            }
        }
        assertThatThrownBy(() -> FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 60L * 508 * chunk, false))
                .isInstanceOf(StoreFullException.class)
                .hasMessageContaining("no room for the map of a larger device");
        assertThatThrownBy(() -> FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 4000L * 508 * chunk, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is less than");
        assertThat(FORMAT.check(file, NAME, TestDevices.BOOT).isSound()).isTrue();
        assertThat(file.size()).isLessThanOrEqualTo(max);
    }

    @Test
    void storeWhoseMapIsStillInItsJournalIsRefused() throws IOException {
        SparseFile file = new SparseFile();
        Origin origin = TestDevices.origin(new byte[0]);
        UcowFormat.create(file, new Geometry(1 << 20, 12), null, StoreOptions.NONE, RECORDS, new UUID(1, 2));
        CowDevice killed = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT);
        killed.write(0, ByteBuffer.allocateDirect(8));
        assertThatThrownBy(() -> FORMAT.resize(file, NAME, TestDevices.BOOT, origin, 2 << 20, false))
                .isInstanceOf(StoreFullException.class)
                .hasMessageContaining("no room to write its map");
    }

    private static void write(PositionalFile file, Origin origin, long offset, long value) throws IOException {
        try (CowDevice device = TestDevices.open(FORMAT, file, origin, TestDevices.BOOT)) {
            device.write(offset, ByteBuffer.allocateDirect(8).putLong(0, value));
        }
    }

    private static long read(PositionalFile file, Origin origin, long offset) throws IOException {
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, file, origin, TestDevices.BOOT)) {
            ByteBuffer value = ByteBuffer.allocateDirect(8);
            device.read(offset, value);
            return value.getLong(0);
        }
    }

    private static void assertHolds(PositionalFile file, Origin origin, byte[] expected) throws IOException {
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, file, origin, TestDevices.NEXT_BOOT)) {
            assertThat(device.sizeBytes()).isEqualTo(expected.length);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, expected.length), expected))
                    .isEqualTo(-1);
        }
    }
}
