package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.DamagedBlockException;
import io.ucow.store.Geometry;
import io.ucow.store.HookedFile;
import io.ucow.store.HookedFile.Call;
import io.ucow.store.Origin;
import io.ucow.store.OriginReference;
import io.ucow.store.RepairReport;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.parallel.Isolated;

/**
 * G7: hostile images are opened, read, checked and written to. Mutations know the format, and most of them put the
 * checksums right again, or no hostile value would get past them.
 *
 * <p>{@code -Ducow.fuzz.seed=N} runs one case again, {@code -Ducow.fuzz.first=N} and {@code -Ducow.fuzz.cases=M} explore.
 */
@Timeout(value = 180, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@Isolated("measures the heap")
class FuzzTest {
    private static final int CASES = Integer.getInteger("ucow.fuzz.cases", 4000);
    private static final long TOTAL_NANOS = TimeUnit.SECONDS.toNanos(35);
    private static final long CASE_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final long HEAP_BYTES = 64 << 20;
    private static final int READ_BYTES = 1 << 20;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final UUID STORE = new UUID(0x1234567890abcdefL, 42);
    private static final byte[] BASE = new byte[300_000];
    private static final OriginReference REFERENCE =
            new OriginReference("base.img", BASE.length, 1, 2, "ab".repeat(32), false);

    private static final long[] INTERESTING = {
        0,
        1,
        2,
        3,
        11,
        12,
        20,
        21,
        31,
        32,
        63,
        64,
        255,
        256,
        257,
        4096,
        8192,
        1 << 20,
        1 << 30,
        1L << 31,
        1L << 32,
        (1L << 32) - 1,
        1L << 39,
        (1L << 40) - 1,
        1L << 40,
        1L << 44,
        1L << 52,
        1L << 53,
        1L << 61,
        1L << 62,
        Long.MAX_VALUE / 2,
        Long.MAX_VALUE - 1,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        -1,
        -2,
        -256,
        -4096
    };
    /** Offset and width of every field of a superblock. */
    private static final int[][] SUPERBLOCK_FIELDS = {
        {0, 8}, {8, 4}, {12, 4}, {16, 8}, {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 4}, {60, 4}, {64, 8}, {72, 8},
        {80, 8}, {88, 8}, {96, 8}, {104, 8}, {112, 8}, {120, 8}, {128, 8}, {136, 8}, {144, 8}, {152, 8}, {160, 8},
        {168, 8}, {176, 4}, {180, 4}, {184, 8}, {216, 8}
    };

    private final List<SparseFile> seeds = new ArrayList<>();
    private int opened;
    private int refused;
    private int repaired;
    private String refusals = "";

    FuzzTest() throws IOException {
        int[][] shapes = {{12, 40, 64}, {12, 1600, 128}, {13, 600, 64}, {16, 20, 256}, {20, 3, 64}, {12, 1, 64}};
        for (int[] shape : shapes) {
            seeds.add(image(shape, "empty", false));
            seeds.add(image(shape, "clean", false));
            seeds.add(image(shape, "killed", false));
            seeds.add(image(shape, "flushed", false));
        }
        for (int i = 1; i < shapes.length; i += 2) {
            seeds.add(image(shapes[i], "clean", true));
            seeds.add(image(shapes[i], "killed", true));
        }
    }

    private static SparseFile image(int[] shape, String state, boolean checksums) throws IOException {
        SparseFile file = new SparseFile();
        Geometry geometry = new Geometry(((long) shape[1] << shape[0]) - 100, shape[0]);
        UcowFormat.create(file, geometry, REFERENCE, StoreOptions.NONE.withChecksums(checksums), shape[2], STORE);
        if (state.equals("empty")) {
            return file;
        }
        CowDevice device = TestDevices.open(FORMAT, file, TestDevices.origin(BASE), TestDevices.BOOT);
        Random random = new Random(shape[1]);
        for (int i = 0; i < 90; i++) {
            long chunk = Math.floorMod(random.nextLong(), geometry.chunkCount());
            switch (random.nextInt(8)) {
                case 0 -> device.discard(chunk << shape[0], geometry.lengthOf(chunk));
                case 1 -> device.flush();
                default -> device.write(chunk << shape[0], TestDevices.direct(new byte[] {(byte) i, 7}, 0, 2));
            }
        }
        if (state.equals("clean")) {
            device.close();
        } else if (state.equals("flushed")) {
            device.flush();
        }
        return file;
    }

    @Test
    void hostileImagesAreAnErrorOrADevice() {
        Long only = Long.getLong("ucow.fuzz.seed");
        long first = only != null ? only : Long.getLong("ucow.fuzz.first", 1);
        System.out.printf("fuzz: -Ducow.fuzz.seed=%d and following%n", first);
        long heap = usedHeap();
        long until = System.nanoTime() + TOTAL_NANOS;
        long slowest = 0;
        int cases = 0;
        while (cases < (only != null ? 1 : CASES) && System.nanoTime() < until) {
            long seed = first + cases++;
            // Of the processor: other work on this machine is not the image's fault.
            long start = THREADS.getCurrentThreadCpuTime();
            try {
                run(new Random(seed * 0x9E3779B97F4A7C15L));
            } catch (Throwable e) {
                throw new AssertionError("-Ducow.fuzz.seed=" + seed, e);
            }
            long took = THREADS.getCurrentThreadCpuTime() - start;
            slowest = Math.max(slowest, took);
            assertThat(took).as("time of -Ducow.fuzz.seed=%d", seed).isLessThan(CASE_NANOS);
        }
        System.out.printf(
                "fuzz: %d cases, %d opened, %d refused, %d repaired, slowest %d ms%n%s",
                cases, opened, refused, repaired, TimeUnit.NANOSECONDS.toMillis(slowest), refusals);
        assertThat(usedHeap() - heap).as("heap growth").isLessThan(HEAP_BYTES);
        if (only == null) {
            assertThat(opened).as("mutations that get through").isGreaterThan(cases / 20);
            assertThat(refused).as("mutations that matter").isGreaterThan(cases / 20);
        }
    }

    private static long usedHeap() {
        System.gc();
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    private void run(Random random) throws IOException {
        SparseFile image = seeds.get(random.nextInt(seeds.size())).copy();
        int mutations = 1 + random.nextInt(3);
        for (int i = 0; i < mutations; i++) {
            mutate(image, random);
        }
        SparseFile before = image.copy();
        UUID boot = random.nextBoolean() ? TestDevices.BOOT : TestDevices.NEXT_BOOT;
        CheckReport report = null;
        try {
            report = FORMAT.check(image, Path.of("x"), boot);
        } catch (UnsupportedFormatException e) {
            count(e);
        }
        boolean readable = readOnly(image, boot, random);
        assertThat(image.sameAs(before)).as("unchanged").isTrue();
        assertThat(readable).as("open agrees with check: %s", report).isEqualTo(report != null && opens(report));
        if (report != null && random.nextInt(4) == 0) {
            repair(before.copy(), boot);
        }
        if (readable) {
            opened++;
            try {
                readWrite(image, boot, random);
            } catch (DamagedBlockException e) {
                count(e); // what has another checksum than the image says is an error, as long as it is there
            }
        } else {
            refused++;
        }
    }

    /** One superblock is enough, though check wants both. */
    private static boolean opens(CheckReport report) {
        return report.corruptions().stream()
                .allMatch(line -> line.contains("superblock is damaged (checksum), that of"));
    }

    /** What is repaired is sound, and opens; what is not is as it was. */
    private void repair(SparseFile image, UUID boot) throws IOException {
        SparseFile before = image.copy();
        RepairReport report;
        try {
            report = FORMAT.repair(image, Path.of("x"), boot, content -> {
                content.writeTo(new SparseFile());
                return Path.of("copy");
            });
        } catch (CorruptStoreException | StoreFullException e) {
            assertThat(image.sameAs(before)).as("unchanged: %s", e.getMessage()).isTrue();
            return;
        }
        if (report.obstacle().isPresent()) {
            assertThat(image.sameAs(before)).as("unchanged: %s", report).isTrue();
            return;
        }
        CheckReport after = FORMAT.check(image, Path.of("x"), boot);
        assertThat(after.corruptions()).as("after repair of %s", report).isEmpty();
        assertThat(after.leakedBytes()).isZero();
        repaired++;
    }

    private boolean readOnly(SparseFile image, UUID boot, Random random) throws IOException {
        HookedFile file = new HookedFile(image);
        Origin origin = TestDevices.origin(BASE);
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, file, origin, boot)) {
            long dataStart = Long.parseLong(device.info().details().get("data start"));
            file.hook((call, offset, length) -> {
                assertThat(call).isEqualTo(Call.READ);
                assertThat(offset).isGreaterThanOrEqualTo(dataStart);
                assertThat(offset + length).isLessThanOrEqualTo(image.size());
            });
            readSome(device, random);
            long[] end = new long[1];
            device.forEachExtent(extent -> {
                assertThat(extent.guestOffset()).isEqualTo(end[0]);
                end[0] += extent.lengthBytes();
            });
            assertThat(end[0]).isEqualTo(device.sizeBytes());
            file.hook((call, offset, length) -> {});
            return true;
        } catch (DamagedBlockException e) {
            count(e);
            return true;
        } catch (CorruptStoreException | UnsupportedFormatException e) {
            count(e);
            return false;
        }
    }

    private void count(IOException e) {
        assertThat(e).hasMessageStartingWith("/sparse.cow").hasMessageNotContaining("\n");
        if (Boolean.getBoolean("ucow.fuzz.verbose")) {
            refusals += e.getMessage() + "\n";
        }
    }

    private static List<byte[]> readSome(CowDevice device, Random random) throws IOException {
        long size = device.sizeBytes();
        List<byte[]> read = new ArrayList<>();
        int n = (int) Math.min(size, READ_BYTES);
        read.add(TestDevices.read(device, 0, n));
        read.add(TestDevices.read(device, size - n, n));
        for (int i = 0; i < 4; i++) {
            int length = (int) Math.min(size, 4096);
            TestDevices.read(device, Math.floorMod(random.nextLong(), size - length + 1), length);
        }
        return read;
    }

    /** A store that opens is a good one: it can be written to, and is sound afterwards. */
    private static void readWrite(SparseFile image, UUID boot, Random random) throws IOException {
        Origin origin = TestDevices.origin(BASE);
        byte[] expected;
        long offset;
        byte[] written = {1, 2, 3, 4, 5};
        try (CowDevice device = TestDevices.open(FORMAT, image, origin, boot)) {
            expected = readSome(device, random).get(0);
            long size = device.sizeBytes();
            offset = Math.floorMod(random.nextLong(), Math.max(1, Math.min(size, expected.length) - written.length));
            int n = (int) Math.min(written.length, size - offset);
            device.write(offset, TestDevices.direct(written, 0, n));
            System.arraycopy(written, 0, expected, (int) offset, n);
            device.discard(size - 1, 1);
            if (expected.length == size) {
                expected[expected.length - 1] = 0;
            }
            device.flush();
            device.write(size - 1, TestDevices.direct(written, 0, 1));
            if (expected.length == size) {
                expected[expected.length - 1] = 1;
            }
        } catch (CorruptStoreException e) {
            throw new AssertionError("opens read-only, but not for writing", e);
        }
        CheckReport report = FORMAT.check(image, Path.of("x"), boot);
        // A head or generation at the end of its range cannot be advanced; the image stays as it was.
        if (report.corruptions().stream().noneMatch(c -> c.contains("journal head") || c.contains("generation"))) {
            assertThat(report.corruptions()).isEmpty();
            try (CowDevice device = TestDevices.openReadOnly(FORMAT, image, origin, TestDevices.NEXT_BOOT)) {
                assertThat(TestDevices.read(device, 0, expected.length)).isEqualTo(expected);
            }
            changeSize(image, expected, random);
        }
    }

    /** What can be written to can be given any size that there is room for; what is refused is as it was. */
    private static void changeSize(SparseFile image, byte[] expected, Random random) throws IOException {
        Origin origin = TestDevices.origin(BASE);
        long now = Recovery.readSuperblock(image).geometry().sizeBytes();
        long wanted =
                switch (random.nextInt(4)) {
                    case 0 -> 1 + Math.floorMod(random.nextLong(), now);
                    case 1 -> hostile(image, random);
                    default -> now + random.nextInt(1 << 20);
                };
        try {
            FORMAT.resize(image, Path.of("x"), TestDevices.NEXT_BOOT, origin, wanted, true);
        } catch (CorruptStoreException | StoreFullException | IllegalArgumentException e) {
            assertThat(Recovery.readSuperblock(image).geometry().sizeBytes()).isEqualTo(now);
        }
        assertThat(FORMAT.check(image, Path.of("x"), TestDevices.NEXT_BOOT).corruptions())
                .isEmpty();
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, image, origin, TestDevices.NEXT_BOOT)) {
            long size = device.sizeBytes();
            int length = (int) Math.min(expected.length, size);
            assertThat(TestDevices.read(device, 0, length)).isEqualTo(Arrays.copyOf(expected, length));
            if (size > now) {
                int gained = (int) Math.min(size - now, READ_BYTES);
                assertThat(TestDevices.read(device, now, gained)).isEqualTo(new byte[gained]);
                assertThat(TestDevices.read(device, size - gained, gained)).isEqualTo(new byte[gained]);
            }
        }
    }

    private void mutate(SparseFile image, Random random) throws IOException {
        switch (random.nextInt(12)) {
            case 0 -> flipBytes(image, random);
            case 1, 2, 3 -> superblockField(image, random);
            case 4, 5, 6 -> journalRecord(image, random);
            case 7, 8 -> mapValue(image, random);
            case 9 -> mapHeader(image, random);
            case 10 -> copyPage(image, random);
            default -> resize(image, random);
        }
    }

    /** Bytes of metadata, mostly without a right checksum. */
    private static void flipBytes(SparseFile image, Random random) throws IOException {
        for (int i = 0; i < 1 + random.nextInt(4); i++) {
            long page = randomPage(image, random);
            ByteBuffer block = read(image, page);
            block.put(random.nextInt(4096), (byte) random.nextInt());
            if (random.nextInt(3) == 0) {
                seal(block, page);
            }
            write(image, page, block);
        }
    }

    private static void superblockField(SparseFile image, Random random) throws IOException {
        int[] field = SUPERBLOCK_FIELDS[random.nextInt(SUPERBLOCK_FIELDS.length)];
        long value = hostile(image, random);
        int relative = random.nextInt(7) - 3;
        boolean nearby = random.nextBoolean();
        for (int place = 0; place < 2; place++) {
            ByteBuffer block = read(image, place);
            if (!Superblock.hasMagic(block, 0)) {
                continue;
            }
            if (field[1] == 8) {
                block.putLong(field[0], nearby ? block.getLong(field[0]) + relative : value);
            } else {
                block.putInt(field[0], nearby ? block.getInt(field[0]) + relative : (int) value);
            }
            seal(block, place);
            write(image, place, block);
        }
    }

    /** A record with a right checksum, where recovery will find it. */
    private static void journalRecord(SparseFile image, Random random) throws IOException {
        Superblock superblock = superblock(image);
        if (superblock == null) {
            return;
        }
        long capacity = superblock.journalCapacity();
        long seq = superblock.journalHead() + random.nextInt((int) capacity);
        long chunks = superblock.geometry().chunkCount();
        ByteBuffer block = ByteBuffer.allocate(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        int type = random.nextInt(8) == 0 ? random.nextInt() : 1 + random.nextInt(superblock.checksums() ? 3 : 2);
        long chunk = random.nextInt(4) == 0 ? hostile(image, random) : Math.floorMod(random.nextLong(), chunks);
        int count = random.nextInt(3) == 0 ? (int) hostile(image, random) : 1 + random.nextInt(4);
        long value = type == JournalRecord.BARRIER
                ? (random.nextBoolean() ? seq + random.nextInt(5) - 3 : hostile(image, random))
                : entry(image, random);
        JournalRecord.encode(
                block, 0, JournalRecord.salted(Superblock.bytes(superblock.uuid())), type, seq, chunk, count, value);
        image.write(block, superblock.journalOffset() + seq % capacity * JournalRecord.SIZE);
    }

    private static void mapValue(SparseFile image, Random random) throws IOException {
        long page = randomMapPage(image, random);
        if (page < 0) {
            return;
        }
        ByteBuffer block = read(image, page);
        boolean leaf = block.getInt(MapPage.LEVEL) == 0;
        int index = random.nextInt(random.nextBoolean() ? 8 : MapPage.FANOUT);
        MapPage.setValue(
                block, 0, index, leaf ? entry(image, random) : random.nextBoolean() ? page : pageNumber(image, random));
        if (random.nextInt(8) == 0) {
            // Two chunks or nodes with one place.
            MapPage.setValue(block, 0, random.nextInt(MapPage.FANOUT), MapPage.value(block, 0, index));
        }
        seal(block, page);
        write(image, page, block);
    }

    private static void mapHeader(SparseFile image, Random random) throws IOException {
        long page = randomMapPage(image, random);
        if (page < 0) {
            return;
        }
        ByteBuffer block = read(image, page);
        switch (random.nextInt(4)) {
            case 0 -> block.putLong(MapPage.GENERATION, hostile(image, random));
            case 1 -> block.putLong(MapPage.NODE, hostile(image, random));
            case 2 -> block.putInt(MapPage.LEVEL, random.nextInt(6) - 1);
            default -> block.putInt(MapPage.UUID, random.nextInt());
        }
        seal(block, page);
        write(image, page, block);
    }

    private static void copyPage(SparseFile image, Random random) throws IOException {
        long from = randomPage(image, random);
        long to = randomPage(image, random);
        ByteBuffer first = read(image, from);
        ByteBuffer second = read(image, to);
        write(image, to, first);
        if (random.nextBoolean()) {
            write(image, from, second);
        }
    }

    private static void resize(SparseFile image, Random random) {
        long size = image.size();
        long[] sizes = {
            0,
            1,
            4095,
            4096,
            4097,
            8191,
            8192,
            65536,
            1L << 44,
            1L << 45,
            (1L << 45) + 4096,
            1L << 50,
            1L << 53,
            (1L << 53) + 1,
            Long.MAX_VALUE - 4096
        };
        image.truncate(
                switch (random.nextInt(4)) {
                    case 0 -> Math.max(0, size - 1 - random.nextInt(100_000));
                    case 1 -> size + random.nextInt(10_000_000);
                    case 2 -> random.nextInt((int) Math.min(size + 1, 10_000_000));
                    default -> sizes[random.nextInt(sizes.length)];
                });
    }

    private static long entry(SparseFile image, Random random) {
        long slots = image.size() >>> 12;
        return switch (random.nextInt(9)) {
            case 8 ->
                RemapEntry.withMissing(
                        RemapEntry.slot(Math.floorMod(random.nextLong(), slots + 2)),
                        random.nextInt(1 << (1 + random.nextInt(16))));
            case 0 -> RemapEntry.ZERO;
            case 1 -> random.nextLong();
            case 2 -> hostile(image, random);
            case 3 -> RemapEntry.slot(RemapEntry.MAX_SLOTS - 1 - random.nextInt(3));
            case 4 -> RemapEntry.slot(random.nextInt(20));
            default -> RemapEntry.slot(Math.floorMod(random.nextLong(), slots + 2));
        };
    }

    private static long pageNumber(SparseFile image, Random random) {
        long pages = image.size() >>> 12;
        return random.nextInt(3) == 0 ? hostile(image, random) : Math.floorMod(random.nextLong(), pages + 2);
    }

    private static long hostile(SparseFile image, Random random) {
        return switch (random.nextInt(5)) {
            case 0 -> random.nextLong();
            case 1 -> random.nextInt(1 << random.nextInt(20));
            case 2 -> image.size() + (random.nextInt(5) - 2) * 4096L;
            default -> INTERESTING[random.nextInt(INTERESTING.length)];
        };
    }

    private static long randomPage(SparseFile image, Random random) throws IOException {
        long map = random.nextBoolean() ? randomMapPage(image, random) : -1;
        // Superblocks, the reserved pages, the ring, and the first slots.
        return map >= 0 ? map : random.nextInt(random.nextBoolean() ? 2 : 24);
    }

    /** Any page that says it belongs to the map, current or not; -1 if none was found. */
    private static long randomMapPage(SparseFile image, Random random) throws IOException {
        Superblock superblock = superblock(image);
        if (superblock != null && superblock.rootPage() != 0 && random.nextInt(3) == 0) {
            long root = superblock.checksums() && random.nextBoolean() ? superblock.sumsRoot() : superblock.rootPage();
            return root << MapPage.SHIFT < image.size() ? root : -1;
        }
        long pages = Math.min(image.size() >>> 12, 1 << 12);
        for (int i = 0; i < 40 && pages > 0; i++) {
            long page = Math.floorMod(random.nextLong(), pages);
            if (isMapPage(read(image, page))) {
                return page;
            }
        }
        return -1;
    }

    private static boolean isMapPage(ByteBuffer block) {
        int magic = block.getInt(MapPage.MAGIC);
        return magic == MapPage.MAGIC_VALUE || magic == MapPage.SUM_MAGIC_VALUE;
    }

    /** The current superblock if it is one. */
    private static Superblock superblock(SparseFile image) throws IOException {
        Superblock current = null;
        for (int place = 0; place < 2; place++) {
            ByteBuffer block = read(image, place);
            if (Superblock.isIntact(block, 0)) {
                try {
                    Superblock found = Superblock.decode(block, 0, "x");
                    if (current == null || found.generation() > current.generation()) {
                        current = found;
                    }
                } catch (CorruptStoreException | UnsupportedFormatException e) {
                    return null;
                }
            }
        }
        return current;
    }

    /** Puts the checksum right, whatever the page is. */
    private static void seal(ByteBuffer block, long page) {
        CRC32C crc = new CRC32C();
        if (page < 2) {
            block.putInt(12, 0);
            crc.update(block.duplicate().clear());
            block.putInt(12, (int) crc.getValue());
        } else if (isMapPage(block)) {
            crc.update(block.duplicate().clear().position(MapPage.GENERATION));
            block.putInt(MapPage.CRC, (int) crc.getValue());
        }
    }

    private static ByteBuffer read(SparseFile image, long page) {
        ByteBuffer block = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
        image.read(block, page << 12);
        return block.clear();
    }

    private static void write(SparseFile image, long page, ByteBuffer block) throws IOException {
        // What lies past the end of a shortened file stays away.
        int n = (int) Math.max(0, Math.min(4096, image.size() - (page << 12)));
        image.write(block.duplicate().clear().limit(n), page << 12);
    }
}
