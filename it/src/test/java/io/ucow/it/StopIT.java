package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The end of a mount that is in use: refused, or put off until it is not; and then nothing is left. */
@Timeout(300)
class StopIT {
    private static final int MEBIBYTES = 32;
    /** What fio works on; the rest is the test's. */
    private static final int LOAD_MEBIBYTES = 24;

    private static final int BUSY = 12;
    private static final Duration LOAD = Duration.ofSeconds(15);
    private static final Duration LIMIT = Duration.ofSeconds(60);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final Random random = new Random(1);

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("fio", "umount", "losetup");
    }

    @Test
    void whatIsUnderLoadIsNeitherUnmountedNorDetached() throws Exception {
        Path base = home.randomFile("base", MEBIBYTES, 1);
        Path mountedImage = home.create("mounted.cow", base);
        Path attachedImage = home.create("attached.cow", base);
        MountedImage mounted = home.mountKept(mountedImage);
        Path device = home.attachKept(attachedImage);
        List<JsonObject> before = home.list();

        try (DirectFile file = DirectFile.open(mounted.file());
                DirectFile disk = DirectFile.open(device);
                Tool.Running onFile = fio(mounted.file()).start();
                Tool.Running onDevice = fio(device).start()) {
            writeAndVerify(file);
            writeAndVerify(disk);
            awaitUsers(onFile, mounted.file());
            awaitUsers(onDevice, device);
            assertThat(home.ucow("unmount", mounted.dir()).exit(BUSY).stderr()).contains("in use");
            assertThat(home.ucow("detach", device).exit(BUSY).stderr()).contains(device.toString());
            assertThat(onFile.isAlive() && onDevice.isAlive())
                    .as("refused under load")
                    .isTrue();
            assertThat(home.list()).isEqualTo(before);
            assertThat(onFile.await().status()).as(onFile.stderr()).isZero();
            assertThat(onDevice.await().status()).as(onDevice.stderr()).isZero();
        }

        mounted.unmount();
        home.detach(attachedImage);
        assertNothingIsLeft(before);
        home.check(mountedImage);
        home.check(attachedImage);
    }

    /** The directory is free at once, an open file is served until it is closed, and then all ends. */
    @Test
    void termPutsTheEndOffUntilTheFileIsClosed() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", MEBIBYTES, 1));
        MountedImage mounted = home.mountKept(image);
        List<JsonObject> before = home.list();

        try (DirectFile disk = DirectFile.open(mounted.file())) {
            writeAndVerify(disk);
            terminate(mounted.pid());
            long deadline = System.nanoTime() + LIMIT.toNanos();
            while (!home.mountPoints().isEmpty()) {
                writeAndVerify(disk);
                assertThat(System.nanoTime()).as("unmounted lazily").isLessThan(deadline);
            }
            for (int i = 0; i < 1000; i++) {
                writeAndVerify(disk);
            }
            disk.sync();
            assertThat(home.list()).isEqualTo(before);
        }

        awaitEnd(before);
        assertNothingIsLeft(before);
        home.check(image);
    }

    /** A disk whose users cannot be told stays until it is detached. */
    @Test
    void termLeavesADeviceThatIsInUse() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", MEBIBYTES, 1));
        Path device = home.attachKept(image);
        List<JsonObject> before = home.list();

        try (DirectFile disk = DirectFile.open(device);
                Tool.Running fio = fio(device).start()) {
            writeAndVerify(disk);
            awaitUsers(fio, device);
            terminate(before.get(0).getLong("pid"));
            assertThat(fio.await().status()).as(fio.stderr()).isZero();
        }
        assertThat(home.list()).isEqualTo(before);
        assertThat(home.loopDevices()).containsExactly(device);

        home.detach(device);
        assertNothingIsLeft(before);
        home.check(image);
    }

    @Test
    void termEndsWhatIsNotInUse() throws Exception {
        Path base = home.randomFile("base", 1, 1);
        home.mountKept(home.create("mounted.cow", base));
        home.attachKept(home.create("attached.cow", base));
        List<JsonObject> before = home.list();

        for (JsonObject row : before) {
            terminate(row.getLong("pid"));
        }

        awaitEnd(before);
        assertNothingIsLeft(before);
    }

    private void writeAndVerify(DirectFile disk) throws IOException {
        byte[] block = new byte[DirectFile.BLOCK];
        random.nextBytes(block);
        int number = random.nextInt(((MEBIBYTES - LOAD_MEBIBYTES) << 20) / DirectFile.BLOCK);
        long offset = ((long) LOAD_MEBIBYTES << 20) + (long) number * DirectFile.BLOCK;
        disk.write(offset, block);
        assertThat(disk.read(offset, DirectFile.BLOCK)).isEqualTo(block);
    }

    private static void terminate(long pid) {
        ProcessHandle.of(pid).orElseThrow().destroy();
    }

    private static void awaitEnd(List<JsonObject> rows) throws IOException {
        for (JsonObject row : rows) {
            Libc.awaitExit(row.getLong("pid"));
            if (!row.isNull("keeper")) {
                Libc.awaitExit(row.getLong("keeper"));
            }
        }
    }

    private void assertNothingIsLeft(List<JsonObject> rows) throws IOException {
        assertThat(home.list()).isEmpty();
        assertThat(home.mountPoints()).isEmpty();
        assertThat(home.loopDevices()).isEmpty();
        assertThat(home.processes()).as("%s", rows).isEmpty();
        assertThat(home.leftInRunDirectories()).isEmpty();
    }

    private static void awaitUsers(Tool.Running fio, Path file) throws IOException {
        long deadline = System.nanoTime() + LIMIT.toNanos();
        while (!UcowHome.hasOpen(fio.pid(), file)) {
            assertThat(System.nanoTime())
                    .as("%s opened: %s", file, fio.stderr())
                    .isLessThan(deadline);
            Thread.onSpinWait();
        }
    }

    /** It closes what it works on and opens it again, each time it is through; a test that counts on use has it open, too. */
    private Tool fio(Path file) {
        return Tool.of(
                        "fio",
                        "--name=load",
                        "--filename=" + file,
                        "--size=" + LOAD_MEBIBYTES + "m",
                        "--rw=randrw",
                        "--bs=4k",
                        "--direct=1",
                        "--ioengine=libaio",
                        "--iodepth=8",
                        "--thread",
                        "--verify=crc32c",
                        "--verify_backlog=256",
                        "--time_based",
                        "--runtime=" + LOAD.toSeconds())
                .in(home.root())
                .within(LIMIT);
    }
}
