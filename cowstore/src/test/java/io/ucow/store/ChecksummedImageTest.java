package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Errno;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is done to images as a whole keeps their checksums right. */
class ChecksummedImageTest {
    private static final int CHUNK = 16 << 10;
    private static final int SIZE = 20 * CHUNK + 700;
    private static final int PAGE = 4096;
    private static final ScrubListener NOBODY = new ScrubListener() {
        @Override
        public void progress(long checkedBytes, long totalBytes) {}

        @Override
        public void damaged(long guestOffset, long lengthBytes) {}
    };

    @TempDir
    private Path dir;

    private final byte[] model = new byte[SIZE];

    private Path create(Optional<Path> base, OptionalLong maxBytes) throws IOException {
        Path image = dir.resolve("vm.cow");
        Images.create(new CreateOptions(
                image,
                base,
                OptionalLong.of(SIZE),
                "ucow",
                StoreOptions.ofChunk(CHUNK).withMaxBytes(maxBytes.orElse(0)).withChecksums(true)));
        return image;
    }

    private Path filled() throws IOException {
        Path image = create(Optional.empty(), OptionalLong.empty());
        new Random(1).nextBytes(model);
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, TestDevices.direct(model, 0, SIZE));
        }
        return image;
    }

    @Test
    void snapshotHasThemTooAndTheLayersAreCompared() throws IOException {
        Path image = filled();
        Path layer = Images.snapshot(image, Optional.empty());
        assertThat(Images.info(image).checksums()).isTrue();
        assertThat(Images.scrub(layer, false, 0, NOBODY).learnedBytes()).isZero();
        try (CowDevice device = Images.open(image, false)) {
            assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
            device.write(3 * CHUNK, TestDevices.direct(model, 0, 100));
        }
        long at = Images.info(layer).geometry().chunkSize() + dataStart(layer);
        flip(layer, at);
        assertThat(Images.scrub(layer, true, 0, NOBODY).damagedBytes()).isEqualTo(PAGE);
        try (CowDevice device = Images.open(layer, true)) {
            assertThatThrownBy(() -> TestDevices.read(device, 0, SIZE))
                    .isInstanceOf(DamagedBlockException.class)
                    .hasMessageContaining(layer.toString());
        }
    }

    @Test
    void growthOfADeviceThatEndsInAChunkDamagesNothing() throws IOException {
        Path base = dir.resolve("base");
        byte[] bytes = new byte[SIZE + 3 * CHUNK];
        new Random(2).nextBytes(bytes);
        Files.write(base, bytes);
        System.arraycopy(bytes, 0, model, 0, SIZE);
        Path image = create(Optional.of(base), OptionalLong.empty());
        for (int size : new int[] {SIZE + 1000, SIZE + CHUNK, SIZE + 2 * CHUNK + 77}) {
            try (CowDevice device = Images.open(image, false)) {
                device.write(SIZE - 300, TestDevices.direct(model, SIZE - 300, 300));
                device.write(5 * CHUNK, TestDevices.direct(model, 5 * CHUNK, CHUNK));
            }
            Images.resize(image, size, false);
            byte[] expected = Arrays.copyOf(model, size);
            try (CowDevice device = Images.open(image, false)) {
                assertThat(TestDevices.read(device, 0, size)).isEqualTo(expected);
                device.write(size - 5, ByteBuffer.allocateDirect(5));
            }
            assertThat(Images.check(image).corruptions()).isEmpty();
            assertThat(Images.scrub(image, false, 0, NOBODY).damagedBytes()).isZero();
        }
        Images.resize(image, 3 * CHUNK, true);
        Images.resize(image, SIZE, false);
        byte[] expected = Arrays.copyOf(Arrays.copyOf(model, 3 * CHUNK), SIZE);
        try (CowDevice device = Images.open(image, true)) {
            assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(expected);
        }
        assertThat(Images.scrub(image, false, 0, NOBODY).damagedBytes()).isZero();
    }

    /** A page of checksums that is damaged makes the image refuse to open; a repair forgets all of them. */
    @Test
    void repairForgetsThem() throws IOException {
        Path image = filled();
        flip(image, offsetOfSums(image) + 50);
        assertThatThrownBy(() -> Images.open(image, true).close()).isInstanceOf(CorruptStoreException.class);
        assertThat(Images.check(image).corruptions()).hasSize(1);
        RepairReport report = Images.repair(image);
        assertThat(report.checksumsDropped()).isTrue();
        assertThat(report.lost()).isEmpty();
        assertThat(Images.check(image).corruptions()).isEmpty();
        assertThat(Images.info(image).checksums()).isTrue();
        try (CowDevice device = Images.open(image, true)) {
            assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        }
        ScrubReport first = Images.scrub(image, false, 0, NOBODY);
        assertThat(first.learnedBytes()).isEqualTo(first.checkedBytes());
        assertThat(Images.scrub(image, false, 0, NOBODY).learnedBytes()).isZero();
    }

    @Test
    void maxSizeLeavesRoomForThem() throws IOException {
        long max = (4 << 20) + (64 << 10) + 14L * CHUNK;
        assertThatThrownBy(() -> create(Optional.empty(), OptionalLong.of(1 << 20)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is less than");
        Path image = create(Optional.empty(), OptionalLong.of(max));
        int written = 0;
        try (CowDevice device = Images.open(image, false)) {
            byte[] chunk = new byte[CHUNK];
            Arrays.fill(chunk, (byte) 7);
            while (written < 20) {
                device.write((long) written * CHUNK, TestDevices.direct(chunk, 0, CHUNK));
                written++;
            }
        } catch (IOException e) {
            assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC);
        }
        assertThat(written).isBetween(1, 12);
        assertThat(Files.size(image)).isLessThanOrEqualTo(max);
        assertThat(Images.info(image).clean()).isTrue();
        ScrubReport report = Images.scrub(image, false, 0, NOBODY);
        assertThat(report).isEqualTo(new ScrubReport((long) written * CHUNK, 0, 0));
    }

    private static long dataStart(Path image) throws IOException {
        return Long.parseLong(Images.info(image).details().get("data start"));
    }

    /** Where the first page of checksums is. */
    private static long offsetOfSums(Path image) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = (int) dataStart(image); at < bytes.limit(); at += PAGE) {
            if (bytes.getInt(at) == 0x4d555375) {
                return at;
            }
        }
        throw new AssertionError("no page of checksums");
    }

    private static void flip(Path image, long at) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(at);
            int was = file.read();
            file.seek(at);
            file.write(was ^ 8);
        }
    }
}
