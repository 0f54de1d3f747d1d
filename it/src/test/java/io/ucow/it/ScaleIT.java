package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.it.jmh.TemporaryImage;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ExceptionStore;
import io.ucow.store.Images;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What large devices, and many of them, cost. Each test prints its figures. */
class ScaleIT {
    private static final long HANG_MILLIS = 20_000;
    private static final long MIB = 1 << 20;
    private static final long TIB = 1L << 40;
    private static final long ALTERED = 16_000_000;
    /** The fastest counts: what else runs on this machine is not what is measured. */
    private static final int ATTEMPTS = 3;

    private static final int DEVICES = 64;
    private static final int WRITTEN = 256 << 10;
    private static final Duration CHECKPOINT_LIMIT = Duration.ofSeconds(20);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.tools("truncate", "cmp");
    }

    @Test
    @Tag("once")
    void unalteredTebibyteCostsLessThanAMebibyteOfMap() throws Exception {
        Path small = create("small.cow", home.sparseFile("small", 1L << 30), CreateOptions.DEFAULT_CHUNK_BYTES);
        Path large = create("large.cow", home.sparseFile("large", TIB), CreateOptions.DEFAULT_CHUNK_BYTES);
        openedMemory(small); // loads classes and native code

        long memory = openedMemory(large);
        long difference = UcowHome.residentKilobytes(home.mount(large).pid(), "VmRSS")
                - UcowHome.residentKilobytes(home.mount(small).pid(), "VmRSS");

        System.out.printf(
                "ScaleIT 1 TiB unaltered: %d KiB of new memory, daemon's VmRSS %+d KiB against 1 GiB%n",
                memory >> 10, difference);
        assertThat(memory).isLessThan(MIB);
        assertThat(difference).as("KiB").isLessThan(16 << 10); // one JVM is not like another
    }

    @Test
    @Tag("once")
    void sixteenMillionAlteredChunksOpenInSeconds() throws Exception {
        Path base = home.sparseFile("base", TIB);
        Path image = create("vm.cow", base, 4096);
        alter(image, ALTERED);

        Path dir = Files.createDirectory(home.path("dir"));
        long mountMillis = Long.MAX_VALUE;
        long againMillis = Long.MAX_VALUE;
        long altered = 0;
        long resident = 0;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            mountMillis = Math.min(mountMillis, millisToMount(image, dir));
            altered = home.objectsOf("status", image)
                    .get(0)
                    .getArray("stores")
                    .getObject(0)
                    .getLong("alteredChunks");
            long daemon = home.daemonOf(image);
            resident = UcowHome.residentKilobytes(daemon, "VmRSS");
            home.kill(daemon);
            againMillis = Math.min(againMillis, millisToMount(image, dir));
            home.ucow("unmount", dir).succeed();
        }
        long pages = pagesOfACheckpointAfterFewChanges(image);

        System.out.printf(
                "ScaleIT %d altered chunks: mounted in %d ms, after kill -9 in %d ms, VmRSS %d KiB,"
                        + " %d pages of %d in a checkpoint after 20 changes%n",
                altered, mountMillis, againMillis, resident, pages, ALTERED / 512);
        assertThat(altered).isEqualTo(ALTERED);
        // The goal is 3 s on an idle machine, see the line above; a busy one must not fail the test.
        assertThat(mountMillis).isLessThan(HANG_MILLIS);
        assertThat(againMillis).isLessThan(HANG_MILLIS);
        assertThat(pages).isBetween(20L, 100L);
    }

    @Test
    void sixtyFourDevicesInOneDaemon() throws Exception {
        Path base = home.randomFile("base", 64, 1);
        List<Object> images = new ArrayList<>();
        for (int i = 0; i < DEVICES; i++) {
            images.add(create("vm" + i + ".cow", base, CreateOptions.DEFAULT_CHUNK_BYTES));
        }

        MountedImage mounted = home.mount(images.toArray());

        assertThat(mounted.files()).hasSize(DEVICES);
        for (int round = 0; round < 32; round++) {
            for (int i = 0; i < DEVICES; i++) {
                try (DirectFile device = DirectFile.open(mounted.files().get(i))) {
                    device.write(offset(round), content(i, round));
                    if (round % 8 == 7) {
                        device.sync();
                    }
                }
            }
        }
        try (DirectFile origin = DirectFile.open(base)) {
            for (int i = 0; i < DEVICES; i++) {
                try (DirectFile device = DirectFile.open(mounted.files().get(i))) {
                    for (int round = 0; round < 32; round++) {
                        long offset = offset(round);
                        assertThat(device.read(offset, WRITTEN)).isEqualTo(content(i, round));
                        assertThat(device.read(offset + WRITTEN, WRITTEN))
                                .isEqualTo(origin.read(offset + WRITTEN, WRITTEN));
                    }
                }
            }
        }
        long resident = UcowHome.residentKilobytes(mounted.pid(), "VmRSS");
        long peak = UcowHome.residentKilobytes(mounted.pid(), "VmHWM");
        System.out.printf("ScaleIT %d devices, one daemon: VmRSS %d KiB, VmHWM %d KiB%n", DEVICES, resident, peak);
        assertThat(peak).isLessThan(512 << 10);
    }

    /** The whole command, two starts of Java included. */
    private long millisToMount(Path image, Path dir) throws IOException {
        long start = System.nanoTime();
        home.ucow("mount", image, dir).succeed();
        return (System.nanoTime() - start) / 1_000_000;
    }

    private static long offset(int round) {
        return 2L * MIB * round;
    }

    private static byte[] content(int device, int round) {
        byte[] bytes = new byte[WRITTEN];
        new java.util.Random(device * 100L + round).nextBytes(bytes);
        return bytes;
    }

    /** In this process: sixty-four commands would only take longer. */
    private Path create(String name, Path base, int chunkBytes) throws IOException {
        Path image = home.path(name);
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), chunkBytes, "ucow"));
        return image;
    }

    /** Alters the first chunks in the map alone: their data is a hole in the store. */
    private static void alter(Path image, long chunks) throws IOException {
        try (ExceptionStore store = TemporaryImage.openStore(image)) {
            long slots = 0;
            for (long chunk = 0; chunk < chunks; ) {
                long run = store.allocate(chunk, (int) Math.min(store.maxCommit(), chunks - chunk));
                store.commit(chunk, SlotRun.count(run), SlotRun.entry(run));
                slots = SlotRun.slot(run) + SlotRun.count(run);
                chunk += SlotRun.count(run);
            }
            Tool.of("truncate", "-s", slots * 4096, image).succeed();
        }
    }

    /** Twenty chunks far from each other, and one so often that the journal is half full, which calls for a checkpoint. */
    private static long pagesOfACheckpointAfterFewChanges(Path image) throws Exception {
        try (ExceptionStore store = TemporaryImage.openStore(image)) {
            long pages = store.stats().checkpointPages();
            long checkpoints = store.stats().checkpoints();
            for (int i = 0; i < 20; i++) {
                store.commit(i * (ALTERED / 20), 1, RemapEntry.ZERO);
            }
            long deadline = System.nanoTime() + CHECKPOINT_LIMIT.toNanos();
            while (store.stats().checkpoints() == checkpoints) {
                assertThat(System.nanoTime()).as("no checkpoint").isLessThan(deadline);
                store.commit(0, 1, RemapEntry.ZERO);
            }
            return store.stats().checkpointPages() - pages;
        }
    }

    /** Resident bytes in mappings of this process that opening {@code image} has made or let grow. */
    private static long openedMemory(Path image) throws IOException {
        Map<String, Long> before = residentByRange();
        try (CowDevice device = Images.open(image, false)) {
            assertThat(device.sizeBytes()).isPositive();
            Map<String, Long> after = residentByRange();
            long grown = 0;
            for (Map.Entry<String, Long> range : after.entrySet()) {
                if (!before.containsKey(range.getKey())) {
                    grown += range.getValue();
                    for (Map.Entry<String, Long> old : before.entrySet()) {
                        grown -= contains(range.getKey(), old.getKey()) ? old.getValue() : 0;
                    }
                }
            }
            return grown;
        }
    }

    private static boolean contains(String range, String part) {
        String[] outer = range.split("-", -1);
        String[] inner = part.split("-", -1);
        return Long.parseUnsignedLong(outer[0], 16) <= Long.parseUnsignedLong(inner[0], 16)
                && Long.parseUnsignedLong(inner[1], 16) <= Long.parseUnsignedLong(outer[1], 16);
    }

    private static Map<String, Long> residentByRange() throws IOException {
        Map<String, Long> resident = new TreeMap<>();
        String range = "";
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                // Files are code; the heap is of one size.
                range = line.split(" +", -1)[4].equals("0") ? line.substring(0, line.indexOf(' ')) : "";
            } else if (line.startsWith("Rss:") && !range.isEmpty()) {
                resident.put(range, Long.parseLong(line.replaceAll("[^0-9]", "")) << 10);
            }
        }
        return resident;
    }
}
