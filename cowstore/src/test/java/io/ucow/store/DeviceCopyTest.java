package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is copied, what is left out, and how a copy ends that cannot go on. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DeviceCopyTest {
    private static final int BLOCK = DeviceCopy.BLOCK_BYTES;
    private static final int CHUNK_SHIFT = 15;
    private static final int CHUNK = 1 << CHUNK_SHIFT;

    private final AtomicLong progress = new AtomicLong();

    @ParameterizedTest
    @CsvSource({"3000001, 3000001", "1000, 3000001", "3000001, 1000", "3000001, 32769", "1, 1", "262144, 524289"})
    void copyEqualsTheDevice(int baseBytes, int size) throws IOException {
        byte[] base = random(baseBytes, 1);
        Arrays.fill(base, baseBytes / 3, baseBytes / 2, (byte) 0);
        byte[] expected = Arrays.copyOf(base, size);
        SparseFile copy = new SparseFile();
        copy.truncate(size);
        try (CowDevice device = open(size, base)) {
            Random random = new Random(2);
            for (int i = 0; i < 40; i++) {
                int offset = random.nextInt(size);
                int length = random.nextInt(Math.min(size - offset, 3 * CHUNK) + 1);
                byte[] bytes = i % 2 == 0 ? random(length, i) : new byte[length];
                if (i % 4 == 1) {
                    device.discard(offset, length);
                } else {
                    device.write(offset, TestDevices.direct(bytes, 0, length));
                }
                System.arraycopy(bytes, 0, expected, offset, length);
            }

            DeviceCopy.copy(device, (offset, src) -> copy.write(src, offset), progress::addAndGet);
        }

        assertThat(copy.sameAs(new SparseFile(expected))).isTrue();
        assertThat(copy.allocatedBytes()).isEqualTo(new SparseFile(expected).allocatedBytes());
        assertThat(progress).hasValue(size);
    }

    /** Zeros that the base holds, and zeros that were written, in blocks of data on either side. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, BLOCK - 1})
    void blocksOfZerosAreNotWritten(int remainder) throws IOException {
        int size = 64 * BLOCK + remainder;
        byte[] base = new byte[size];
        for (int block = 0; block < 64; block += 5) {
            base[block * BLOCK + BLOCK - 1] = 1;
        }
        AtomicLong written = new AtomicLong();
        try (CowDevice device = open(size, base)) {
            device.write(10L * BLOCK, TestDevices.direct(new byte[BLOCK], 0, BLOCK));
            DeviceCopy.copy(
                    device,
                    (offset, src) -> {
                        assertThat(offset % (5 * BLOCK)).isZero();
                        written.addAndGet(src.remaining());
                    },
                    progress::addAndGet);
        }

        assertThat(written).hasValue(12L * BLOCK);
        assertThat(progress).hasValue(size);
    }

    @Test
    void holesAreNotRead() throws IOException {
        long size = 1L << 42;
        SparseFile copy = new SparseFile();
        copy.truncate(size);
        try (CowDevice device = open(size, new byte[0])) {
            device.write(size - 1, TestDevices.direct(new byte[] {7}, 0, 1));

            DeviceCopy.copy(device, (offset, src) -> copy.write(src, offset), progress::addAndGet);
        }

        assertThat(copy.byteAt(size - 1)).isEqualTo((byte) 7);
        assertThat(copy.allocatedBytes()).isEqualTo(BLOCK);
        assertThat(progress).hasValue(size);
    }

    @Test
    void fullDiskEndsTheCopy() throws IOException {
        SparseFile copy = new SparseFile();
        copy.limitAllocationTo(100 * BLOCK);
        try (CowDevice device = open(4_000_000, random(4_000_000, 1))) {
            assertThatThrownBy(() ->
                            DeviceCopy.copy(device, (offset, src) -> copy.write(src, offset), progress::addAndGet))
                    .isInstanceOfSatisfying(
                            NativeException.class, e -> assertThat(e.errno()).isEqualTo(Errno.ENOSPC));
        }
        assertThat(progress.get()).isLessThan(4_000_000);
    }

    @Test
    void listenerMayGiveUp() throws IOException {
        try (CowDevice device = open(4_000_000, random(4_000_000, 1))) {
            assertThatThrownBy(() -> DeviceCopy.copy(device, (offset, src) -> {}, bytes -> {
                        throw new CancellationException("enough");
                    }))
                    .isInstanceOf(CancellationException.class);
        }
    }

    static CowDevice open(long size, byte[] base) throws IOException {
        SparseFile file = new SparseFile();
        UcowFormat format = new UcowFormat();
        format.create(file, size, null, StoreOptions.ofChunk(1 << CHUNK_SHIFT));
        return TestDevices.open(format, file, TestDevices.origin(base), TestDevices.BOOT);
    }

    private static byte[] random(int length, long seed) {
        byte[] bytes = new byte[length];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }
}
