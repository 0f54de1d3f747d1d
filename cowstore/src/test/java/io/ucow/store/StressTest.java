package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Many threads at first writes, rewrites, discards and flushes of the same chunks. Every sector belongs to one thread,
 * which knows what it must hold at any time; the chunks are everybody's. Some rounds run on a disk that is nearly full,
 * some detect the zeros among what is written, and in some chunks move all the time and the file's end is cut off.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class StressTest {
    private static final int SECTOR = 512;
    private static final int CHUNKS = 24;
    private static final long ROUND_NANOS = TimeUnit.MILLISECONDS.toNanos(300);
    private static final int ROUNDS = 6;

    private final UcowFormat format = new UcowFormat();
    private final SparseFile disk = new SparseFile();
    private final LongAdder moved = new LongAdder();

    @ParameterizedTest(name = "chunk 2^{0}, {1} threads, background {2}, checksums {3}")
    @CsvSource({
        "12, 4, true, false",
        "13, 7, false, false",
        "15, 6, true, false",
        "16, 4, true, false",
        "12, 4, true, true",
        "15, 6, true, true"
    })
    void everySectorHoldsWhatItsOwnerWrote(int shift, int threads, boolean background, boolean checksums)
            throws Exception {
        int sectors = CHUNKS << (shift - 9);
        long seed = Long.getLong("ucow.stress.seed", 20261122);
        System.out.printf("stress: -Ducow.stress.seed=%d, chunk 2^%d%n", seed, shift);
        long[] stamps = new long[sectors];
        byte[] base = new byte[sectors * SECTOR];
        for (int s = 0; s < sectors / 2; s++) {
            stamps[s] = -1L - s;
            fill(base, s * SECTOR, stamps[s]);
        }
        format.create(
                disk,
                (long) sectors * SECTOR,
                null,
                StoreOptions.ofChunk(1 << shift).withChecksums(checksums));
        for (int round = 0; round < ROUNDS; round++) {
            UUID boot = round % 2 == 0 ? TestDevices.BOOT : TestDevices.NEXT_BOOT;
            // Room for two thirds of the device: writes fail now and then, and discards make room.
            disk.limitAllocationTo(round % 3 == 2 ? (5 << 20) + (long) sectors * SECTOR * 2 / 3 : Long.MAX_VALUE);
            try (CowDevice device = open(base, boot, background, round % 4 > 1)) {
                List<Crew.Member> crew = new ArrayList<>();
                long until = System.nanoTime() + ROUND_NANOS;
                for (int t = 0; t < threads; t++) {
                    int id = t;
                    Random random = new Random(seed + round * 100L + t);
                    crew.add(Crew.start(() -> guest(device, stamps, id, threads, random, until)));
                }
                if (round % 2 == 1) {
                    Random random = new Random(seed + round * 100L + threads);
                    crew.add(Crew.start(() -> moveChunks(device, random, until)));
                }
                for (Crew.Member member : crew) {
                    member.join();
                }
                verify(device, stamps);
                disk.limitAllocationTo(Long.MAX_VALUE);
            }
            assertThat(format.check(disk, Path.of("x"), boot).corruptions()).isEmpty();
        }
        try (CowDevice device = open(base, TestDevices.BOOT, false, false)) {
            verify(device, stamps);
        }
        assertThat(moved.sum()).as("chunks moved").isPositive();
    }

    private CowDevice open(byte[] base, UUID boot, boolean background, boolean detectZeroes) throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, boot, readers, background);
        return new CowDevice(
                format.open(disk, Path.of("x.cow"), context), TestDevices.origin(base), readers, detectZeroes);
    }

    private void moveChunks(CowDevice device, Random random, long until) throws IOException {
        while (System.nanoTime() < until) {
            try {
                if (random.nextInt(16) == 0) {
                    TestDevices.compact(device);
                } else {
                    moved.add(
                            TestDevices.move(device, random.longs(6, 0, CHUNKS).toArray()));
                }
            } catch (IOException e) {
                assertThat(Errno.of(e)).as(e.toString()).isEqualTo(Errno.ENOSPC);
            }
        }
    }

    private static void guest(CowDevice device, long[] stamps, int id, int threads, Random random, long until)
            throws IOException {
        int chunkSectors = stamps.length / CHUNKS;
        long next = (id + 1L) << 40 | (random.nextInt() & 0xffffffffL);
        while (System.nanoTime() < until) {
            int first;
            int count = 1;
            if (random.nextBoolean()) {
                // The lower half: each chunk is shared, its sectors are dealt out.
                first = random.nextInt(stamps.length / 2 / threads) * threads + id;
            } else {
                // The upper half: whole chunks are dealt out, so that they can be discarded and their slots move.
                first = (CHUNKS / 2 + random.nextInt(CHUNKS / 2 / threads) * threads + id) * chunkSectors;
                if (random.nextBoolean()) {
                    count = chunkSectors;
                } else {
                    first += random.nextInt(chunkSectors);
                }
            }
            long offset = (long) first * SECTOR;
            byte[] bytes = new byte[count * SECTOR];
            int kind = random.nextInt(16);
            try {
                if (kind < 6) {
                    long stamp = kind < 4 ? ++next : 0;
                    for (int s = 0; s < count; s++) {
                        fill(bytes, s * SECTOR, stamp);
                    }
                    try {
                        device.write(offset, TestDevices.direct(bytes, 0, bytes.length));
                        Arrays.fill(stamps, first, first + count, stamp);
                    } catch (IOException e) {
                        // A full disk fails the one write; a chunk that has its slot may hold a part of it.
                        assertThat(Errno.of(e)).as(e.toString()).isEqualTo(Errno.ENOSPC);
                        readInto(device, offset, bytes);
                        for (int s = 0; s < count; s++) {
                            if (holds(bytes, s * SECTOR, stamp)) {
                                stamps[first + s] = stamp;
                            }
                        }
                    }
                } else if (kind < 10) {
                    device.discard(offset, bytes.length);
                    Arrays.fill(stamps, first, first + count, 0);
                } else if (kind == 10) {
                    device.flush();
                } else {
                    readInto(device, offset, bytes);
                    for (int s = 0; s < count; s++) {
                        assertHolds(bytes, s * SECTOR, stamps[first + s], first + s);
                    }
                }
            } catch (IOException e) {
                assertThat(Errno.of(e)).as(e.toString()).isEqualTo(Errno.ENOSPC);
            }
        }
    }

    private static void readInto(CowDevice device, long offset, byte[] bytes) throws IOException {
        byte[] read = TestDevices.read(device, offset, bytes.length);
        System.arraycopy(read, 0, bytes, 0, bytes.length);
    }

    private static void verify(CowDevice device, long[] stamps) throws IOException {
        byte[] all = TestDevices.read(device, 0, stamps.length * SECTOR);
        for (int s = 0; s < stamps.length; s++) {
            assertHolds(all, s * SECTOR, stamps[s], s);
        }
    }

    private static void assertHolds(byte[] bytes, int at, long stamp, int sector) {
        if (!holds(bytes, at, stamp)) {
            throw new AssertionError("sector " + sector + " holds "
                    + ByteBuffer.wrap(bytes, at, SECTOR).getLong() + ", its owner wrote " + stamp);
        }
    }

    private static boolean holds(byte[] bytes, int at, long stamp) {
        byte[] expected = new byte[SECTOR];
        fill(expected, 0, stamp);
        return Arrays.equals(bytes, at, at + SECTOR, expected, 0, SECTOR);
    }

    private static void fill(byte[] bytes, int at, long stamp) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, at, SECTOR);
        while (buffer.hasRemaining()) {
            buffer.putLong(stamp);
        }
    }
}
