package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A file that becomes as short as what it holds, while it is in use and while it is not. */
@Timeout(300)
class CompactIT {
    private static final long MIB = 1 << 20;
    private static final int BUSY = 12;
    private static final Duration LOAD = Duration.ofSeconds(5);
    private static final Duration LOAD_LIMIT = Duration.ofMinutes(1);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    @BeforeAll
    static void needs() throws IOException {
        Requirements.loop();
        Requirements.tools(
                "fio", "cmp", "dd", "cp", "mkfs.ext4", "e2fsck", "fstrim", "sync", "blkdiscard", "fallocate");
        Requirements.fileSystem("ext4");
    }

    @Test
    void deletedFilesLeaveAShortFileWhileTheDiskIsUnderLoad() throws Exception {
        Path image = home.path("vm.cow");
        home.ucow("create", "--size", "128M", image).succeed();
        Path device = home.attach(image);
        Tool.of("mkfs.ext4", "-q", device).succeed();
        Path kept = home.randomFile("kept", 8, 1);
        try (TempMount mount = TempMount.of(device)) {
            Path old = mount.root().resolve("old");
            Tool.of("cp", home.randomFile("data", 40, 2), old).succeed();
            Tool.of("sync", "-f", old).succeed();
            Tool.of("cp", kept, mount.root().resolve("kept")).succeed();
            Tool.of("sync", "-f", old).succeed();
            try (Tool.Running fio = fio(mount.root().resolve("load")).start()) {
                Files.delete(old);
                Tool.of("sync", "-f", mount.root()).succeed();
                Tool.of("fstrim", mount.root()).succeed();
                long before = Files.size(image);
                assertThat(before).isGreaterThan(48 * MIB);

                JsonObject report = UcowHome.object(
                        home.ucow("compact", "--json", device).succeed().stdout());

                assertThat(fio.isAlive()).as("load goes on: %s", fio.stderr()).isTrue();
                assertThat(report.getLong("sizeBefore")).isGreaterThanOrEqualTo(before);
                assertThat(report.getLong("movedBytes")).isGreaterThan(4 * MIB);
                assertThat(Files.size(image)).isLessThan(32 * MIB);
                assertThat(fio.await().status()).as(fio.stderr()).isZero();
            }
            Tool.of("cmp", kept, mount.root().resolve("kept")).succeed();
        }
        Tool.of("e2fsck", "-f", "-n", device).succeed();
        Path content = home.path("content");
        Tool.of("cp", device, content).succeed();
        home.detach(device);
        home.check(image);

        Tool.Result offline = home.ucow("compact", image).succeed();

        assertThat(offline.stdout()).startsWith(image + ": ").contains(" moved; size ");
        assertThat(offline.stderr()).as("progress where there is no terminal").isEmpty();
        home.check(image);
        Tool.of("cmp", content, home.mount("--read-only", image).file()).succeed();
        home.ucow("compact", image).exit(BUSY);
    }

    /** The daemon, or the command that does it alone, is killed; what the disk holds is what was written. */
    @Test
    void killsInTheMiddleCostNothing() throws Exception {
        Requirements.survival();
        System.out.println("CompactIT seed=" + seed);
        Path image = home.path("vm.cow");
        home.ucow("create", "--size", "96M", image).succeed();
        Path expected = home.sparseFile("expected", 96 * MIB);
        Path device = home.attachKept(image);
        int kills = 0;
        for (int round = 0; round < 4; round++) {
            // The front of the file becomes free, and what follows is written behind its end.
            change(device, expected, round);
            JsonObject row = home.awaitRow(image, r -> r.getString("state").equals("running"));
            try (Tool.Running compact = home.ucow("compact", image).start()) {
                if (round < 3 && !compact.hasEndedWithin(Duration.ofMillis(400 + random.nextInt(500)))) {
                    home.killOnly(row.getLong("pid"));
                    kills++;
                }
                assertThat(compact.await().status()).isIn(0, round < 3 ? 1 : 0);
            }
        }
        home.awaitRow(image, r -> r.getString("state").equals("running"));
        Tool.of("cmp", expected, device).succeed();
        assertThat(Files.size(image)).isLessThan(56 * MIB);
        change(device, expected, 4);
        home.detach(device);
        for (int i = 0; i < 2; i++) {
            try (Tool.Running compact = home.ucow("compact", image).start()) {
                if (!compact.hasEndedWithin(Duration.ofMillis(300 + random.nextInt(400)))) {
                    compact.kill();
                    kills++;
                }
                assertThat(compact.await().status()).isIn(0, 128 + 9);
            }
        }
        System.out.println("CompactIT kills=" + kills);
        home.ucow("compact", image).succeed();
        home.check(image);
        assertThat(Files.size(image)).isLessThan(56 * MIB);
        Tool.of("cmp", expected, home.attach(image)).succeed();
    }

    /** Writes 16 MiB to the next sixth of the device, and discards the third before last. */
    private void change(Path device, Path expected, int round) throws IOException {
        Path data = home.randomFile("data", 16, seed + round);
        for (Path disk : List.of(device, expected)) {
            Tool.of("dd", "if=" + data, "of=" + disk, "bs=1M", "seek=" + round % 6 * 16, "conv=notrunc,fsync")
                    .succeed();
        }
        long old = (round + 3) % 6 * 16L * MIB;
        Tool.of("blkdiscard", "-o", old, "-l", 16 * MIB, device).succeed();
        Tool.of("fallocate", "--punch-hole", "-o", old, "-l", 16 * MIB, expected)
                .succeed();
    }

    private Tool fio(Path file) {
        List<Object> arguments = new ArrayList<>(List.of("--name=load", "--filename=" + file));
        arguments.addAll(List.of("--size=8m", "--rw=randrw", "--bs=4k", "--direct=1", "--fsync=64"));
        arguments.addAll(List.of("--ioengine=libaio", "--iodepth=8", "--verify=crc32c", "--verify_fatal=1"));
        arguments.addAll(List.of("--verify_backlog=512", "--time_based", "--runtime=" + LOAD.toSeconds()));
        return Tool.of("fio", arguments.toArray()).in(home.root()).within(LOAD_LIMIT);
    }
}
