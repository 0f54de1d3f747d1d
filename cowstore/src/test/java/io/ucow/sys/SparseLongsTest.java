package io.ucow.sys;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SparseLongsTest {
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 511, 513, (1 << 27) - 1, 1 << 27, (1 << 27) + 1, (1L << 32) + 3, 1L << 35})
    void firstLastAndNeighboursOfSegmentsAreSeparate(long length) throws NativeException {
        try (SparseLongs longs = new SparseLongs(length)) {
            assertThat(longs.length()).isEqualTo(length);
            long[] indexes = {0, length / 2, (1L << 27) - 1, 1L << 27, (1L << 28) - 1, length - 1};
            for (long index : indexes) {
                if (index < length) {
                    longs.set(index, ~index);
                }
            }
            for (long index : indexes) {
                if (index < length) {
                    assertThat(longs.get(index)).isEqualTo(~index);
                }
            }
            long[] copy = new long[3];
            for (long index : indexes) {
                long from = Math.max(0, index - 1);
                int count = (int) Math.max(0, Math.min(copy.length, length - from));
                longs.get(from, count, copy);
                for (int i = 0; i < count; i++) {
                    assertThat(copy[i]).isEqualTo(longs.get(from + i));
                }
            }
            if (length > 10_000) {
                assertThat(longs.get(1)).isZero();
                assertThat(longs.get(length / 2 - 1)).isZero();
            }
        }
    }

    @Test
    void emptyArrayIsAnArray() throws NativeException {
        try (SparseLongs none = new SparseLongs(0)) {
            assertThat(none.length()).isZero();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, Long.MIN_VALUE, (1L << 40) + 1, Long.MAX_VALUE})
    void impossibleLengthsAreRefused(long length) {
        assertThatThrownBy(() -> new SparseLongs(length))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("length " + length);
    }

    @Test
    void updatesReturnWhatWasThere() throws NativeException {
        try (SparseLongs longs = new SparseLongs(10)) {
            assertThat(longs.compareAndSet(3, 1, 5)).isFalse();
            assertThat(longs.compareAndSet(3, 0, 0b0110)).isTrue();
            assertThat(longs.getAndBitwiseOr(3, 0b1100)).isEqualTo(0b0110);
            assertThat(longs.getAndBitwiseAnd(3, 0b0111)).isEqualTo(0b1110);
            assertThat(longs.get(3)).isEqualTo(0b0110);
            assertThat(longs.get(2)).isZero();
            assertThat(longs.get(4)).isZero();
        }
    }

    @Test
    void memoryIsTakenWhereSomethingIsStoredAndGivenBack() throws IOException {
        try (SparseLongs longs = new SparseLongs(1L << 34)) {
            for (long i = 0; i < 100; i++) {
                longs.set(i << 27, 1);
            }
            long sum = 0;
            for (long i = 0; i < longs.length(); i += 1 << 14) {
                sum += longs.get(i);
            }
            assertThat(sum).isEqualTo(100);
            assertThat(residentBytes(longs)).isLessThan(64 << 20);
        }
        try (SparseLongs longs = new SparseLongs(1L << 24)) {
            for (long i = 0; i < longs.length(); i += 512) {
                longs.set(i, 1);
            }
            assertThat(residentBytes(longs)).isGreaterThan(100 << 20);
            longs.forget(0, longs.length());
            assertThat(residentBytes(longs)).isLessThan(64 << 20);
        }
    }

    @Test
    void bitsOfOneWordSetByManyThreadsAllArrive() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        try (SparseLongs longs = new SparseLongs(1000)) {
            List<Callable<Void>> jobs = new ArrayList<>();
            for (int t = 0; t < 4; t++) {
                int id = t;
                jobs.add(() -> {
                    for (int bit = id; bit < 64_000; bit += 4) {
                        longs.getAndBitwiseOr(bit >>> 6, 1L << bit);
                    }
                    return null;
                });
            }
            for (Future<Void> done : pool.invokeAll(jobs)) {
                done.get();
            }
            for (int i = 0; i < 1000; i++) {
                assertThat(longs.get(i)).isEqualTo(-1);
            }
        } finally {
            pool.shutdown();
        }
    }

    /** What is in memory of the kernel's mappings that {@code longs} is in. */
    private static long residentBytes(SparseLongs longs) throws IOException {
        long end = longs.address + longs.length() * Long.BYTES;
        boolean within = false;
        long kibibytes = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
            String[] words = line.split(" +", -1);
            String[] range = words[0].split("-", -1);
            if (range.length == 2) {
                within = Long.parseUnsignedLong(range[0], 16) < end
                        && Long.parseUnsignedLong(range[1], 16) > longs.address;
            } else if (within && words[0].equals("Rss:")) {
                kibibytes += Long.parseLong(words[1]);
            }
        }
        return kibibytes << 10;
    }
}
