package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Random requests of every kind against a byte array that gets the same ones; every chunk size, nothing aligned. */
class CowDeviceModelTest {
    private static final int OPERATIONS = 400;

    static Stream<Arguments> cases() {
        return IntStream.rangeClosed(Geometry.MIN_CHUNK_SHIFT, Geometry.MAX_CHUNK_SHIFT)
                .boxed()
                .flatMap(shift -> IntStream.range(0, 3).mapToObj(seed -> Arguments.of(shift, seed)));
    }

    @ParameterizedTest(name = "chunk 2^{0}, seed {1}")
    @MethodSource("cases")
    void deviceEqualsModel(int chunkShift, int seed) throws IOException {
        Random random = new Random(seed * 31L + chunkShift);
        int chunk = 1 << chunkShift;
        // A partial last chunk, and an origin that is shorter or longer than the device and no multiple of 512.
        int size = chunk * 6 + 1 + random.nextInt(chunk);
        byte[] base = new byte[seed == 0 ? size / 2 + 77 : size + (seed == 1 ? 0 : 1001)];
        random.nextBytes(base);
        byte[] model = Arrays.copyOf(Arrays.copyOf(base, Math.min(base.length, size)), size);
        UcowFormat format = new UcowFormat();
        try (FileSystem jimfs = Jimfs.newFileSystem(Configuration.unix())) {
            Path image = jimfs.getPath("/image.cow");
            try (ChannelFile file = new ChannelFile(image)) {
                format.create(file, new Geometry(size, chunkShift), null);
            }
            CowDevice device = open(format, image, base);
            for (int i = 0; i < OPERATIONS; i++) {
                int offset = random.nextInt(size);
                int limit = random.nextBoolean() ? Math.min(size - offset, 5000) : size - offset;
                int length = random.nextInt(limit + 1);
                switch (random.nextInt(12)) {
                    case 0, 1, 2, 3 -> {
                        byte[] data = new byte[length];
                        random.nextBytes(data);
                        device.write(offset, TestDevices.direct(data, 0, length));
                        System.arraycopy(data, 0, model, offset, length);
                    }
                    case 4 -> {
                        device.discard(offset, length);
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 5 -> {
                        device.writeZeroes(offset, length);
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 6 -> device.flush();
                    case 7 -> {
                        if (random.nextInt(8) == 0) {
                            device.close();
                            device = open(format, image, base);
                        }
                    }
                    default ->
                        assertThat(TestDevices.read(device, offset, length))
                                .as("operation %d at %d", i, offset)
                                .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
                }
            }
            device.close();
            try (CowDevice reopened = open(format, image, base)) {
                assertThat(TestDevices.read(reopened, 0, size)).isEqualTo(model);
            }
            try (ChannelFile file = new ChannelFile(image)) {
                assertThat(format.check(file, image, TestDevices.BOOT).corruptions())
                        .isEmpty();
            }
        }
    }

    private static CowDevice open(UcowFormat format, Path image, byte[] base) throws IOException {
        return TestDevices.open(format, new ChannelFile(image), TestDevices.origin(base), TestDevices.BOOT);
    }
}
