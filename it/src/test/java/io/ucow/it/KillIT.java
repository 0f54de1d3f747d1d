package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A daemon killed with {@code SIGKILL} at any moment loses no acknowledged write (G2), and is cleaned up after. */
class KillIT {
    private static final int MEBIBYTES = 48;
    private static final int WRITERS = 4;
    private static final int ROUNDS = 6;
    private static final int FIO_ROUNDS = 3;
    private static final Pattern FAILED_WRITE = Pattern.compile("io_u error on file .*: write offset=([0-9]+)");
    private static final Pattern BAD_BLOCK = Pattern.compile("verify: .* offset ([0-9]+), length");
    private static final Duration LOAD_LIMIT = Duration.ofSeconds(60);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("fio", "losetup", "umount", "dd");
    }

    @Test
    void acknowledgedWritesSurviveKills() throws Exception {
        long seed = System.nanoTime();
        System.out.println("KillIT seed=" + seed);
        Random random = new Random(seed);
        Path base = home.randomFile("base", MEBIBYTES, 1);
        Path image = home.create("vm.cow", base);
        StampedBlocks blocks = new StampedBlocks(base, Files.size(base));
        Path dir = Files.createDirectory(home.path("mnt"));

        for (int round = 0; round < ROUNDS; round++) {
            MountedImage mounted = home.mountAt(dir, image);
            home.awaitKeepers();
            blocks.verify(mounted.file());
            killWhileWriting(mounted, blocks, random);
            assertThat(home.list())
                    .as("round %d", round)
                    .singleElement()
                    .extracting(row -> row.getString("state"))
                    .isEqualTo("dead");
            if (random.nextBoolean()) {
                home.ucow("unmount", dir).succeed();
                assertThat(home.list()).isEmpty();
            }
        }
        MountedImage last = home.mountAt(dir, image);
        blocks.verify(last.file());
        last.unmount();

        assertThat(blocks.changedBlocks()).isGreaterThan(ROUNDS * 100);
        home.check(image);
    }

    private void killWhileWriting(MountedImage mounted, StampedBlocks blocks, Random random) throws Exception {
        CountDownLatch acknowledgements = new CountDownLatch(200 + random.nextInt(4000));
        ExecutorService threads = Executors.newFixedThreadPool(WRITERS);
        try {
            List<Future<IOException>> writers = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                int writer = i;
                Random own = new Random(random.nextLong());
                writers.add(
                        threads.submit(() -> blocks.change(mounted.file(), writer, WRITERS, own, acknowledgements)));
            }
            assertThat(acknowledgements.await(LOAD_LIMIT.toSeconds(), TimeUnit.SECONDS))
                    .as("writers get on")
                    .isTrue();
            mounted.kill();
            for (Future<IOException> writer : writers) {
                IOException end = writer.get(LOAD_LIMIT.toSeconds(), TimeUnit.SECONDS);
                assertThat(Errno.of(end)).as("%s", end).isIn(Errno.ENOTCONN, 103 /* ECONNABORTED */, Errno.EIO);
            }
        } finally {
            threads.shutdownNow();
        }
    }

    @Test
    void loopDeviceUnderLoadComesBackWithAllThatFioWrote() throws Exception {
        long seed = System.nanoTime();
        System.out.println("KillIT fio seed=" + seed);
        Random random = new Random(seed);
        Path base = home.randomFile("base", MEBIBYTES, 2);
        Path image = home.create("vm.cow", base, "--checksums");

        for (int round = 0; round < FIO_ROUNDS; round++) {
            long randSeed = random.nextInt(Integer.MAX_VALUE);
            int writes = 500 + random.nextInt(4000);
            Set<Long> unacknowledged = killWhileFioWrites(image, home.attachKept(image), randSeed, writes);
            assertThat(home.list()).extracting(row -> row.getString("state")).containsExactly("dead");

            Path again = home.attachKept(image); // cleans up first
            assertThat(home.loopDevices()).containsExactly(again);
            assertThat(home.list()).extracting(row -> row.getString("state")).containsExactly("running");
            assertThat(badBlocks(again, randSeed, writes)).as("round %d", round).isSubsetOf(unacknowledged);
            home.detach(image);
            home.check(image);
        }
    }

    /** The judge of the test above, judged: one acknowledged block taken back to the base's bytes is found. */
    @Test
    void fioNoticesALostWrite() throws Exception {
        Path base = home.randomFile("base", MEBIBYTES, 3);
        Path image = home.create("vm.cow", base);
        Set<Long> unacknowledged = killWhileFioWrites(image, home.attachKept(image), 7, 2000);
        Path device = home.attachKept(image);
        long lost = firstWrittenBlock(device, unacknowledged);
        try (DirectFile disk = DirectFile.open(device);
                DirectFile origin = DirectFile.open(base)) {
            disk.write(lost, origin.read(lost, DirectFile.BLOCK));
        }

        assertThat(badBlocks(device, 7, 2000)).contains(lost);
    }

    /** fio's blocks begin with a magic number. */
    private static long firstWrittenBlock(Path device, Set<Long> unacknowledged) throws IOException {
        try (DirectFile disk = DirectFile.open(device)) {
            for (long offset = 0; ; offset += DirectFile.BLOCK) {
                byte[] block = disk.read(offset, DirectFile.BLOCK);
                if (block[0] == (byte) 0xca && block[1] == (byte) 0xac && !unacknowledged.contains(offset)) {
                    return offset;
                }
            }
        }
    }

    /** @return where writes were under way when the daemon died, which fio was told */
    private Set<Long> killWhileFioWrites(Path image, Path device, long randSeed, long writes) throws IOException {
        long daemon = home.daemonOf(image);
        try (Tool.Running fio =
                fio(device, randSeed, "--do_verify=0", "--verify_state_save=1").start()) {
            long deadline = System.nanoTime() + LOAD_LIMIT.toNanos();
            long before = completedWrites(device);
            while (completedWrites(device) - before < writes) {
                assertThat(System.nanoTime())
                        .as("fio gets on: %s", fio.stderr())
                        .isLessThan(deadline);
                assertThat(fio.isAlive()).as("fio runs: %s", fio.stderr()).isTrue();
                Thread.onSpinWait();
            }
            home.kill(daemon);
            Tool.Result end = fio.await();
            assertThat(end.status()).as("killed before fio was done: %s", end).isNotZero();
            return offsets(FAILED_WRITE, end.stderr());
        }
    }

    /**
     * Has fio compare all blocks that its interrupted job has written. It counts those that failed among them, as many
     * as its depth.
     *
     * @param writes how many there were at least
     * @return those that do not hold what it wrote
     */
    private Set<Long> badBlocks(Path device, long randSeed, long writes) throws IOException {
        Tool.Result result = fio(
                        device,
                        randSeed,
                        "--verify_only=1",
                        "--verify_state_load=1",
                        "--continue_on_error=verify",
                        "--output-format=json")
                .succeed();
        String json = result.stdout().substring(result.stdout().indexOf("\n{") + 1);
        JsonObject job = UcowHome.object(json).getArray("jobs").getObject(0);
        assertThat(job.getObject("read").getLong("total_ios")).as("%s", result).isGreaterThanOrEqualTo(writes);
        Set<Long> bad = offsets(BAD_BLOCK, result.stderr());
        assertThat(job.getLong("total_err")).as("%s", result).isEqualTo(bad.size());
        return bad;
    }

    private static Set<Long> offsets(Pattern line, String text) {
        return line.matcher(text).results().map(m -> Long.valueOf(m.group(1))).collect(Collectors.toSet());
    }

    private Tool fio(Path device, long randSeed, Object... more) {
        List<Object> arguments = new ArrayList<>(List.of(
                "--name=load", "--filename=" + device, "--size=" + MEBIBYTES + "m", "--rw=randwrite", "--bs=4k"));
        arguments.addAll(List.of("--direct=1", "--ioengine=libaio", "--iodepth=8", "--verify=crc32c"));
        arguments.add("--rate_iops=4000"); // not done before it is killed, however fast the device
        arguments.add("--randseed=" + randSeed);
        arguments.addAll(List.of(more));
        return Tool.of("fio", arguments.toArray()).in(home.root()).within(LOAD_LIMIT);
    }

    /** Fifth word of the kernel's Documentation/block/stat.rst. */
    private static long completedWrites(Path device) throws IOException {
        String stat =
                Files.readString(Path.of("/sys/block", device.getFileName().toString(), "stat"));
        return Long.parseLong(stat.strip().split(" +", -1)[4]);
    }
}
