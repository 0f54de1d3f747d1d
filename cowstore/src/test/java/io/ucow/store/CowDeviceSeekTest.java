package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Data and holes of a device: slots are data, ZERO is a hole, and for the rest the base decides. */
class CowDeviceSeekTest {
    private static final int SHIFT = 12;
    private static final int CHUNK = 1 << SHIFT;

    /** An origin of {@code data.length} bytes in which only what is marked is data, and which counts the questions. */
    private static final class HoleyOrigin implements Origin {
        private final boolean[] data;
        private int questions;

        HoleyOrigin(boolean[] data) {
            this.data = data;
        }

        @Override
        public long sizeBytes() {
            return data.length;
        }

        @Override
        public void read(ByteBuffer dst, long offset) {
            while (dst.hasRemaining()) {
                dst.put((byte) (offset < data.length && data[(int) offset] ? 1 : 0));
                offset++;
            }
        }

        @Override
        public long seekData(long offset) {
            questions++;
            long found = offset < data.length ? find(data, offset, true) : data.length;
            return found < data.length ? found : Long.MAX_VALUE;
        }

        @Override
        public long seekHole(long offset) {
            questions++;
            return offset < data.length ? find(data, offset, false) : offset;
        }

        @Override
        public void close() {}
    }

    private static long find(boolean[] data, long from, boolean wanted) {
        int at = (int) from;
        while (at < data.length && data[at] != wanted) {
            at++;
        }
        return at;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void answersAreThoseOfAModel(long seed) throws IOException {
        Random random = new Random(seed);
        int chunks = 40;
        int size = chunks * CHUNK - random.nextInt(CHUNK);
        boolean[] base = new boolean[random.nextInt(size + CHUNK)];
        for (int at = 0; at < base.length; ) {
            int end = Math.min(base.length, at + 1 + random.nextInt(5 * CHUNK));
            Arrays.fill(base, at, end, random.nextBoolean());
            at = end;
        }
        boolean[] model = Arrays.copyOf(Arrays.copyOf(base, Math.min(size, base.length)), size);
        // 0 unaltered, 1 slot, 2 zero
        int[] state = new int[chunks];
        try (CowDevice device = open(size, new HoleyOrigin(base))) {
            for (int i = 0; i < 60; i++) {
                int offset = random.nextInt(size);
                int length = random.nextInt(Math.min(size - offset, 4 * CHUNK) + 1);
                boolean write = random.nextInt(3) == 0;
                if (write) {
                    device.write(offset, ByteBuffer.allocateDirect(length));
                } else {
                    device.discard(offset, length);
                }
                for (int chunk = offset >> SHIFT; length > 0 && chunk <= (offset + length - 1) >> SHIFT; chunk++) {
                    int start = chunk << SHIFT;
                    int end = Math.min(size, start + CHUNK);
                    boolean whole = offset <= start && offset + length >= end;
                    boolean copied = state[chunk] == 0 && start < base.length && !whole;
                    if (write || copied) {
                        state[chunk] = 1;
                        Arrays.fill(model, start, end, true);
                    } else if (whole) {
                        state[chunk] = 2;
                        Arrays.fill(model, start, end, false);
                    }
                }
                for (int j = 0; j < 20; j++) {
                    int at = j == 0 ? 0 : j == 1 ? size - 1 : random.nextInt(size);
                    assertThat(device.seekData(at)).as("data from %d", at).isEqualTo(find(model, at, true));
                    assertThat(device.seekHole(at)).as("hole from %d", at).isEqualTo(find(model, at, false));
                }
            }
        }
    }

    @Test
    void hugeUnalteredRegionsAreNotWalked() throws IOException {
        long size = Geometry.MAX_CHUNKS << SHIFT;
        HoleyOrigin origin = new HoleyOrigin(new boolean[0]);
        try (CowDevice device = open(size, origin)) {
            assertThat(device.seekData(0)).isEqualTo(size);
            long last = size - 7;
            device.write(last, ByteBuffer.allocateDirect(1));
            // By the region, not by the chunk: this would otherwise be four thousand million steps, a hundred times.
            for (int i = 0; i < 100; i++) {
                assertThat(device.seekData(i)).isEqualTo(size - CHUNK);
            }
            assertThat(device.seekHole(last)).isEqualTo(size);
            assertThat(origin.questions).isLessThan(500);
        }
    }

    @Test
    void offsetsOutsideTheDeviceAreTheCallersBug() throws IOException {
        try (CowDevice device = open(1000, new HoleyOrigin(new boolean[1000]))) {
            for (long offset : new long[] {-1, 1000, Long.MAX_VALUE}) {
                assertThatThrownBy(() -> device.seekData(offset)).isInstanceOf(IndexOutOfBoundsException.class);
                assertThatThrownBy(() -> device.seekHole(offset)).isInstanceOf(IndexOutOfBoundsException.class);
            }
        }
    }

    private static CowDevice open(long size, Origin origin) throws IOException {
        SparseFile file = new SparseFile();
        UcowFormat format = new UcowFormat();
        format.create(file, size, null, StoreOptions.ofChunk(1 << SHIFT));
        return TestDevices.open(format, file, origin, TestDevices.BOOT);
    }
}
