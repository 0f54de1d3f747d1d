package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sizes of images as files: their bases, their layers, and who else has them open. */
class ResizeImageTest {
    private static final int BASE_BYTES = 700_000;
    private static final int BYTES = 300_000;

    @TempDir
    Path directory;

    private final byte[] content = new byte[BASE_BYTES];
    private Path base;
    private Path image;

    @BeforeEach
    void makeImage() throws IOException {
        new Random(3).nextBytes(content);
        base = Files.write(directory.resolve("base.img"), content);
        image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(BYTES), 16384, "ucow"));
    }

    /** The base has more than the device ever had; none of it comes to light. */
    @Test
    void largerBaseDoesNotShowThrough() throws IOException {
        Images.resize(image, BASE_BYTES + 100_000, false);
        assertHolds(image, Arrays.copyOf(Arrays.copyOf(content, BYTES), BASE_BYTES + 100_000));
        Images.resize(image, 20_000, true);
        Images.resize(image, BYTES, false);
        assertHolds(image, Arrays.copyOf(Arrays.copyOf(content, 20_000), BYTES));
    }

    @Test
    void layersKeepTheirSize() throws IOException {
        Path layer = Images.snapshot(image, Optional.empty());
        Images.resize(image, BASE_BYTES, false);
        assertHolds(image, Arrays.copyOf(Arrays.copyOf(content, BYTES), BASE_BYTES));
        assertThat(Images.info(image).alteredChunks() + Images.info(image).zeroChunks())
                .as("the layer ends where the device did")
                .isZero();
        Images.resize(image, 100_000, true);
        Path second = Images.snapshot(image, Optional.empty());
        Images.resize(image, BYTES, false);
        assertHolds(image, Arrays.copyOf(Arrays.copyOf(content, 100_000), BYTES));
        assertHolds(layer, Arrays.copyOf(content, BYTES));
        assertHolds(second, Arrays.copyOf(content, 100_000));
    }

    @Test
    void imageInUseOrBehindOneIsRefused() throws IOException {
        Images.snapshot(image, Optional.empty());
        Path layer = directory.resolve("vm.1.cow");
        for (boolean readOnly : new boolean[] {true, false}) {
            try (CowDevice device = Images.open(image, readOnly)) {
                assertThat(device.sizeBytes()).isEqualTo(BYTES);
                for (Path used : new Path[] {image, layer}) {
                    assertThatThrownBy(() -> Images.resize(used, BASE_BYTES, false))
                            .isInstanceOf(StoreInUseException.class);
                }
            }
        }
        assertHolds(image, Arrays.copyOf(content, BYTES));
    }

    @Test
    void imageThatWasNotClosedIsRecoveredFirst() throws IOException {
        Path killed = directory.resolve("killed.cow");
        try (CowDevice device = Images.open(image, false)) {
            device.write(BYTES - 2, TestDevices.direct(new byte[] {9, 9}, 0, 2));
            Files.copy(image, killed);
        }
        Images.resize(killed, BYTES + 50_000, false);
        byte[] expected = Arrays.copyOf(content, BYTES);
        Arrays.fill(expected, BYTES - 2, BYTES, (byte) 9);
        assertHolds(killed, Arrays.copyOf(expected, BYTES + 50_000));
    }

    /** A compressed chunk that the device ends in has bytes past that end, too, and none of them comes to light. */
    @Test
    void compressedTailReadsZerosPastTheOldEnd() throws IOException {
        Path packed = directory.resolve("packed.cow");
        byte[] model = new byte[BYTES];
        Arrays.fill(model, (byte) 7);
        Images.create(new CreateOptions(
                packed,
                Optional.of(base),
                OptionalLong.of(BYTES),
                "ucow",
                StoreOptions.ofChunk(65536).withCodec("lz4")));
        write(packed, model);
        assertThat(Images.info(packed).packedChunks())
                .as("all but the last, which the base has a part of")
                .isEqualTo(4);

        Images.resize(packed, 100_000, true);
        assertHolds(packed, Arrays.copyOf(model, 100_000));
        Images.resize(packed, BASE_BYTES, false);
        assertHolds(packed, Arrays.copyOf(Arrays.copyOf(model, 100_000), BASE_BYTES));
    }

    @Test
    void compressedImageIsCommittedAndExported() throws IOException {
        Path packed = directory.resolve("packed.cow");
        Images.create(new CreateOptions(
                packed,
                Optional.of(base),
                OptionalLong.empty(),
                "ucow",
                StoreOptions.ofChunk(65536).withCodec("lz4")));
        byte[] model = content.clone();
        Arrays.fill(model, 0, BYTES, (byte) 7);
        write(packed, Arrays.copyOf(model, BYTES));
        assertThat(Images.info(packed).packedChunks()).isPositive();

        Path stream = directory.resolve("stream");
        try (DeltaExport export = DeltaExport.open(packed, Optional.empty());
                FileChannel out = FileChannel.open(stream, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            export.writeTo(out, bytes -> {});
        }
        Path copy = directory.resolve("copy.cow");
        try (FileChannel in = FileChannel.open(stream)) {
            DeltaImport.open(in, "stream", bytes -> {}).to(copy);
        }
        assertHolds(copy, model);
        Images.commit(packed, bytes -> {});
        assertHolds(packed, model);
        assertThat(Files.readAllBytes(base)).isEqualTo(model);
    }

    private static void write(Path path, byte[] bytes) throws IOException {
        try (CowDevice device = Images.open(path, new OpenOptions(false, CacheMode.WRITEBACK, false, false))) {
            device.write(0, TestDevices.direct(bytes, 0, bytes.length));
            device.packAll();
        }
    }

    @Test
    void changedBaseIsRefused() throws IOException {
        Files.write(base, new byte[] {1});
        assertThatThrownBy(() -> Images.resize(image, BASE_BYTES, false)).isInstanceOf(OriginChangedException.class);
        assertThat(Images.info(image).geometry().sizeBytes()).isEqualTo(BYTES);
    }

    private static void assertHolds(Path path, byte[] expected) throws IOException {
        try (CowDevice device = Images.open(path, true)) {
            assertThat(device.sizeBytes()).isEqualTo(expected.length);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, expected.length), expected))
                    .isEqualTo(-1);
        }
        assertThat(Images.check(path).isSound()).isTrue();
    }
}
