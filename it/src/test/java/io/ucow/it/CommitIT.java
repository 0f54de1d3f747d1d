package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code commit}, judged by outside tools: all of the disk is in the base, or the image still holds it. */
@Timeout(180)
class CommitIT {
    private static final int MIB = 1 << 20;
    private static final int BUSY = 12;
    private static final int NO_SPACE = 14;
    private static final int BASE_CHANGED = 15;
    private static final int TIMEOUT_MILLIS = 60_000;

    private static final int LOAD_MEBIBYTES = 32;
    private static final Duration LOAD = Duration.ofSeconds(10);
    private static final Duration LOAD_LIMIT = Duration.ofMinutes(2);
    private static final int MAX_COMMITS = 20;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "cmp", "cp", "mkfs.ext4", "e2fsck", "truncate", "fio");
    }

    @Test
    void fileSystemIsInTheBaseAndGoesOnMeanwhile() throws Exception {
        Requirements.fileSystem("ext4");
        Path base = home.sparseFile("base", 96 * MIB);
        Tool.of("mkfs.ext4", "-q", base).succeed();
        Path image = home.create("vm.cow", base, "--size", "128M");
        Path sibling = home.create("sibling.cow", base);
        Path device = home.attach(image);
        byte[] before = bytes(10 * MIB, 1);
        byte[] after = bytes(3 * MIB, 2);
        try (TempMount mount = TempMount.of(device)) {
            Files.write(mount.root().resolve("before"), before);
            Tool.of("sync", "-f", mount.root()).succeed();
            Tool.Result online = home.ucow("commit", device).succeed();
            assertThat(online.stdout() + online.stderr()).isEmpty();
            Files.write(mount.root().resolve("after"), after);
            assertThat(Files.readAllBytes(mount.root().resolve("before"))).isEqualTo(before);
        }
        home.detach(device);
        assertThat(base).hasSize(128 * MIB);
        home.ucow("attach", sibling).exit(BASE_CHANGED);
        Path flat = home.path("flat.img");
        home.ucow("flatten", image, flat).succeed();

        Tool.Result offline = home.ucow("commit", image).succeed();

        assertThat(offline.stdout() + offline.stderr()).isEmpty();
        Tool.of("cmp", flat, base).succeed();
        Tool.of("e2fsck", "-f", "-n", base).succeed();
        home.check(image);
        JsonObject info =
                UcowHome.object(home.ucow("info", "--json", image).succeed().stdout());
        assertThat(info.getLong("alteredChunks")).isZero();
        device = home.attach(image);
        try (TempMount mount = TempMount.of(device)) {
            assertThat(Files.readAllBytes(mount.root().resolve("before"))).isEqualTo(before);
            assertThat(Files.readAllBytes(mount.root().resolve("after"))).isEqualTo(after);
        }
    }

    @Test
    @Tag("once")
    void killedInTheMiddleItIsRunAgain() throws Exception {
        Path base = home.randomFile("base", 160, 1);
        Path image = home.create("vm.cow", base);
        Path device = home.attach(image);
        Path data = home.randomFile("data", 150, 2);
        Tool.of("dd", "if=" + data, "of=" + device, "bs=1M", "seek=5", "oflag=direct")
                .succeed();
        home.detach(device);
        Path flat = home.path("flat.img");
        home.ucow("flatten", image, flat).succeed();
        try (Tool.Running commit = home.ucow("commit", image).start()) {
            awaitChangeOf(base, commit);
            commit.kill();
            assertThat(commit.await().status()).isEqualTo(128 + 9);
        }
        assertThat(home.ucow("info", image).succeed().stdout()).contains("commit: not finished");
        home.check(image);
        Tool.of("cmp", flat, home.attach(image)).succeed();
        home.ucow("detach", image).succeed();

        home.ucow("commit", image).succeed();

        Tool.of("cmp", flat, base).succeed();
        home.ucow("diff", image, base).succeed();
    }

    /** Returns when {@code file} was written to by {@code maker}, or fails. */
    private static void awaitChangeOf(Path file, Tool.Running maker) throws IOException {
        int changes = Libc.watch(file.toString(), Libc.IN_MODIFY);
        try {
            assertThat(Libc.awaitReadable(changes, TIMEOUT_MILLIS))
                    .as("a write to %s; %s", file, maker.stderr())
                    .isTrue();
        } finally {
            Libc.close(changes);
        }
    }

    @Test
    @Tag("once")
    void fullDiskOfTheBaseLosesNothing() throws Exception {
        Path disk = Files.createDirectory(home.path("disk"));
        Tool.of("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk).succeed();
        Path base = disk.resolve("base");
        Tool.of("truncate", "-s", "48M", base).succeed();
        Path image = home.create("vm.cow", base);
        Path device = home.attach(image);
        Path data = home.randomFile("data", 48, 2);
        Tool.of("cp", data, device).succeed();
        home.detach(device);

        Tool.Result full = home.ucow("commit", image).exit(NO_SPACE);

        assertThat(full.stderr()).startsWith("ucow: " + base).contains("no space left", "ucow commit " + image);
        assertThat(full.stderr().lines()).hasSize(1);
        device = home.attach(image);
        Tool.of("cmp", data, device).succeed();
        assertThat(home.ucow("commit", device).exit(NO_SPACE).stderr().lines()).hasSize(1);
        Tool.of("cmp", data, device).succeed();
        Tool.of("mount", "-o", "remount,size=100m", disk).succeed();
        home.ucow("commit", device).succeed();
        Tool.of("cmp", data, device).succeed();
        home.detach(device);
        Tool.of("cmp", data, base).succeed();
        Tool.of("umount", disk).succeed();
    }

    /** Whoever uses the disk sees neither the commits nor that the daemon is killed in the middle of one. */
    @Test
    void commitsAndKillsUnderLoad() throws Exception {
        Requirements.survival();
        System.out.println("CommitIT seed=" + seed);
        Path base = home.randomFile("base", LOAD_MEBIBYTES, 1);
        Path image = home.create("vm.cow", home.create("layer.cow", base));
        Path device = home.attachKept(image);
        int done = 0;
        int kills = 0;
        try (Tool.Running fio = fio(device).start()) {
            while (done < MAX_COMMITS && !fio.hasEndedWithin(Duration.ofMillis(random.nextInt(300)))) {
                JsonObject row = home.awaitRow(image, r -> r.getString("state").equals("running"));
                try (Tool.Running commit = home.ucow("commit", image).start()) {
                    if (random.nextInt(3) == 0 && !commit.hasEndedWithin(Duration.ofMillis(random.nextInt(1000)))) {
                        home.killOnly(row.getLong("pid"));
                        kills++;
                    }
                    Tool.Result result = commit.await();
                    if (result.status() == 0) {
                        done++;
                    } else {
                        assertThat(result.stderr()).contains("run it again");
                    }
                }
            }
            assertThat(fio.await().status())
                    .as("seed %d: %s", seed, fio.stderr())
                    .isZero();
        }
        System.out.println("CommitIT commits=" + done + " kills=" + kills);
        assertThat(done).isPositive();
        home.awaitRow(image, r -> r.getString("state").equals("running"));
        Path content = home.path("content");
        Tool.of("cp", device, content).succeed();
        home.detach(image);
        home.ucow("commit", image).succeed();
        home.check(image);
        home.check(home.path("layer.cow"));
        home.ucow("diff", content, home.path("layer.cow")).succeed();
    }

    private Tool fio(Path device) {
        List<Object> arguments = new ArrayList<>(List.of("--name=load", "--filename=" + device));
        arguments.addAll(List.of("--size=" + LOAD_MEBIBYTES + "m", "--rw=randrw", "--bs=4k", "--direct=1"));
        arguments.addAll(List.of("--ioengine=libaio", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1"));
        arguments.addAll(List.of("--verify_backlog=512", "--time_based", "--runtime=" + LOAD.toSeconds()));
        arguments.add("--randseed=" + (seed >>> 1));
        return Tool.of("fio", arguments.toArray()).in(home.root()).within(LOAD_LIMIT);
    }

    /** An image that is in use by somebody who cannot be asked is refused. */
    @Test
    @Tag("once")
    void readOnlyUseIsRefused() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 1, 1));
        home.mount("--read-only", image);
        Tool.Result result = home.ucow("commit", image).exit(BUSY);
        assertThat(result.stderr()).contains("served read-only");
    }

    private static byte[] bytes(int length, long from) {
        byte[] bytes = new byte[length];
        new Random(from).nextBytes(bytes);
        return bytes;
    }
}
