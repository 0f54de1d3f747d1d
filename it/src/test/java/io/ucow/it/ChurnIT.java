package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A long life in short: a file system is filled, emptied in part, trimmed and filled again, its image frozen and compacted, over
 * and over. A directory elsewhere gets the same files and is the judge. Once without checksums and once with.
 *
 * <p>{@code -Ducow.churn.seconds=N} goes on for longer, N seconds each, {@code -Ducow.churn.seed=N} does the same again.
 */
@Tag("once")
@Timeout(value = 2, unit = TimeUnit.HOURS)
class ChurnIT {
    private static final long MIB = 1 << 20;
    private static final long SECONDS = Long.getLong("ucow.churn.seconds", 7);
    private static final int DEVICE_MEBIBYTES = 128;
    private static final long FULL_BYTES = 40 * MIB;
    private static final int MAX_FILE_BYTES = 2 << 20;
    /** Frozen once, and compacted before and after. */
    private static final int MIN_ROUNDS = 3;
    /** A chain has an end; so have disks that hold it. */
    private static final int MAX_LAYERS = 40;
    /** What the README has: superblocks, journal, and a map of this device twice. */
    private static final long CONSTANT = (4 * MIB + MIB / 8) + 8 * (32L << 10);
    /** Of the device's size, and in whole chunks: four bytes for each 4 KiB, twice, and five levels of pages twice. */
    private static final long CHECKSUMS = DEVICE_MEBIBYTES * MIB / 512 + 3 * (32L << 10);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final long seed = Long.getLong("ucow.churn.seed", System.nanoTime());
    private final Random random = new Random(seed);
    private Path reference;
    private Path image;
    private long constant;

    @BeforeAll
    static void needs() throws IOException {
        Requirements.loop();
        Requirements.tools("mkfs.ext4", "e2fsck", "fstrim", "sync", "diff");
        Requirements.fileSystem("ext4");
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void imageHoldsWhatItWasGivenAndNoMore(boolean checksums) throws Exception {
        System.out.println("ChurnIT checksums=" + checksums + " -Ducow.churn.seed=" + seed);
        constant = checksums ? CONSTANT + CHECKSUMS : CONSTANT;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
        reference = Files.createDirectory(home.path("reference"));
        image = home.path("vm.cow");
        List<Object> create = new ArrayList<>(List.of("create", "--size", DEVICE_MEBIBYTES + "M", image));
        if (checksums) {
            create.add("--checksums");
        }
        home.ucow(create.toArray()).succeed();
        Path device = home.attach(image);
        Tool.of("mkfs.ext4", "-q", device).succeed();
        List<Path> layers = new ArrayList<>();
        int rounds = 0;
        try (TempMount mount = TempMount.of(device)) {
            while (System.nanoTime() < end || rounds < MIN_ROUNDS) {
                fill(mount.root());
                delete(mount.root());
                Tool.of("fstrim", mount.root()).succeed();
                if (rounds % 3 == 1 && layers.size() < MAX_LAYERS) {
                    layers.add(Path.of(home.ucow("snapshot", image).succeed().line()));
                } else {
                    compact();
                }
                rounds++;
            }
            requireSame(mount.root());
        }
        System.out.println("ChurnIT rounds=" + rounds + " layers=" + layers.size());
        Tool.of("e2fsck", "-f", "-n", device).succeed();
        home.detach(device);
        home.ucow("compact", image).succeed();
        layers.add(image);
        for (Path each : layers) {
            home.check(each);
            if (checksums) {
                home.ucow("scrub", "--read-only", each).succeed();
            }
        }
        try (TempMount again = TempMount.of(home.attach("--read-only", image), "-o", "ro")) {
            requireSame(again.root());
        }
    }

    private void fill(Path root) throws IOException {
        long bytes = 0;
        for (Path file : files()) {
            bytes += Files.size(file);
        }
        while (bytes < FULL_BYTES) {
            byte[] content = new byte[1 + random.nextInt(MAX_FILE_BYTES)];
            random.nextBytes(content);
            String name = "file" + random.nextInt(1000);
            Files.write(reference.resolve(name), content);
            Files.write(root.resolve(name), content);
            bytes += content.length;
        }
        Tool.of("sync", "-f", root).succeed();
    }

    /** Two files in three; of some of the others the middle is written again. */
    private void delete(Path root) throws IOException {
        for (Path file : files()) {
            Path same = root.resolve(file.getFileName());
            if (random.nextInt(3) > 0) {
                Files.delete(file);
                Files.delete(same);
            } else if (random.nextBoolean()) {
                byte[] content = Files.readAllBytes(file);
                for (int i = content.length / 3; i < content.length / 2; i++) {
                    content[i] ^= 0x55;
                }
                Files.write(file, content);
                Files.write(same, content);
            }
        }
        Tool.of("sync", "-f", root).succeed();
    }

    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(reference)) {
            return files.sorted().toList();
        }
    }

    private void compact() throws IOException {
        JsonObject report =
                UcowHome.object(home.ucow("compact", "--json", image).succeed().stdout());
        JsonObject info =
                UcowHome.object(home.ucow("info", "--json", image).succeed().stdout());
        long live = info.getLong("alteredChunks") * info.getLong("chunkBytes");
        assertThat(report.getLong("allocatedAfter")).isLessThanOrEqualTo(live + live / 10 + constant);
        assertThat(report.getLong("sizeAfter")).isLessThanOrEqualTo(live + live / 10 + constant);
    }

    private void requireSame(Path root) throws IOException {
        Tool.of("diff", "-r", "--exclude=lost+found", reference, root).succeed();
    }
}
