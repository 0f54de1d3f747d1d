package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Errno;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SwappableDeviceTest {
    private static final int BYTES = 1 << 20;
    private static final int WRITERS = 3;
    private static final int SNAPSHOTS = 8;
    private static final int LIMIT_SECONDS = 60;

    @TempDir
    Path directory;

    private final ExecutorService threads = Executors.newCachedThreadPool();
    private Path image;

    @BeforeEach
    void makeImage() throws IOException {
        image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(BYTES), 4096, "ucow"));
    }

    @AfterEach
    void endThreads() {
        threads.shutdownNow();
    }

    /** Each writer counts up in a place of its own, and reads back what it wrote: no snapshot loses a count. */
    @Test
    void snapshotsUnderWritersLoseNothing() throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            List<Future<Long>> writers = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                long place = i * 8L + 4096L * i;
                writers.add(threads.submit(() -> countUp(device, place, done)));
            }
            for (int i = 1; i <= SNAPSHOTS; i++) {
                Path layer = device.whileClosed(() -> Images.snapshot(image, Optional.empty()));
                assertThat(device.opened().base()).contains(layer);
                assertThat(device.info().base()).contains(layer);
            }
            done.set(true);
            for (int i = 0; i < WRITERS; i++) {
                long last = writers.get(i).get(LIMIT_SECONDS, TimeUnit.SECONDS);
                assertThat(read(device, i * 8L + 4096L * i)).isEqualTo(last).isPositive();
            }
        }
        assertThat(Images.layersBelow(Images.info(image))).hasSize(SNAPSHOTS);
    }

    /** As 'ucow check' may, which everybody can run who may read the image: the work is refused, and the disk goes on. */
    @Test
    void imageThatIsLookedAtWhileItIsClosedIsOpenedAgainAfterwards() throws IOException {
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            CowDevice[] look = new CowDevice[1];
            int[] refused = {0};
            device.whileClosed(() -> {
                device.openBy(() -> {
                    try {
                        return Images.open(image, false);
                    } catch (StoreInUseException e) {
                        refused[0]++;
                        look[0].close();
                        throw e;
                    }
                });
                look[0] = Images.open(image, true);
                return null;
            });
            assertThat(refused[0]).isEqualTo(1);
            device.write(0, ByteBuffer.wrap(new byte[] {1}));
        }
    }

    /** Its size is another for whoever asks, and nobody who writes meanwhile notices anything. */
    @Test
    void growsUnderWriters() throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            Future<Long> writer = threads.submit(() -> countUp(device, 8, done));
            for (int i = 1; i <= SNAPSHOTS; i++) {
                long size = BYTES + i * 700_001L;
                device.whileClosed(() -> {
                    Images.resize(image, size, false);
                    return null;
                });
                assertThat(device.sizeBytes()).isEqualTo(size);
                assertThat(device.opened().geometry().sizeBytes()).isEqualTo(size);
                assertThat(read(device, size - 8)).isZero();
                device.write(size - 8, ByteBuffer.allocateDirect(8).putLong(0, i));
            }
            done.set(true);
            long last = writer.get(LIMIT_SECONDS, TimeUnit.SECONDS);
            assertThat(read(device, 8)).isEqualTo(last);
            for (int i = 1; i <= SNAPSHOTS; i++) {
                assertThat(read(device, BYTES + i * 700_001L - 8)).isEqualTo(i);
            }
        }
    }

    private static long countUp(BlockDevice device, long place, AtomicBoolean done) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(8);
        long count = 0;
        do {
            buffer.clear().putLong(++count).flip();
            device.write(place, buffer);
            assertThat(read(device, place)).isEqualTo(count);
        } while (!done.get());
        return count;
    }

    private static long read(BlockDevice device, long place) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(8);
        device.read(place, buffer);
        return buffer.getLong(0);
    }

    @Test
    void requestsWaitUntilTheImageIsOpenAgain() throws Exception {
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            Gate gate = new Gate();
            Future<Boolean> change = threads.submit(() -> device.whileClosed(() -> {
                gate.pass();
                return true;
            }));
            gate.awaitReached();
            Future<Long> read = threads.submit(() -> read(device, 0));
            assertThat(read.isDone()).isFalse();
            gate.open();
            assertThat(read.get(LIMIT_SECONDS, TimeUnit.SECONDS)).isZero();
            assertThat(change.get(LIMIT_SECONDS, TimeUnit.SECONDS)).isTrue();
        }
    }

    @Test
    void imageThatIsSwappedWhileItIsCompactedIsCompactedInItsNewPlace() throws Exception {
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            Gate gate = new Gate();
            Future<CompactReport> compaction = threads.submit(() -> device.compact((moved, total) -> pass(gate)));
            gate.awaitReached();
            assertThat(device.whileClosed(() -> true)).isTrue();
            gate.open();
            assertThat(compaction.get(LIMIT_SECONDS, TimeUnit.SECONDS).movedBytes())
                    .isZero();
        }
    }

    @Test
    void compactionEndsWhenTheDeviceIsClosed() throws Exception {
        Gate gate = new Gate();
        Future<CompactReport> compaction;
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            compaction = threads.submit(() -> device.compact((moved, total) -> pass(gate)));
            gate.awaitReached();
        }
        gate.open();
        assertThatThrownBy(() -> compaction.get(LIMIT_SECONDS, TimeUnit.SECONDS))
                .hasCauseInstanceOf(IOException.class)
                .hasMessageContaining("closed");
    }

    private static void pass(Gate gate) {
        try {
            gate.pass();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void failureLeavesTheOldImageOpen() throws Exception {
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            device.write(0, ByteBuffer.allocateDirect(8).putLong(0, 7));
            assertThatThrownBy(() -> device.whileClosed(() -> {
                        throw new IOException("planted");
                    }))
                    .hasMessage("planted");
            assertThat(read(device, 0)).isEqualTo(7);
        }
    }

    @Test
    void imageThatCannotBeOpenedAgainFailsRequests() throws Exception {
        try (SwappableDevice device = new SwappableDevice(() -> Images.open(image, false))) {
            assertThatThrownBy(() -> device.whileClosed(() -> {
                        Files.delete(image);
                        return null;
                    }))
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOENT));
            assertThatThrownBy(() -> read(device, 0))
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EIO));
            assertThatThrownBy(device::info)
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EIO));
            assertThat(device.stats().alteredChunks()).isZero();
        }
    }
}
