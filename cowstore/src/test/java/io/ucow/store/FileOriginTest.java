package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FileOriginTest {
    @TempDir
    Path directory;

    @Test
    void readsPastTheEndAreZeros() throws IOException {
        byte[] content = new byte[5000];
        new Random(1).nextBytes(content);
        try (FileOrigin origin = origin(content)) {
            assertThat(origin.sizeBytes()).isEqualTo(5000);
            assertThat(read(origin, 0, 5000)).isEqualTo(content);
            assertThat(read(origin, 4000, 3000))
                    .isEqualTo(Arrays.copyOf(Arrays.copyOfRange(content, 4000, 5000), 3000));
            assertThat(read(origin, 5000, 10)).isEqualTo(new byte[10]);
            assertThat(read(origin, 1L << 40, 10)).isEqualTo(new byte[10]);
            assertThat(read(origin, 3, 0)).isEmpty();
        }
    }

    @Test
    void limitOfTheBufferIsKept() throws IOException {
        try (FileOrigin origin = origin(new byte[] {1, 2, 3})) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(100);
            for (int i = 0; i < 100; i++) {
                buffer.put(i, (byte) 9);
            }
            buffer.position(10).limit(20);
            origin.read(buffer, 1);
            assertThat(buffer.position()).isEqualTo(20);
            assertThat(buffer.limit()).isEqualTo(20);
            assertThat(buffer.clear().get(9)).isEqualTo((byte) 9);
            assertThat(buffer.get(10)).isEqualTo((byte) 2);
            assertThat(buffer.get(12)).isZero();
            assertThat(buffer.get(20)).isEqualTo((byte) 9);
        }
    }

    @Test
    void baseThatShrinksInUseIsNamed() throws IOException {
        Path path = Files.write(directory.resolve("base.img"), new byte[10_000]);
        try (FileOrigin origin = FileOrigin.open(path, CacheMode.WRITEBACK)) {
            Files.write(path, new byte[100]);
            assertThatThrownBy(() -> read(origin, 5000, 100))
                    .isInstanceOf(OriginChangedException.class)
                    .hasMessage(path + ": base became shorter than 10000 bytes while in use; detach, restore it, attach"
                            + " again");
            assertThat(read(origin, 0, 100)).isEqualTo(new byte[100]);
        }
    }

    @Test
    void holesAreThoseOfTheFileAndWhatIsPastItsEnd() throws IOException {
        Path path = directory.resolve("holes.img");
        try (NativeFile file = NativeFile.create(path, 0600)) {
            file.write(ByteBuffer.allocateDirect(1), 1 << 20);
            assumeThat(file.dataBytes(0, 1 << 20))
                    .as("the file system keeps holes")
                    .isZero();
        }
        try (FileOrigin origin = FileOrigin.open(path, CacheMode.WRITEBACK)) {
            assertThat(origin.seekData(77)).isEqualTo(1 << 20);
            assertThat(origin.seekHole(77)).isEqualTo(77);
            assertThat(origin.seekHole(1 << 20)).isEqualTo((1 << 20) + 1);
            assertThat(origin.seekData((1 << 20) + 1)).isEqualTo(Long.MAX_VALUE);
            assertThat(origin.seekHole((1 << 20) + 1)).isEqualTo((1 << 20) + 1);
            Files.write(path, new byte[0]);
            assertThatThrownBy(() -> origin.seekData(77)).isInstanceOf(OriginChangedException.class);
        }
    }

    /** The samples are spread from the first to the last byte, so that a change at either end is seen. */
    @ParameterizedTest
    @ValueSource(ints = {1, 100, 4095, 4096, 4097, 8192, 260_000, 262_144, 2_000_000})
    void everySampledByteCounts(int size) throws IOException {
        byte[] content = new byte[size];
        OriginReference before = reference(content);
        assertThat(HexFormat.of().parseHex(before.fingerprint())).hasSize(32);
        assertThat(reference(content).fingerprint()).isEqualTo(before.fingerprint());
        for (int at : new int[] {0, Math.min(size, 4096) - 1, Math.max(0, size - 4096), size - 1}) {
            content[at] = 1;
            assertThat(reference(content).fingerprint()).as("byte %d", at).isNotEqualTo(before.fingerprint());
            content[at] = 0;
        }
        if (size <= 64 * 4096) {
            Random random = new Random(size);
            for (int i = 0; i < 10; i++) {
                int at = random.nextInt(size);
                content[at] = 1;
                assertThat(reference(content).fingerprint()).as("byte %d", at).isNotEqualTo(before.fingerprint());
                content[at] = 0;
            }
        }
    }

    @Test
    void fingerprintOfAHugeBaseIsCheap() throws IOException {
        Path path = directory.resolve("huge.img");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength((1L << 43) + 7);
            file.seek((1L << 43) + 6);
            long start = System.nanoTime();
            String before;
            try (FileOrigin origin = FileOrigin.open(path, CacheMode.WRITEBACK)) {
                before = origin.reference("x").fingerprint();
            }
            file.write(1);
            try (FileOrigin origin = FileOrigin.open(path, CacheMode.WRITEBACK)) {
                assertThat(origin.reference("x").fingerprint()).isNotEqualTo(before);
            }
            assertThat(System.nanoTime() - start).isLessThan(2_000_000_000L);
        }
    }

    private OriginReference reference(byte[] content) throws IOException {
        try (FileOrigin origin = origin(content)) {
            return origin.reference("base.img");
        }
    }

    private FileOrigin origin(byte[] content) throws IOException {
        return FileOrigin.open(Files.write(directory.resolve("base.img"), content), CacheMode.WRITEBACK);
    }

    private static byte[] read(Origin origin, long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(length);
        origin.read(buffer, offset);
        assertThat(buffer.hasRemaining()).isFalse();
        byte[] bytes = new byte[length];
        buffer.flip().get(bytes);
        return bytes;
    }
}
