package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Threads that write, read, discard and flush the same chunks while another packs them without a pause. Every sector
 * belongs to one thread, which knows what it must hold at any time.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PackedStressTest {
    private static final int SECTOR = 512;
    private static final int CHUNKS = 24;
    private static final long ROUND_NANOS = TimeUnit.MILLISECONDS.toNanos(400);
    private static final int ROUNDS = 4;

    private final UcowFormat format = new UcowFormat();
    private final SparseFile disk = new SparseFile();

    @ParameterizedTest(name = "chunk 2^{0}, {1} threads, background {2}")
    @CsvSource({"14, 4, true", "15, 7, false", "17, 4, true"})
    void everySectorHoldsWhatItsOwnerWrote(int shift, int threads, boolean background) throws Exception {
        int sectors = CHUNKS << (shift - 9);
        long seed = Long.getLong("ucow.stress.seed", 20261126);
        System.out.printf("stress: -Ducow.stress.seed=%d, chunk 2^%d%n", seed, shift);
        long[] stamps = new long[sectors];
        format.create(
                disk,
                (long) sectors * SECTOR,
                null,
                StoreOptions.ofChunk(1 << shift).withCodec("lz4"));
        long packed = 0;
        for (int round = 0; round < ROUNDS; round++) {
            GracePeriod readers = new GracePeriod();
            StoreContext context = new StoreContext(false, TestDevices.BOOT, readers, background);
            ExceptionStore store = format.open(disk, Path.of("x.cow"), context);
            try (CowDevice device = new CowDevice(store, TestDevices.origin(new byte[0]), readers, false)) {
                List<Crew.Member> crew = new ArrayList<>();
                long until = System.nanoTime() + ROUND_NANOS;
                for (int t = 0; t < threads; t++) {
                    int id = t;
                    Random random = new Random(seed + round * 100L + t);
                    crew.add(Crew.start(() -> guest(device, stamps, id, threads, random, until)));
                }
                AtomicBoolean done = new AtomicBoolean();
                Crew.Member packer = Crew.start(() -> pack(device, store.packer(), done));
                for (Crew.Member member : crew) {
                    member.join();
                }
                done.set(true);
                packer.join();
                packed = Math.max(packed, device.stats().packedChunks());
                verify(device, stamps);
            }
            assertThat(format.check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                    .isEmpty();
        }
        assertThat(packed).isPositive();
    }

    /** Without second chances: what is being written to is as welcome as any. */
    private static void pack(CowDevice device, ChunkPacker packer, AtomicBoolean done) throws IOException {
        long[] chunks = new long[CHUNKS];
        for (int i = 0; i < CHUNKS; i++) {
            chunks[i] = i;
        }
        do {
            device.relocate(chunks, CHUNKS, packer);
        } while (!done.get());
    }

    private static void guest(CowDevice device, long[] stamps, int id, int threads, Random random, long until)
            throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(SECTOR);
        long next = ((long) id << 40) + random.nextInt();
        while (System.nanoTime() < until) {
            int sector = random.nextInt(stamps.length / threads) * threads + id;
            switch (random.nextInt(16)) {
                case 0 -> device.flush();
                case 1 -> {
                    device.discard((long) sector * SECTOR, SECTOR);
                    stamps[sector] = 0;
                }
                case 2, 3, 4, 5, 6 -> {
                    device.write((long) sector * SECTOR, fill(buffer, ++next));
                    stamps[sector] = next;
                }
                default -> {
                    device.read((long) sector * SECTOR, buffer.clear());
                    assertThat(buffer.flip()).as("sector %d", sector).isEqualTo(stampOf(stamps[sector]));
                }
            }
        }
    }

    private static void verify(CowDevice device, long[] stamps) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(SECTOR);
        for (int sector = 0; sector < stamps.length; sector++) {
            device.read((long) sector * SECTOR, buffer.clear());
            assertThat(buffer.flip()).as("sector %d", sector).isEqualTo(stampOf(stamps[sector]));
        }
    }

    private static ByteBuffer stampOf(long stamp) {
        return fill(ByteBuffer.allocate(SECTOR), stamp);
    }

    private static ByteBuffer fill(ByteBuffer buffer, long stamp) {
        buffer.clear();
        while (buffer.hasRemaining()) {
            buffer.putLong(stamp);
        }
        return buffer.flip();
    }
}
