package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.ChunkSource;
import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.HookedFile;
import io.ucow.store.HookedFile.Call;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** I11: a write in place and a checkpoint, each interleaving forced by a thread held in its I/O. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class AnnouncedOverwriteTest {
    private static final int SHIFT = 16;
    private static final int CHUNKS = 60;
    private static final int BLOCK = 4096;

    private final ExecutorService pool = Executors.newFixedThreadPool(2);

    /**
     * The writer was let through by a record that the checkpoint makes void, and has not written yet. Did the checkpoint not
     * wait for it, the checksums on disk would be those of the old bytes, and no record would say so.
     */
    @Test
    void checkpointWaitsForWhoWasLetThroughBefore() throws Exception {
        FaultFile disk = new FaultFile(new byte[0]);
        HookedFile file = new HookedFile(disk);
        UcowFormat format = new UcowFormat();
        long size = (long) CHUNKS << SHIFT;
        UcowFormat.create(
                file, new Geometry(size, SHIFT), null, StoreOptions.NONE.withChecksums(true), 64, new UUID(1, 2));
        try (CowDevice device = TestDevices.open(format, file, TestDevices.origin(new byte[0]), TestDevices.BOOT)) {
            device.write(0, bytes('a'));
        }
        CowDevice device = TestDevices.open(format, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
        CountDownLatch reached = new CountDownLatch(1);
        CountDownLatch open = new CountDownLatch(1);
        long[] dataAt = {-1};
        device.forEachExtent(extent -> {
            if (extent.guestOffset() == 0 && extent.source() instanceof ChunkSource.Slot s) {
                dataAt[0] = s.storeOffset();
            }
        });
        assertThat(dataAt[0]).isPositive();
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset == dataAt[0]) {
                reached.countDown();
                await(open);
            }
        });
        try {
            Future<?> writer = pool.submit(() -> {
                device.write(0, bytes('b'));
                return null;
            });
            await(reached);
            // More first writes than the journal has room for.
            Future<?> others = pool.submit(() -> {
                for (int chunk = 1; chunk < CHUNKS; chunk++) {
                    device.write((long) chunk << SHIFT, bytes('c'));
                }
                return null;
            });
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            while (device.stats().journalRecords() < 64 - 16 - 8 && !others.isDone()) {
                assertThat(System.nanoTime()).isLessThan(deadline);
                Thread.onSpinWait();
            }
            assertThat(device.stats().checkpoints())
                    .as("checkpoints while the writer is held")
                    .isEqualTo(1);
            open.countDown();
            writer.get(30, TimeUnit.SECONDS);
            others.get(30, TimeUnit.SECONDS);
        } finally {
            open.countDown();
            pool.shutdown();
        }
        assertThat(device.stats().checkpoints()).isGreaterThan(1);
        byte[] left = disk.killedAt(disk.eventCount());
        try (CowDevice after = TestDevices.openReadOnly(
                format, new FaultFile(left), TestDevices.origin(new byte[0]), TestDevices.NEXT_BOOT)) {
            byte[] read = TestDevices.read(after, 0, BLOCK);
            assertThat(read[0]).isEqualTo((byte) 'b');
        }
        device.close();
    }

    private static ByteBuffer bytes(char c) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(BLOCK);
        while (buffer.hasRemaining()) {
            buffer.put((byte) c);
        }
        return buffer.flip();
    }

    private static void await(CountDownLatch latch) throws IOException {
        try {
            if (!latch.await(30, TimeUnit.SECONDS)) {
                throw new IOException("waited too long");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
    }
}
