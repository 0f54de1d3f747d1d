package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** As {@link CowDeviceModelTest}, in a store that compresses and packs what it can now and then. */
class PackedDeviceModelTest {
    private static final int OPERATIONS = 300;

    static Stream<Arguments> cases() {
        return Stream.of(Compression.MIN_CHUNK_SHIFT, 15, 17, Geometry.MAX_CHUNK_SHIFT)
                .flatMap(shift -> IntStream.range(0, 4).mapToObj(seed -> Arguments.of(shift, seed)));
    }

    @ParameterizedTest(name = "chunk 2^{0}, seed {1}")
    @MethodSource("cases")
    void deviceEqualsModel(int chunkShift, int seed) throws IOException {
        Random random = new Random(seed * 37L + chunkShift);
        int chunk = 1 << chunkShift;
        int size = chunk * 7 + 1 + random.nextInt(chunk);
        byte[] base = new byte[seed % 2 == 0 ? 0 : size / 3 + 77];
        random.nextBytes(base);
        byte[] model = Arrays.copyOf(base, size);
        UcowFormat format = new UcowFormat();
        SparseFile image = new SparseFile();
        OriginReference reference =
                base.length == 0 ? null : new OriginReference("base", base.length, 0, 0, "00".repeat(32), false);
        format.create(
                image, size, reference, StoreOptions.ofChunk(1 << chunkShift).withCodec("lz4"));
        CowDevice device = open(format, image, base, seed);
        long packed = 0;
        for (int i = 0; i < OPERATIONS; i++) {
            int offset = random.nextInt(size);
            int limit = random.nextBoolean() ? Math.min(size - offset, 5000) : size - offset;
            int length = random.nextInt(limit + 1);
            switch (random.nextInt(14)) {
                case 0, 1, 2, 3 -> {
                    byte[] data = compressible(random, length);
                    device.write(offset, TestDevices.direct(data, 0, length));
                    System.arraycopy(data, 0, model, offset, length);
                }
                case 4 -> {
                    device.discard(offset, length);
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                case 5 -> device.flush();
                case 6, 7 -> {
                    TestDevices.packAll(device);
                    packed = Math.max(packed, device.stats().packedChunks());
                }
                case 8 -> {
                    if (random.nextInt(8) == 0) {
                        device.close();
                        assertSound(format, image);
                        device = open(format, image, base, seed);
                    }
                }
                case 9 -> TestDevices.move(device, random.longs(4, 0, 8).toArray());
                default ->
                    assertThat(TestDevices.read(device, offset, length))
                            .as("operation %d at %d", i, offset)
                            .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
            }
        }
        assertThat(packed).as("packed chunks").isPositive();
        device.close();
        assertSound(format, image);
        try (CowDevice reopened = open(format, image, base, seed)) {
            assertThat(TestDevices.read(reopened, 0, size)).isEqualTo(model);
        }
    }

    /** Of some variety, so that some of it can be compressed, and some is not worth it. */
    private static byte[] compressible(Random random, int length) {
        byte[] data = new byte[length];
        int variety = 1 + random.nextInt(9);
        for (int at = 0; at < length; at++) {
            if (random.nextInt(10_000) == 0) {
                variety = random.nextInt(5) == 0 ? 256 : 1 + random.nextInt(9);
            }
            data[at] = (byte) random.nextInt(variety);
        }
        return data;
    }

    private static void assertSound(UcowFormat format, SparseFile image) throws IOException {
        CheckReport report = format.check(image, Path.of("x"), TestDevices.BOOT);
        assertThat(report.corruptions()).isEmpty();
        assertThat(report.leakedBytes()).isZero();
    }

    private static CowDevice open(UcowFormat format, SparseFile file, byte[] base, int seed) throws IOException {
        Origin origin = TestDevices.origin(base);
        return seed == 3
                ? TestDevices.openDetecting(format, file, origin, TestDevices.BOOT)
                : TestDevices.open(format, file, origin, TestDevices.BOOT);
    }
}
