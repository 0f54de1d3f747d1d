package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A guest that overwrites and discards without end, and never flushes, on a real file: it does not grow with time. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ChurnTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final Geometry GEOMETRY = new Geometry(256 << 20, SHIFT);
    private static final int CHUNKS = (int) GEOMETRY.chunkCount();
    private static final int LIVE_CHUNKS = 1000;
    private static final int OPERATIONS = 10_000;
    private static final int MAX_RUN = 8;
    /** Superblocks, journal, the map twice. */
    private static final long METADATA = (64 << 10) + (4 << 20) + CHUNK + (PagePool.mostSlots(GEOMETRY, 0) << SHIFT);
    /** What the README has: what waits for a barrier, and what one more record may add to it. */
    private static final long WAITING = (64 << 20) + (256 << SHIFT);

    @TempDir
    Path directory;

    @Test
    void fileStaysWithinLiveDataAndAConstant() throws IOException {
        Path image = directory.resolve("churn.cow");
        UcowFormat format = new UcowFormat();
        try (NativeFile file = NativeFile.create(image, 0600)) {
            format.create(file, GEOMETRY.sizeBytes(), null, StoreOptions.ofChunk(GEOMETRY.chunkSize()));
        }
        Random random = new Random(1);
        BitSet live = new BitSet(CHUNKS);
        long discarded = 0;
        try (CowDevice device = open(format, image)) {
            ByteBuffer data = ByteBuffer.allocateDirect(MAX_RUN * CHUNK);
            while (data.hasRemaining()) {
                data.putLong(random.nextLong());
            }
            for (int i = 0; i < OPERATIONS; i++) {
                int run = 1 + random.nextInt(MAX_RUN);
                int first = random.nextInt(CHUNKS - run);
                if (live.cardinality() < LIVE_CHUNKS) {
                    device.write((long) first << SHIFT, data.clear().limit(run << SHIFT));
                    live.set(first, first + run);
                } else {
                    // Something that is there.
                    first = Math.min(Math.max(live.nextSetBit(first), 0), CHUNKS - run);
                    discarded += live.get(first, first + run).cardinality();
                    device.discard((long) first << SHIFT, (long) run << SHIFT);
                    live.clear(first, first + run);
                }
                if (i % 50 == 0) {
                    assertBound(device, live, METADATA + WAITING);
                }
            }
            assertThat(discarded << SHIFT).as("bytes discarded").isGreaterThan(4 * WAITING);
        }
        try (CowDevice device = open(format, image)) {
            assertBound(device, live, METADATA);
        }
    }

    private static CowDevice open(UcowFormat format, Path image) throws IOException {
        NativeFile file = NativeFile.open(image, Libc.O_RDWR);
        return TestDevices.open(format, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
    }

    private static void assertBound(CowDevice device, BitSet live, long constant) throws IOException {
        long liveBytes = (long) live.cardinality() << SHIFT;
        assertThat(device.allocatedBytes()).isLessThanOrEqualTo(liveBytes + liveBytes / 10 + constant);
    }
}
