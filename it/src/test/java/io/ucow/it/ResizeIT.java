package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code resize}: disks in use grow, and so does what stands on them; others shrink. */
@Timeout(value = 90, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ResizeIT {
    private static final int MIB = 1 << 20;
    private static final int USAGE = 2;
    private static final int BUSY = 12;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "cmp", "cp", "mkfs.ext4", "e2fsck", "resize2fs", "blockdev", "stat");
    }

    /** The base is larger than the disk, and full of something else. */
    @Test
    void diskGrowsUnderAMountedFileSystem() throws Exception {
        Requirements.fileSystem("ext4");
        Path image = home.create("vm.cow", home.randomFile("base", 96, 1), "--size", "48M");
        Path device = home.attach(image);
        Tool.of("mkfs.ext4", "-q", device).succeed();
        Path before = home.randomFile("before", 20, 2);
        Path data = home.randomFile("data", 60, 3);
        try (TempMount mount = TempMount.of(device)) {
            home.ucow("resize", "--shrink", image, "32M").exit(BUSY);
            assertThat(home.ucow("resize", image, "+48M").succeed().stdout()).isEmpty();
            assertThat(capacity(device)).isEqualTo(96 * MIB);
            Files.copy(before, mount.root().resolve("before"));
        }
        // Growing it while it is mounted takes a right that a container may lack.
        Tool.of("e2fsck", "-f", "-p", device).succeed();
        Tool.of("resize2fs", device).succeed();
        try (TempMount mount = TempMount.of(device)) {
            Files.copy(data, mount.root().resolve("data"));
        }
        Path content = home.path("content");
        Tool.of("cp", device, content).succeed();
        home.detach(device);

        home.check(image);
        Tool.of("e2fsck", "-f", "-n", content).succeed();
        Path again = home.attach(image);
        Tool.of("cmp", content, again).succeed();
        try (TempMount mount = TempMount.of(again)) {
            Tool.of("cmp", data, mount.root().resolve("data")).succeed();
            Tool.of("cmp", before, mount.root().resolve("before")).succeed();
        }
    }

    /** The kernel believes its own size of a file whose writes it keeps back: it must be told. */
    @ParameterizedTest
    @ValueSource(strings = {"writeback", "none"})
    void mountedFileGrowsAndReadsZeros(String cache) throws Exception {
        Path base = home.randomFile("base", 8, 1);
        Path image = home.create("vm.cow", base, "--size", "3000001");
        MountedImage mounted = home.mount("--cache", cache, image);
        Path file = mounted.file();
        assertThat(Files.size(file)).isEqualTo(3_000_001);

        home.ucow("resize", file, "6M").succeed();

        assertThat(Tool.of("stat", "--format=%s", file).succeed().line()).isEqualTo(Integer.toString(6 * MIB));
        Path expected = home.path("expected");
        try (var out = Files.newOutputStream(expected)) {
            out.write(java.util.Arrays.copyOf(Files.readAllBytes(base), 3_000_001));
            out.write(new byte[6 * MIB - 3_000_001]);
        }
        Tool.of("cmp", expected, file).succeed();
        byte[] written = {1, 2, 3};
        try (var disk = new java.io.RandomAccessFile(file.toFile(), "rw")) {
            disk.seek(6 * MIB - 3);
            disk.write(written);
            disk.getFD().sync();
        }
        mounted.unmount();
        home.check(image);
        home.ucow("resize", image, "4M").exit(USAGE);
        home.ucow("resize", "--shrink", image, "4M").succeed();
        home.ucow("resize", image, "+2M").succeed();
        home.check(image);
        MountedImage last = home.mount("--read-only", image);
        Tool.of("cmp", expected, last.file()).succeed();
    }

    /** Each is done, or says why it is not. */
    @Test
    void ofTwoAtOnceNoneIsLostUnnoticed() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 8, 1));
        Path file = home.mount(image).file();
        int done = 0;
        try (Tool.Running one = home.ucow("resize", file, "+1M").start();
                Tool.Running other = home.ucow("resize", file, "+1M").start()) {
            for (Tool.Result result : List.of(one.await(), other.await())) {
                if (result.status() == 0) {
                    done++;
                } else {
                    assertThat(result.status()).isEqualTo(BUSY);
                    assertThat(result.stderr()).contains("another command has made it 9437184 bytes large meanwhile");
                }
            }
        }
        assertThat(done).isPositive();
        assertThat(Files.size(file)).isEqualTo((8L + done) * MIB);
    }

    private static long capacity(Path device) throws IOException {
        return Long.parseLong(
                Tool.of("blockdev", "--getsize64", device).succeed().line());
    }
}
