package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Daemons and keepers killed and replaced while their disks are in use: whoever uses them notices nothing but a wait, and
 * no byte is lost.
 *
 * <p>{@code -Ducow.kill.seconds=180} is the full form.
 */
@Timeout(600)
class SurvivalIT {
    private static final Duration KILLING = Duration.ofSeconds(Long.getLong("ucow.kill.seconds", 20));
    private static final int MIN_MILLIS = 300, MAX_MILLIS = 2000;
    private static final int MEBIBYTES = 64;
    private static final int KEEPER_GROWTH_KILOBYTES = 8 << 10;
    private static final int BUSY_MACHINE_FACTOR = 3;
    private static final int BASE_CHANGED = 15;
    private static final Duration FAILURE_LIMIT = Duration.ofSeconds(60);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    /** What happens to a daemon under load. */
    private interface Disturbance {
        void happenTo(JsonObject row) throws IOException;
    }

    /**
     * What a daemon and its keeper hold.
     *
     * @param keeperFiles open descriptors, as {@code daemonFiles}
     */
    private record Footprint(int keeperFiles, int daemonFiles, long keeperKilobytes) {
        static Footprint of(JsonObject row) throws IOException {
            long keeper = row.getLong("keeper");
            return new Footprint(
                    descriptors(keeper), descriptors(row.getLong("pid")), UcowHome.residentKilobytes(keeper, "VmRSS"));
        }

        private static int descriptors(long pid) throws IOException {
            try (Stream<Path> all = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
                return (int) all.count();
            }
        }
    }

    @BeforeAll
    static void needs() throws IOException {
        Requirements.loop();
        Requirements.survival();
        Requirements.tools("fio", "mkfs.ext4", "e2fsck", "dd");
    }

    @Test
    void kills() throws Exception {
        int kills = disturbUnderLoad(KILLING, row -> home.killOnly(row.getLong("pid")));
        assertThat(kills).isGreaterThanOrEqualTo(3);
    }

    @Test
    void restarts() throws Exception {
        int restarts = disturbUnderLoad(
                KILLING, row -> home.ucow("restart", row.getString("image")).succeed());
        assertThat(restarts).isGreaterThanOrEqualTo(3);
    }

    /** fio on one disk, a file system on another, and at random moments something happens to their daemons. */
    private int disturbUnderLoad(Duration time, Disturbance disturbance) throws Exception {
        Path base = home.randomFile("base", MEBIBYTES, 1);
        Path raw = home.create("raw.cow", base);
        Path files = home.create("files.cow", base);
        Path rawDevice = home.attachKept(raw);
        Path filesDevice = home.attachKept(files);
        for (Path image : List.of(raw, files)) {
            disturbance.happenTo(home.rowOf(image)); // a first daemon holds other things than its successors do
        }
        Footprint rawBefore = Footprint.of(awaitRunning(raw));
        Footprint filesBefore = Footprint.of(awaitRunning(files));

        int count = 0;
        try (FileSystemLoad load = FileSystemLoad.start(filesDevice, seed);
                Tool.Running fio = fio(time, rawDevice).start()) {
            while (!fio.hasEndedWithin(randomInterval())) {
                List<JsonObject> rows = home.list();
                int spared = random.nextInt(rows.size() + 1); // one of them, or none
                for (int i = 0; i < rows.size(); i++) {
                    if (i != spared && rows.get(i).getString("state").equals("running")) {
                        disturbance.happenTo(rows.get(i));
                        count++;
                    }
                }
            }
            assertThat(fio.await().status())
                    .as("seed %d: %s", seed, fio.stderr())
                    .isZero();
            load.finish();
            System.out.println("SurvivalIT disturbances=" + count + " files=" + load.rounds() + " seed=" + seed);
            assertThat(load.rounds()).isGreaterThan(count);
        }

        assertKept(raw, rawBefore);
        assertKept(files, filesBefore);
        assertThat(home.processes()).as("a daemon and a keeper each").hasSize(4);
        assertThat(home.loopDevices()).containsExactlyInAnyOrder(rawDevice, filesDevice);
        home.detach(raw);
        home.detach(files);
        assertThat(home.leftInRunDirectories()).isEmpty();
        home.check(raw);
        home.check(files);
        return count;
    }

