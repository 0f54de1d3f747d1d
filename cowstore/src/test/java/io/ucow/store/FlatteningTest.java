package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Flattening on real files: the content, the holes, and that OUT is complete or not there. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FlatteningTest {
    private static final int BASE_BYTES = 1_000_001;
    private static final int SIZE = 3_000_001;

    @TempDir
    Path directory;

    private byte[] expected;
    private CowDevice device;
    private Path out;

    @BeforeEach
    void makeDevice() throws IOException {
        byte[] base = new byte[BASE_BYTES];
        new Random(1).nextBytes(base);
        Path baseFile = Files.write(directory.resolve("base.img"), base);
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(baseFile), OptionalLong.of(SIZE), 65536, "ucow"));
        device = Images.open(image, false);
        byte[] zeros = new byte[200_000];
        device.write(100_000, TestDevices.direct(zeros, 0, zeros.length));
        device.write(2_000_000, TestDevices.direct(base, 0, 5000));
        expected = Arrays.copyOf(base, SIZE);
        Arrays.fill(expected, 100_000, 300_000, (byte) 0);
        System.arraycopy(base, 0, expected, 2_000_000, 5000);
        out = directory.resolve("out");
    }

    @AfterEach
    void closeDevice() throws IOException {
        device.close();
    }

    @Test
    void rawFileHasTheContentAndHoles() throws IOException {
        Flattening.toRaw(device, out, bytes -> {});

        assertThat(Files.readAllBytes(out)).isEqualTo(expected);
        try (NativeFile file = NativeFile.open(out, 0)) {
            assertThat(file.allocatedBytes()).isLessThan(BASE_BYTES);
        }
        assertNoParts();
    }

    @Test
    void imageHasTheContentAndNoBase() throws IOException {
        Flattening.toImage(device, out, "ucow", StoreOptions.ofChunk(4096), Optional.empty(), bytes -> {});

        try (CowDevice flat = Images.open(out, true)) {
            assertThat(TestDevices.read(flat, 0, SIZE)).isEqualTo(expected);
            assertThat(flat.info().base()).isEmpty();
            assertThat(flat.info().clean()).isTrue();
            assertThat(flat.info().alteredChunks()).isLessThan(BASE_BYTES / 4096);
        }
        assertThat(Images.check(out).isSound()).isTrue();
        assertNoParts();
    }

    @Test
    void whatIsThereStays() throws IOException {
        Files.writeString(out, "mine");

        assertThatThrownBy(() -> Flattening.toRaw(device, out, bytes -> {}))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThatThrownBy(() -> Flattening.toImage(
                        device, out, "ucow", StoreOptions.ofChunk(4096), Optional.empty(), bytes -> {}))
                .isInstanceOf(FileAlreadyExistsException.class);

        assertThat(out).hasContent("mine");
        assertNoParts();
    }

    @Test
    void whatAppearsMeanwhileStays() {
        assertThatThrownBy(() -> Flattening.toRaw(device, out, bytes -> write(out, "mine")))
                .isInstanceOf(FileAlreadyExistsException.class);

        assertThat(out).hasContent("mine");
        assertNoParts();
    }

    @Test
    void failureLeavesNothing() {
        assertThatThrownBy(() -> Flattening.toImage(
                        device, out, "vmdk", StoreOptions.ofChunk(4096), Optional.empty(), bytes -> {}))
                .isInstanceOf(UnsupportedFormatException.class);
        assertThatThrownBy(() -> Flattening.toRaw(device, out, bytes -> {
                    throw new IllegalStateException("enough");
                }))
                .isInstanceOf(IllegalStateException.class);

        assertThat(out).doesNotExist();
        assertNoParts();
    }

    @Test
    void leftoversOfTheDeadAreRemovedAndThoseInUseAreNot() throws IOException {
        Path dead = Files.writeString(directory.resolve("out.ucow-part-00000000"), "dead");
        Path other = Files.writeString(directory.resolve("other.ucow-part-00000000"), "of another file");
        Path users = Files.writeString(directory.resolve("out.ucow-part-list"), "the user's own");
        Path alive = directory.resolve("out.ucow-part-11111111");
        try (NativeFile writer = NativeFile.create(alive, 0644)) {
            assertThat(writer.tryLock(true)).isTrue();
            writer.write(ByteBuffer.allocateDirect(10), 0);

            Flattening.toRaw(device, out, bytes -> {});

            assertThat(dead).doesNotExist();
            assertThat(alive).exists();
            assertThat(other).exists();
            assertThat(users).exists();
        }
        assertThat(Files.readAllBytes(out)).isEqualTo(expected);
    }

    @Test
    void contentIsThatOfAnImageOrOfARawFile() throws IOException {
        Flattening.toRaw(device, out, bytes -> {});
        device.close();
        try (Origin raw = Images.openContent(out);
                Origin image = Images.openContent(directory.resolve("vm.cow"))) {
            assertThat(raw.sizeBytes()).isEqualTo(SIZE);
            assertThat(image.sizeBytes()).isEqualTo(SIZE);
            assertThat(DeviceDiff.compare(raw, image, (offset, length) -> {}, bytes -> {}))
                    .isFalse();
        }
        Path qcow2 = Files.write(directory.resolve("x.qcow2"), new byte[] {'Q', 'F', 'I', (byte) 0xfb, 0, 0, 0, 3});
        assertThatThrownBy(() -> Images.openContent(qcow2).close())
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("cluster_bits 0");
    }

    private static void write(Path file, String text) {
        try {
            Files.writeString(file, text);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private void assertNoParts() {
        try (Stream<Path> files = Files.list(directory)) {
            List<String> names = files.map(f -> f.getFileName().toString()).toList();
            assertThat(names).noneMatch(name -> name.contains(".ucow-part-"));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
