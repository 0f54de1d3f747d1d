package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.ucow.store.journal.UcowFormat;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Random requests of every kind against a byte array that gets the same ones; every chunk size, nothing aligned. */
class CowDeviceModelTest {
    private static final int OPERATIONS = 400;

    static Stream<Arguments> cases() {
        return IntStream.rangeClosed(Geometry.MIN_CHUNK_SHIFT, Geometry.MAX_CHUNK_SHIFT)
                .boxed()
                .flatMap(shift -> IntStream.range(0, 7)
                        .mapToObj(seed -> Arguments.of(shift, seed, seed == 3 || seed == 4, seed > 4)));
    }

    @ParameterizedTest(name = "chunk 2^{0}, seed {1}, zeros detected {2}, checksums {3}")
    @MethodSource("cases")
    void deviceEqualsModel(int chunkShift, int seed, boolean detectZeroes, boolean checksums) throws IOException {
        Random random = new Random(seed * 31L + chunkShift);
        int chunk = 1 << chunkShift;
        // A partial last chunk, and an origin that is shorter or longer than the device and no multiple of 512.
        int size = chunk * 6 + 1 + random.nextInt(chunk);
        byte[] base = new byte[seed % 4 == 0 ? size / 2 + 77 : size + (seed == 1 ? 0 : 1001)];
        random.nextBytes(base);
        byte[] model = Arrays.copyOf(Arrays.copyOf(base, Math.min(base.length, size)), size);
        UcowFormat format = new UcowFormat();
        try (FileSystem jimfs = Jimfs.newFileSystem(Configuration.unix())) {
            Path image = jimfs.getPath("/image.cow");
            try (ChannelFile file = new ChannelFile(image)) {
                format.create(
                        file, size, null, StoreOptions.ofChunk(1 << chunkShift).withChecksums(checksums));
            }
            CowDevice device = open(format, image, base, detectZeroes);
            for (int i = 0; i < OPERATIONS; i++) {
                int offset = random.nextInt(size);
                int limit = random.nextBoolean() ? Math.min(size - offset, 5000) : size - offset;
                int length = random.nextInt(limit + 1);
                switch (random.nextInt(12)) {
                    case 0, 1, 2, 3 -> {
                        byte[] data = new byte[length];
                        random.nextBytes(data);
                        if (random.nextInt(3) > 0) {
                            int from = random.nextInt(length + 1);
                            Arrays.fill(data, from, from + random.nextInt(length - from + 1), (byte) 0);
                        }
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
                            device = open(format, image, base, detectZeroes);
                        }
                    }
                    default ->
                        assertThat(TestDevices.read(device, offset, length))
                                .as("operation %d at %d", i, offset)
                                .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
                }
            }
            assertMapTellsTheTruth(device, image, base, model);
            device.close();
            try (CowDevice reopened = open(format, image, base, detectZeroes)) {
                assertThat(TestDevices.read(reopened, 0, size)).isEqualTo(model);
            }
            try (ChannelFile file = new ChannelFile(image)) {
                assertThat(format.check(file, image, TestDevices.BOOT).corruptions())
                        .isEmpty();
            }
        }
    }

    /** A format that cannot record blocks is never given a partial entry. */
    @Test
    void storeWithoutBlocksGetsWholeChunks() throws IOException {
        byte[] base = new byte[6 << 15];
        new Random(3).nextBytes(base);
        byte[] model = base.clone();
        SparseFile file = new SparseFile();
        UcowFormat format = new UcowFormat();
        format.create(file, base.length, null, StoreOptions.ofChunk(1 << 15));
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, TestDevices.BOOT, readers, false);
        ExceptionStore store = format.open(file, Path.of("x.cow"), context);
        InvocationHandler withoutBlocks = (proxy, method, arguments) -> {
            if (method.getName().equals("blockBytes")) {
                return store.geometry().chunkSize();
            }
            assertThat(method.getName().equals("commit") && RemapEntry.isPartial((long) arguments[2]))
                    .isFalse();
            return method.invoke(store, arguments);
        };
        Object plain = Proxy.newProxyInstance(
                ExceptionStore.class.getClassLoader(), new Class<?>[] {ExceptionStore.class}, withoutBlocks);
        try (CowDevice device = TestDevices.over((ExceptionStore) plain, TestDevices.origin(base), readers)) {
            for (int offset : new int[] {5, 40_000, 40_000 + 4096, 5 << 15}) {
                Arrays.fill(model, offset, offset + 100, (byte) 'w');
                device.write(offset, TestDevices.direct(model, offset, 100));
            }
            device.discard(2 << 15, 4096);
            Arrays.fill(model, 2 << 15, (2 << 15) + 4096, (byte) 0);
            assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        }
    }

    /** Reads every extent where the map says that it is; what it calls zero must be. */
    private static void assertMapTellsTheTruth(CowDevice device, Path image, byte[] base, byte[] model)
            throws IOException {
        byte[] found = new byte[model.length];
        int[] end = new int[1];
        MapExtent[] last = new MapExtent[1];
        byte[] store = Files.readAllBytes(image);
        device.forEachExtent(extent -> {
            int at = (int) extent.guestOffset();
            assertThat(at).isEqualTo(end[0]);
            int length = (int) extent.lengthBytes();
            if (extent.source() instanceof ChunkSource.Slot slot) {
                System.arraycopy(store, (int) slot.storeOffset(), found, at, length);
            } else {
                assertThat(last[0] == null ? null : last[0].source())
                        .as("the extent before %s", extent)
                        .isNotEqualTo(extent.source());
                if (extent.source() instanceof ChunkSource.Origin && at < base.length) {
                    System.arraycopy(base, at, found, at, Math.min(length, base.length - at));
                }
            }
            last[0] = extent;
            end[0] = at + length;
        });
        assertThat(end[0]).isEqualTo(model.length);
        assertThat(found).isEqualTo(model);
    }

    private static CowDevice open(UcowFormat format, Path image, byte[] base, boolean detectZeroes) throws IOException {
        ChannelFile file = new ChannelFile(image);
        Origin origin = TestDevices.origin(base);
        return detectZeroes
                ? TestDevices.openDetecting(format, file, origin, TestDevices.BOOT)
                : TestDevices.open(format, file, origin, TestDevices.BOOT);
    }
}
