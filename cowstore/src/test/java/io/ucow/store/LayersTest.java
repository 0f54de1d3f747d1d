package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images whose base is an image. */
class LayersTest {
    private static final int BASE_BYTES = 700_001;

    @TempDir
    Path directory;

    private Path base;
    private byte[] content;

    @BeforeEach
    void makeBase() throws IOException {
        content = new byte[BASE_BYTES];
        new Random(1).nextBytes(content);
        base = Files.write(directory.resolve("base.img"), content);
    }

    /** Chunk sizes and sizes differ: a layer ends within a chunk of the one above it. */
    @Test
    void readsGoDownThroughThreeLayers() throws IOException {
        Random random = new Random(2);
        byte[] model = content;
        Path below = base;
        int[] sizes = {900_000, 500_003, 1_200_000};
        int[] chunks = {65536, 4096, 32768};
        for (int layer = 0; layer < 3; layer++) {
            Path image = create("layer" + layer + ".cow", below, sizes[layer], chunks[layer]);
            model = Arrays.copyOf(model, sizes[layer]);
            try (CowDevice device = Images.open(image, false)) {
                changeAtRandom(device, model, random);
                assertThat(TestDevices.read(device, 0, sizes[layer])).isEqualTo(model);
            }
            below = image;
        }
        try (CowDevice device = Images.open(below, false)) {
            for (int i = 0; i < 300; i++) {
                int at = random.nextInt(model.length);
                int length = random.nextInt(Math.min(100_000, model.length - at) + 1);
                assertThat(TestDevices.read(device, at, length)).isEqualTo(Arrays.copyOfRange(model, at, at + length));
            }
            assertHolesAreZeros(device, model);
            changeAtRandom(device, model, random);
            assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(content);
    }

    private static void changeAtRandom(CowDevice device, byte[] model, Random random) throws IOException {
        for (int i = 0; i < 60; i++) {
            int at = random.nextInt(model.length);
            byte[] bytes = new byte[random.nextInt(Math.min(40_000, model.length - at)) + 1];
            if (random.nextInt(4) == 0) {
                device.discard(at, bytes.length);
            } else {
                random.nextBytes(bytes);
                device.write(at, TestDevices.direct(bytes, 0, bytes.length));
            }
            System.arraycopy(bytes, 0, model, at, bytes.length);
        }
    }

    private static void assertHolesAreZeros(CowDevice device, byte[] model) throws IOException {
        long at = 0;
        while (at < model.length) {
            long data = device.seekData(at);
            for (long i = at; i < data; i++) {
                assertThat(model[(int) i]).as("hole at %d", i).isZero();
            }
            at = data < model.length ? device.seekHole(data) : data;
        }
    }

    @Test
    void zeroChunksAndWhatIsPastTheEndAreHoles() throws IOException {
        Path layer = create("layer.cow", base, 131_072, 4096);
        try (CowDevice device = Images.open(layer, false)) {
            device.discard(8192, 16384);
        }
        Path image = create("vm.cow", layer, 1 << 20, 32768);
        try (CowDevice device = Images.open(image, true)) {
            assertThat(device.seekHole(0)).isEqualTo(8192);
            assertThat(device.seekData(8192)).isEqualTo(24576);
            assertThat(device.seekHole(24576)).isEqualTo(131_072);
            assertThat(device.seekData(131_072)).isEqualTo(1 << 20);
        }
    }

    @Test
    void readingAllocatesNothing() throws IOException {
        Path top = create(
                "a.cow", create("b.cow", create("c.cow", base, BASE_BYTES, 4096), BASE_BYTES, 65536), 1 << 20, 4096);
        try (CowDevice device = Images.open(top, true)) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(65536);
            var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
            for (int i = 0; i < 20_000; i++) {
                device.read(i, buffer.clear());
            }
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 1000; i++) {
                device.read(i, buffer.clear());
            }
            assertThat(threads.getCurrentThreadAllocatedBytes() - before).isLessThan(16_000);
        }
    }

    @Test
    void imageSaysThatItsBaseIsOne() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path image = create("vm.cow", layer, 1 << 20, 4096);

        ImageInfo info = Images.info(image);

        assertThat(info.base()).contains(layer);
        assertThat(info.baseIsImage()).isTrue();
        assertThat(info.baseSizeBytes()).isEqualTo(BASE_BYTES);
        assertThat(Images.info(layer).baseIsImage()).isFalse();
        assertThat(Images.layersBelow(info)).extracting(ImageInfo::image).containsExactly(layer);
        assertThat(Images.check(image).isSound()).isTrue();
    }

    /** Only {@code create} asks a file what it is: a header that a guest wrote on its raw disk is content. */
    @Test
    void rawBaseIsNotProbedAtOpen() throws IOException {
        Path image = create("vm.cow", base, BASE_BYTES, 4096);
        Path second = create("second.cow", base, BASE_BYTES, 4096);
        // As long as the base and with its identity, but a ucow image to whoever probes.
        byte[] header = Arrays.copyOf(Files.readAllBytes(second), 8192);
        System.arraycopy(header, 0, content, 0, header.length);
        Files.write(base, content);
        byte[] raw = content.clone();
        Path probed = directory.resolve("probed.cow");
        try (FileOrigin origin = FileOrigin.open(base, CacheMode.WRITEBACK);
                NativeFile file = NativeFile.create(probed, 0600)) {
            new UcowFormat().create(file, BASE_BYTES, origin.reference("base.img"), StoreOptions.ofChunk(1 << 12));
        }

        try (CowDevice device = Images.open(probed, false)) {
            assertThat(TestDevices.read(device, 0, BASE_BYTES)).isEqualTo(raw);
        }
        assertThatThrownBy(() -> Images.open(image, false)).isInstanceOf(OriginChangedException.class);
    }

    @Test
    void layerThatWasWrittenToIsRefused() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path image = create("vm.cow", layer, BASE_BYTES, 4096);
        try (CowDevice device = Images.open(layer, false)) {
            device.write(0, TestDevices.direct(new byte[] {1, 2, 3}, 0, 3));
        }
        Files.setLastModifiedTime(layer, FileTime.from(Instant.EPOCH));
        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(OriginChangedException.class)
                .hasMessageStartingWith(layer + ": base changed since " + image + " was created: its content differs");
    }

    @Test
    void layerThatIsMissingOrNoImageAnyMoreIsRefused() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path image = create("vm.cow", layer, BASE_BYTES, 4096);
        Files.delete(layer);
        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(OriginChangedException.class)
                .hasMessage(layer + ": base of " + image + " is missing; move it back to that place, or say where it is"
                        + " now: ucow rebase --unsafe --base BASE " + image);
        Files.write(layer, content);
        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(OriginChangedException.class)
                .hasMessageContaining("it is no image any more");
    }

    @Test
    void layerInUseCannotBeWrittenAndOneBeingWrittenIsNoBase() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path image = create("vm.cow", layer, BASE_BYTES, 4096);
        Path other = create("other.cow", layer, BASE_BYTES, 4096);
        try (CowDevice device = Images.open(image, false);
                CowDevice another = Images.open(other, false)) {
            assertThat(TestDevices.read(device, 7, 9)).isEqualTo(TestDevices.read(another, 7, 9));
            assertThatThrownBy(() -> Images.open(layer, false))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining("or the base of an image that is");
        }
        try (CowDevice device = Images.open(layer, false)) {
            assertThat(device.isReadOnly()).isFalse();
            assertThatThrownBy(() -> Images.open(image, false))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageStartingWith(layer.toString());
            assertThatThrownBy(() -> create("new.cow", layer, BASE_BYTES, 4096))
                    .isInstanceOf(StoreInUseException.class);
        }
        assertThat(directory.resolve("new.cow")).doesNotExist();
    }

    /** After power loss it might hold something else. */
    @Test
    void imageThatWasNotClosedIsNoBase() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path copy = directory.resolve("copy.cow");
        try (CowDevice device = Images.open(layer, false)) {
            device.write(0, TestDevices.direct(new byte[] {1}, 0, 1));
            Files.copy(layer, copy);
        }
        assertThatThrownBy(() -> create("vm.cow", copy, BASE_BYTES, 4096))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("was not closed properly");
        Images.open(copy, false).close();
        create("vm.cow", copy, BASE_BYTES, 4096);
    }

    @Test
    void chainsHaveALimit() throws IOException {
        Path below = base;
        for (int i = 0; i < Chain.MAX_IMAGES; i++) {
            below = create(i + ".cow", below, 4096, 4096);
        }
        Path last = below;
        try (CowDevice device = Images.open(last, false)) {
            assertThat(TestDevices.read(device, 0, 4096)).isEqualTo(Arrays.copyOf(content, 4096));
        }
        assertThatThrownBy(() -> create("more.cow", last, 4096, 4096))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("would be image 65 of one chain, and there may be 64");
        assertThat(directory.resolve("more.cow")).doesNotExist();
        byte[] before = Files.readAllBytes(last);
        assertThatThrownBy(() -> Images.snapshot(last, Optional.empty()))
                .isInstanceOf(UnsupportedFormatException.class);
        assertThat(Files.readAllBytes(last)).isEqualTo(before);
    }

    /** By what it is, not by its name. */
    @Test
    void imageBehindItselfIsRefused() throws IOException {
        Path layer = create("layer.cow", base, BASE_BYTES, 4096);
        Path image = create("vm.cow", layer, BASE_BYTES, 4096);
        Files.delete(layer);
        Files.createLink(layer, image);
        for (boolean readOnly : List.of(true, false)) {
            assertThatThrownBy(() -> Images.open(image, readOnly))
                    .isInstanceOf(OriginChangedException.class)
                    .hasMessageStartingWith(layer + ": is the base of " + image + ", and that one");
        }
        assertThatThrownBy(() -> Images.layersBelow(Images.info(image))).isInstanceOf(OriginChangedException.class);
    }

    @Test
    void directoryMayMoveAsAWhole() throws IOException {
        Path image = create("vm.cow", create("layer.cow", base, BASE_BYTES, 4096), BASE_BYTES, 4096);
        Path moved = directory.resolveSibling(directory.getFileName() + "-moved");
        Files.move(directory, moved, StandardCopyOption.ATOMIC_MOVE);
        try (CowDevice device = Images.open(moved.resolve(image.getFileName()), true)) {
            assertThat(TestDevices.read(device, 0, BASE_BYTES)).isEqualTo(content);
        } finally {
            Files.move(moved, directory, StandardCopyOption.ATOMIC_MOVE);
        }
    }

    private Path create(String name, Path below, long sizeBytes, int chunkBytes) throws IOException {
        Path image = directory.resolve(name);
        Images.create(new CreateOptions(image, Optional.of(below), OptionalLong.of(sizeBytes), chunkBytes, "ucow"));
        return image;
    }
}
