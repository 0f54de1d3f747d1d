package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Differing ranges against a model that looks at every sector. */
class DeviceDiffTest {
    private static final int SECTOR = DeviceDiff.SECTOR_BYTES;

    private record Range(long start, long length) {}

    private final AtomicLong progress = new AtomicLong();

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void rangesAreThoseOfAModel(long seed) throws IOException {
        Random random = new Random(seed);
        byte[] left = new byte[800_000 + random.nextInt(2000)];
        random.nextBytes(left);
        byte[] right = Arrays.copyOf(left, 800_000 + random.nextInt(2000));
        for (int i = 0; i < 20; i++) {
            int from = random.nextInt(800_000);
            int to = Math.min(800_000, from + random.nextInt(i < 10 ? 3 : 40_000));
            Arrays.fill(right, from, to, (byte) 0);
        }

        assertThat(differences(TestDevices.origin(left), TestDevices.origin(right)))
                .isEqualTo(model(left, right))
                .isNotEmpty();
        assertThat(progress).hasValue(Math.max(left.length, right.length));
        assertThat(differences(TestDevices.origin(right), TestDevices.origin(left)))
                .isEqualTo(model(left, right));
    }

    @Test
    void rangesGoOnAcrossPieces() throws IOException {
        byte[] left = new byte[3 << 20];
        byte[] right = new byte[3 << 20];
        Arrays.fill(right, 5 * SECTOR, (2 << 20) + 1, (byte) 1);

        assertThat(differences(TestDevices.origin(left), TestDevices.origin(right)))
                .containsExactly(new Range(5 * SECTOR, (2 << 20) - 4 * SECTOR));
    }

    @Test
    void equalUpToZerosPastTheShortersEnd() throws IOException {
        byte[] left = {1, 2, 3};
        byte[] right = Arrays.copyOf(left, 10_000);

        assertThat(differences(TestDevices.origin(left), TestDevices.origin(right)))
                .isEmpty();
        assertThat(progress).hasValue(10_000);
        right[9_999] = 1;
        assertThat(differences(TestDevices.origin(left), TestDevices.origin(right)))
                .containsExactly(new Range(19 * SECTOR, 10_000 - 19 * SECTOR));
    }

    @Test
    void holesOfBothAreNotRead() throws IOException {
        long size = 1L << 42;
        try (CowDevice left = DeviceCopyTest.open(size, new byte[0]);
                CowDevice right = DeviceCopyTest.open(size - 700, new byte[0])) {
            left.write(1L << 41, TestDevices.direct(new byte[] {7}, 0, 1));
            right.write(12_345, TestDevices.direct(new byte[] {7}, 0, 1));

            assertThat(differences(new DeviceOrigin(left), new DeviceOrigin(right)))
                    .containsExactly(new Range(24 * SECTOR, SECTOR), new Range(1L << 41, SECTOR));
        }
        assertThat(progress).hasValue(size);
    }

    /** As a base of another kind may have it: data that begins and ends within a sector. */
    @Test
    void dataNeedNotBeginWithASector() throws IOException {
        Origin oneByte = new Origin() {
            private final Origin bytes = TestDevices.origin(new byte[1_000_000]);

            @Override
            public long sizeBytes() {
                return bytes.sizeBytes();
            }

            @Override
            public void read(ByteBuffer dst, long offset) throws IOException {
                bytes.read(dst, offset);
                dst.put((int) (700_001 - offset), (byte) 1);
            }

            @Override
            public long seekData(long offset) {
                return offset <= 700_001 ? 700_001 : Long.MAX_VALUE;
            }

            @Override
            public long seekHole(long offset) {
                return offset == 700_001 ? 700_002 : offset;
            }

            @Override
            public void close() {}
        };

        assertThat(differences(oneByte, TestDevices.origin(new byte[0])))
                .containsExactly(new Range(700_001 / SECTOR * SECTOR, SECTOR));
        assertThat(progress).hasValue(1_000_000);
    }

    private List<Range> differences(Origin left, Origin right) throws IOException {
        List<Range> found = new ArrayList<>();
        boolean different = DeviceDiff.compare(
                left, right, (offset, length) -> found.add(new Range(offset, length)), progress::addAndGet);
        assertThat(different).isEqualTo(!found.isEmpty());
        return found;
    }

    private static List<Range> model(byte[] left, byte[] right) {
        int size = Math.max(left.length, right.length);
        byte[] a = Arrays.copyOf(left, size);
        byte[] b = Arrays.copyOf(right, size);
        List<Range> ranges = new ArrayList<>();
        for (int at = 0; at < size; at += SECTOR) {
            int end = Math.min(size, at + SECTOR);
            if (!Arrays.equals(a, at, end, b, at, end)) {
                Range last = ranges.isEmpty() ? new Range(-1, 0) : ranges.get(ranges.size() - 1);
                if (last.start() + last.length() == at) {
                    ranges.set(ranges.size() - 1, new Range(last.start(), end - last.start()));
                } else {
                    ranges.add(new Range(at, end - at));
                }
            }
        }
        return ranges;
    }
}
