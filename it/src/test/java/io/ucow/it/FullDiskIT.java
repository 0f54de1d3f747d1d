package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A full file system under the store fails the one write that needs more, and nothing else (G5). */
class FullDiskIT {
    private static final int MIB = 1 << 20;
    private static final int DEVICE_MIB = 64;
    /** A write of half a chunk, so that the other half has to be copied. */
    private static final int WRITE = 16 << 10;

    private static final int STRIDE = 2 * WRITE;
    private static final int NO_SPACE = 14;
    private static final String BALLAST = "ballast";

    /** What the store is on: a file system of 24 MiB or so. */
    private enum Disk {
        TMPFS {
            @Override
            void mount(UcowHome home, Path dir) throws IOException {
                Tool.of("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir).succeed();
            }
        },
        EXT4 {
            @Override
            void mount(UcowHome home, Path dir) throws IOException {
                Requirements.fileSystem("ext4");
                Path disk = home.sparseFile("full.img", 28 * MIB);
                Tool.of("mkfs.ext4", "-q", disk).succeed();
                Tool.of("mount", "-o", "loop", disk, dir).succeed();
            }
        };

        abstract void mount(UcowHome home, Path dir) throws IOException;
    }

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path disk;
    private Path image;

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "mkfs.ext4", "truncate", "fallocate", "dd", "blkdiscard");
    }

    private void prepare(Disk type) throws IOException {
        base = home.randomFile("base", DEVICE_MIB, 1);
        disk = Files.createDirectory(home.path("disk"));
        type.mount(home, disk);
        image = home.create("disk/vm.cow", base);
        Tool.of("fallocate", "-l", 4 * MIB, disk.resolve(BALLAST)).succeed();
    }

    @ParameterizedTest
    @EnumSource(Disk.class)
    void onlyTheWriteThatNeedsRoomFails(Disk type) throws Exception {
        prepare(type);
        MountedImage mounted = home.mount(image);
        int written;
        try (DirectFile device = DirectFile.open(mounted.file())) {
            written = fill(device);
            assertThat(written).as("writes before the disk was full").isBetween(100, DEVICE_MIB * MIB / STRIDE - 1);

            compare(device, written);
            device.write(0, content(-1));
            assertThat(device.read(0, WRITE)).as("in-place write").isEqualTo(content(-1));
            device.write(0, content(0));
            NativeException again = catchThrowableOfType(NativeException.class, () -> write(device, written));
            assertThat(again.errno()).isEqualTo(Errno.ENOSPC);
            device.sync();

            Files.delete(disk.resolve(BALLAST));
            write(device, written);
            device.sync();
            compare(device, written + 1);
        }
        assertThat(home.daemonOf(image)).isEqualTo(mounted.pid());
        mounted.unmount();
        home.check(image);

        try (DirectFile device = DirectFile.open(home.mount(image).file())) {
            compare(device, written + 1);
        }
    }

    @ParameterizedTest
    @Tag("once")
    @EnumSource(Disk.class)
    void fullStoreIsUnmountedAndMountedAgain(Disk type) throws Exception {
        prepare(type);
        MountedImage mounted = home.mount(image);
        int written;
        try (DirectFile device = DirectFile.open(mounted.file())) {
            written = fill(device);
        }
        mounted.unmount();
        home.check(image);
        assertThat(home.ucow("resize", image, "100G").exit(NO_SPACE).stderr()).contains("make room");
        home.check(image);

        try (DirectFile device = DirectFile.open(home.mount(image).file())) {
            compare(device, written);
            // Discarding is the way out without anybody deleting a file.
            device.punch(0, 64L * STRIDE);
            device.sync();
            assertThat(device.read(0, WRITE)).containsOnly(0);
            for (int i = 0; i < 32; i++) {
                write(device, i);
            }
            assertThat(device.read(0, WRITE)).isEqualTo(content(0));
        }
    }

    @ParameterizedTest
    @Tag("once")
    @EnumSource(Disk.class)
    void killedWhileFullAndMountedAgain(Disk type) throws Exception {
        prepare(type);
        MountedImage mounted = home.mount(image);
        int written;
        try (DirectFile device = DirectFile.open(mounted.file())) {
            written = fill(device);
        }
        mounted.kill();
        home.ucow("unmount", mounted.dir()).succeed();
        home.check(image);

        MountedImage again = home.mountAt(mounted.dir(), image); // and so takes the dead daemon's log over
        try (DirectFile device = DirectFile.open(again.file())) {
            compare(device, written);
            Files.delete(disk.resolve(BALLAST));
            write(device, written);
            compare(device, written + 1);
        }
        again.unmount();
        home.check(image);
    }

    /** A loop device says it in the words of a disk. */
    @ParameterizedTest
    @EnumSource(Disk.class)
    void loopDeviceReportsNoSpace(Disk type) throws Exception {
        prepare(type);
        Path device = home.attach(image);
        long daemon = home.daemonOf(image);

        Tool.Result result = Tool.of("dd", "if=" + base, "of=" + device, "bs=64k", "oflag=direct")
                .run();

        assertThat(result.status()).isNotZero();
        assertThat(result.stderr()).contains("No space left on device");
        Tool.of("cmp", base, device).succeed();
        assertThat(home.daemonOf(image)).isEqualTo(daemon);
        home.detach(image);
        home.check(image);
        Tool.of("cmp", base, home.attach(image)).succeed();
    }

    /** What was set aside when the image was created is there whoever fills the disk; or there is no image. */
    @ParameterizedTest
    @EnumSource(Disk.class)
    void preallocatedImageNeedsNoRoom(Disk type) throws Exception {
        base = home.randomFile("base", 4, 1);
        disk = Files.createDirectory(home.path("disk"));
        type.mount(home, disk);
        Path tooLarge = disk.resolve("large.cow");
        Tool.Result refused = home.ucow("create", "--size", "1G", "--preallocate", "full", tooLarge)
                .exit(14);
        assertThat(refused.stderr()).hasLineCount(1).contains("make room");
        assertThat(tooLarge).doesNotExist();

        image = home.create("disk/vm.cow", base, "--preallocate", "full");
        Path map = home.create("disk/map.cow", base, "--preallocate", "metadata");
        Path ballast = disk.resolve(BALLAST);
        Tool.Result full =
                Tool.of("dd", "if=/dev/zero", "of=" + ballast, "bs=4k").run();
        assertThat(full.stderr()).contains("No space left on device");
        Path device = home.attach(image);
        for (long seed = 2; seed < 4; seed++) {
            Path content = home.randomFile("content" + seed, 4, seed);
            Tool.of("dd", "if=" + content, "of=" + device, "bs=64k", "oflag=direct", "conv=fsync")
                    .succeed();
            Tool.of("cmp", content, device).succeed();
            Tool.of("blkdiscard", device).succeed();
        }
        home.detach(image);
        home.check(image);
        Tool.of("blkdiscard", home.attach(map)).succeed();
        home.detach(map);
        home.check(map);
        // Else a map that found no room is still in the journal.
        assertThat(home.ucow("info", map).succeed().stdout()).contains("closed cleanly: yes");
    }

    /** @return how many writes succeeded before one failed, which it must with {@code ENOSPC} */
    private static int fill(DirectFile device) throws IOException {
        for (int i = 0; i < DEVICE_MIB * MIB / STRIDE; i++) {
            try {
                write(device, i);
            } catch (NativeException e) {
                assertThat(e.errno()).as("%s", e).isEqualTo(Errno.ENOSPC);
                return i;
            }
        }
        throw new AssertionError("the disk was never full");
    }

    private static void write(DirectFile device, int index) throws IOException {
        device.write((long) index * STRIDE, content(index));
    }

    /** The first {@code written} strides begin with what was written, all else is the base's. */
    private void compare(DirectFile device, int written) throws IOException {
        try (DirectFile origin = DirectFile.open(base)) {
            for (int i = 0; i < DEVICE_MIB * MIB / STRIDE; i++) {
                long offset = (long) i * STRIDE;
                byte[] expected = i < written ? content(i) : origin.read(offset, WRITE);
                assertThat(device.read(offset, WRITE)).as("stride %d", i).isEqualTo(expected);
                assertThat(device.read(offset + WRITE, WRITE))
                        .as("rest of stride %d", i)
                        .isEqualTo(origin.read(offset + WRITE, WRITE));
            }
        }
    }

    private static byte[] content(int index) {
        byte[] bytes = new byte[WRITE];
        new Random(index).nextBytes(bytes);
        return bytes;
    }
}