    private Duration randomInterval() {
        return Duration.ofMillis(MIN_MILLIS + random.nextInt(MAX_MILLIS - MIN_MILLIS));
    }

    private void assertKept(Path image, Footprint before) throws IOException {
        Footprint now = Footprint.of(awaitRunning(image));
        assertThat(now.keeperFiles()).as("the keeper's descriptors").isEqualTo(before.keeperFiles());
        assertThat(now.daemonFiles()).as("the daemon's descriptors").isEqualTo(before.daemonFiles());
        assertThat(now.keeperKilobytes())
                .as("the keeper's memory")
                .isLessThan(before.keeperKilobytes() + KEEPER_GROWTH_KILOBYTES);
    }

    private JsonObject awaitRunning(Path image) throws IOException {
        return home.awaitRow(image, row -> row.getString("state").equals("running"));
    }

    @Test
    void theKeepersDeathIsMadeGood() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", MEBIBYTES, 1));
        Path device = home.attachKept(image);
        JsonObject first = home.rowOf(image);
        try (Tool.Running fio = fio(KILLING, device).start()) {
            home.killOnly(first.getLong("keeper"));
            JsonObject kept = home.awaitRow(
                    image, row -> !row.isNull("keeper") && row.getLong("keeper") != first.getLong("keeper"));
            assertThat(kept.getLong("pid")).isEqualTo(first.getLong("pid"));

            home.killOnly(kept.getLong("pid"));
            JsonObject successor = awaitSuccessor(image, kept.getLong("pid"));
            assertThat(successor.getLong("keeper")).isEqualTo(kept.getLong("keeper"));

            // A successor's keeper is not its child.
            home.killOnly(successor.getLong("keeper"));
            JsonObject again = home.awaitRow(
                    image, row -> !row.isNull("keeper") && row.getLong("keeper") != successor.getLong("keeper"));
            home.killOnly(again.getLong("pid"));
            awaitSuccessor(image, again.getLong("pid"));
            assertThat(fio.await().status()).as("%s", fio.stderr()).isZero();
        }
        assertThat(home.processes()).hasSize(2);
    }

    private JsonObject awaitSuccessor(Path image, long killed) throws IOException {
        return home.awaitRow(image, row -> row.getString("state").equals("running") && row.getLong("pid") != killed);
    }

    /** Nobody can take over, because the base is gone: then requests fail, they do not hang. */
    @Test
    void whoCannotBeSucceededFails() throws Exception {
        Path base = home.randomFile("base", MEBIBYTES, 1);
        Path image = home.create("vm.cow", base);
        Path device = home.attachKept(image);
        JsonObject row = home.rowOf(image);
        Files.move(base, home.path("moved"));

        home.killOnly(row.getLong("pid"));

        Tool.Result read = Tool.of("dd", "if=" + device, "of=/dev/null", "bs=4k", "count=1", "iflag=direct")
                .within(FAILURE_LIMIT)
                .exit(1);
        assertThat(read.stderr()).contains("Input/output error");
        Libc.awaitExit(row.getLong("keeper"));
        assertThat(home.rowOf(image).getString("state")).isEqualTo("dead");
        Path log = home.runDirectory().resolve(row.getString("dir").replaceFirst(".*/", "") + ".log");
        assertThat(log).content().contains(base + "", "giving up");

        home.detach(image);
        assertThat(home.list()).isEmpty();
        assertThat(home.loopDevices()).isEmpty();
        assertThat(home.mountPoints()).isEmpty();
        Files.move(home.path("moved"), base);
        home.check(image);
        home.attachKept(image); // and so takes the dead daemon's log over
    }

    @Test
    void manyImagesOfOneDaemon() throws Exception {
        Path base = home.randomFile("base", MEBIBYTES, 1);
        List<Path> images = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            images.add(home.create("vm" + i + ".cow", base));
        }
        MountedImage mounted = home.mountKept(images.toArray());
        Set<Long> killed = new TreeSet<>();
        try (Tool.Running fio =
                fio(KILLING.dividedBy(2), mounted.files().toArray(new Path[0])).start()) {
            while (!fio.hasEndedWithin(randomInterval())) {
                JsonObject row = home.rowOf(images.get(0));
                if (row.getString("state").equals("running")) {
                    home.killOnly(row.getLong("pid"));
                    killed.add(row.getLong("pid"));
                }
            }
            assertThat(fio.await().status())
                    .as("seed %d: %s", seed, fio.stderr())
                    .isZero();
        }
        assertThat(killed).isNotEmpty();
        home.awaitRow(images.get(0), row -> row.getString("state").equals("running"));
        assertThat(home.processes()).hasSize(2);
        mounted.unmount();
        for (Path image : images) {
            home.check(image);
        }
    }

    /** A command that comes while there is no daemon waits for the next one. */
    @Test
    void commandsWaitForTheSuccessor() throws Exception {
        Path base = home.randomFile("base", 1, 1);
        Path image = home.create("vm.cow", base);
        Path attached = home.create("attached.cow", base);
        Path device = home.attachKept(attached);
        Path dir = home.mountKept(image).dir();

        killDaemonOf(image);
        assertThat(home.rowOf(image).getString("state")).isIn("restarting", "running");
        assertThat(home.objectsOf("status", image)).hasSize(1);
        killDaemonOf(image);
        assertThat(UcowHome.object(home.ucow("info", "--json", dir.resolve("vm"))
                                .succeed()
                                .stdout())
                        .getString("image"))
                .isEqualTo(image.toString());
        killDaemonOf(image);
        home.ucow("map", image).succeed();
        killDaemonOf(image);
        home.ucow("restart", dir).succeed();
        killDaemonOf(image);
        home.ucow("unmount", dir).succeed();
        killDaemonOf(attached);
        home.detach(device);

        assertThat(home.list()).isEmpty();
        assertThat(home.processes()).isEmpty();
        assertThat(home.leftInRunDirectories()).isEmpty();
        home.check(image);
        home.check(attached);
    }

    /** Else the disk would be lost, and so it would by a snapshot, a resize or a commit. */
    @Test
    void onlyADiskThatCanBeOpenedAgainIsRestarted() throws Exception {
        Path base = home.randomFile("base", 1, 1);
        Path image = home.create("vm.cow", base);
        Path device = home.attachKept(image);
        try (Tool.Running one = home.ucow("restart", image).start();
                Tool.Running other = home.ucow("restart", image).start()) {
            assertThat(one.await().status()).isZero();
            assertThat(other.await().status()).isZero();
        }
        FileTime time = Files.getLastModifiedTime(base);
        Files.setLastModifiedTime(base, FileTime.fromMillis(0));
        for (Object[] verb :
                new Object[][] {{"restart", image}, {"snapshot", image}, {"resize", image, "+1M"}, {"commit", image}}) {
            assertThat(home.ucow(verb).exit(BASE_CHANGED).stderr()).contains("base changed");
        }
        Tool.of("cmp", base, device).succeed();
        Files.setLastModifiedTime(base, time);
        home.ucow("restart", image).succeed();
        Tool.of("cmp", base, device).succeed();
        home.detach(device);
    }

    private void killDaemonOf(Path image) throws IOException {
        home.killOnly(awaitRunning(image).getLong("pid"));
    }

    /** Random 4 KiB reads and writes; what was written is soon read back and compared, and all of it at the end. */
    private Tool fio(Duration time, Path... devices) {
        List<Object> arguments = new ArrayList<>(
                List.of("--size=" + MEBIBYTES + "m", "--rw=randrw", "--bs=4k", "--direct=1", "--ioengine=libaio"));
        arguments.addAll(List.of("--iodepth=16", "--verify=crc32c", "--verify_fatal=1", "--verify_backlog=512"));
        arguments.addAll(List.of("--time_based", "--runtime=" + time.toSeconds(), "--randseed=" + (seed >>> 1)));
        for (Path device : devices) {
            arguments.addAll(List.of("--name=" + device.getFileName(), "--filename=" + device));
        }
        return Tool.of("fio", arguments.toArray())
                .in(home.root())
                .within(time.multipliedBy(BUSY_MACHINE_FACTOR).plus(FAILURE_LIMIT));
    }
}
