package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What is discarded or zeroed reads as zeros, never as the base again, and its space is given back (G8). */
class DiscardIT {
    private static final int MIB = 1 << 20;
    private static final int MEBIBYTES = 32;
    private static final Duration GIVING_BACK_LIMIT = Duration.ofSeconds(20);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path image;

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("blkdiscard", "fallocate", "fstrim", "cmp", "mkfs.ext4", "e2fsck", "truncate");
    }

    @BeforeEach
    void createImage() throws IOException {
        base = home.randomFile("base", MEBIBYTES, 1);
        image = home.create("vm.cow", base);
    }

    @Test
    void blkdiscardOnTheDevice() throws Exception {
        Path device = home.attach(image);
        fillAll(device);
        long before = occupied(image);

        Tool.of("blkdiscard", "-o", 4 * MIB, "-l", 16 * MIB, device).succeed();

        requireZeros(device, 4 * MIB, 16 * MIB);
        requireFill(device, 0, 4 * MIB);
        requireFill(device, 20 * MIB, 12 * MIB);
        awaitOccupied(image, before - 15 * MIB);
        home.detach(device);
        home.check(image);
        device = home.attach(image);
        requireZeros(device, 4 * MIB, 16 * MIB);
        requireFill(device, 20 * MIB, 12 * MIB);
    }

    @Test
    void blkdiscardWithZeroOutOnTheDevice() throws Exception {
        Path device = home.attach(image);

        Tool.of("blkdiscard", "--zeroout", "-o", 4 * MIB, "-l", 16 * MIB, device)
                .succeed();

        requireZeros(device, 4 * MIB, 16 * MIB);
        requireBase(device, 0, 4 * MIB);
        requireBase(device, 20 * MIB, 12 * MIB);
        assertThat(occupied(image)).isLessThan(6 * MIB); // nothing was written
    }

    @Test
    void fallocateOnTheFile() throws Exception {
        MountedImage mounted = home.mount(image);
        Path file = mounted.file();
        fillAll(file);
        long before = occupied(image);

        Tool.of("fallocate", "--punch-hole", "-o", 4 * MIB, "-l", 8 * MIB, file).succeed();
        Tool.of("fallocate", "--zero-range", "-o", 16 * MIB, "-l", 8 * MIB, file)
                .succeed();

        requireZeros(file, 4 * MIB, 8 * MIB);
        requireZeros(file, 16 * MIB, 8 * MIB);
        requireFill(file, 12 * MIB, 4 * MIB);
        awaitOccupied(image, before - 15 * MIB);
        mounted.kill();
        file = home.mountAt(mounted.dir(), image).file();
        requireZeros(file, 4 * MIB, 8 * MIB);
        requireZeros(file, 16 * MIB, 8 * MIB);
        requireFill(file, 12 * MIB, 4 * MIB);
    }

    /** Unaltered chunks, and parts of chunks: the base must not shine through, nor the neighbours suffer. */
    @Test
    void partsOfUnalteredChunks() throws Exception {
        Path file = home.mount(image).file();
        int from = 5 * DirectFile.BLOCK;
        int length = 11 * DirectFile.BLOCK; // from within one chunk of 32 KiB to the end of the next

        Tool.of("fallocate", "--punch-hole", "-o", from, "-l", length, file).succeed();
        Tool.of("fallocate", "--punch-hole", "-o", MIB + 100, "-l", 1000, file).succeed();

        requireBase(file, 0, from);
        requireZeros(file, from, length);
        requireBase(file, from + length, MIB + 100 - from - length);
        requireZeros(file, MIB + 100, 1000);
        requireBase(file, MIB + 1100, MIB);
    }

    @Test
    void fstrimOfAFileSystem() throws Exception {
        Requirements.fileSystem("ext4");
        Path disk = home.sparseFile("ext4", 96 * MIB);
        Tool.of("mkfs.ext4", "-q", disk).succeed();
        Path trimmed = home.create("trimmed.cow", disk);
        Path device = home.attach(trimmed);
        try (TempMount mount = TempMount.of(device)) {
            byte[] bytes = new byte[48 * MIB];
            new Random(3).nextBytes(bytes);
            Path file = Files.write(mount.root().resolve("file"), bytes);
            Tool.of("sync", "-f", file).succeed();
            long before = occupied(trimmed);
            assertThat(before).isGreaterThan(48 * MIB);
            Files.delete(file);
            Tool.of("sync", "-f", mount.root()).succeed();

            Tool.of("fstrim", mount.root()).succeed();

            awaitOccupied(trimmed, before - 40 * MIB);
        }
        Tool.of("e2fsck", "-f", "-n", device).succeed();
    }

    /** Over and over, room for one device is enough. */
    @Test
    void spaceIsUsedAgain() throws Exception {
        Path device = home.attach(image);
        for (int round = 0; round < 4; round++) {
            fillAll(device);
            Tool.of("blkdiscard", device).succeed();
        }
        fillAll(device);

        requireFill(device, 0, MEBIBYTES * MIB);
        home.detach(device);
        assertThat(Files.size(image)).isLessThan(3L * MEBIBYTES * MIB);
        assertThat(occupied(image)).isLessThan((MEBIBYTES + 8) * MIB);
    }

    private static byte[] fill(int mebibyte) {
        byte[] bytes = new byte[MIB];
        new Random(1000 + mebibyte).nextBytes(bytes);
        return bytes;
    }

    private static void fillAll(Path file) throws IOException {
        try (DirectFile out = DirectFile.open(file)) {
            for (int i = 0; i < MEBIBYTES; i++) {
                out.write((long) i * MIB, fill(i));
            }
            out.sync();
        }
    }

    private static void requireFill(Path file, int offset, int length) throws IOException {
        try (DirectFile in = DirectFile.open(file)) {
            for (int at = offset; at < offset + length; at += MIB) {
                assertThat(in.read(at, MIB)).as("at %d", at).isEqualTo(fill(at / MIB));
            }
        }
    }

    private static void requireZeros(Path file, int offset, int length) throws IOException {
        Tool.of("cmp", "-n", length, "-i", offset + ":0", file, "/dev/zero").succeed();
    }

    private void requireBase(Path file, int offset, int length) throws IOException {
        Tool.of("cmp", "-n", length, "-i", offset, file, base).succeed();
    }

    /** As {@code du} has it. */
    private static long occupied(Path file) throws IOException {
        return Long.parseLong(Tool.of("du", "-k", file).succeed().stdout().split("\t", -1)[0]) << 10;
    }

    /** Space is given back behind the requests' back, once it is certain that no power loss can ask for it again. */
    private static void awaitOccupied(Path file, long atMost) throws IOException {
        Changes.await(
                file,
                Libc.IN_MODIFY,
                GIVING_BACK_LIMIT,
                "no more than " + atMost + " bytes occupied",
                () -> occupied(file) <= atMost);
    }
}
