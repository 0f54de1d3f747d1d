package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SwappableDeviceTest {
    private static final int BYTES = 1 << 20;
    private static final int WRITERS = 3;
    private static final int SNAPSHOTS = 8;
    private static final int CHANGES = 3;
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            List<Future<Long>> writers = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                long place = i * 8L + 4096L * i;
                writers.add(threads.submit(() -> countUp(device, place, done)));
            }
            for (int i = 1; i <= SNAPSHOTS; i++) {
                Path layer = device.snapshot(Optional.empty());
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

    /** As 'ucow check' tries, which everybody can run who may read the image. */
    @ParameterizedTest
    @ValueSource(strings = {"ucow", "qcow2"})
    void nobodyGetsAtTheImageWhileItIsChanged(String format) throws Exception {
        image = directory.resolve("other." + format);
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(BYTES), 4096, format));
        AtomicBoolean done = new AtomicBoolean();
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            Future<Integer> looks = threads.submit(() -> {
                int refused = 0;
                while (!done.get()) {
                    try {
                        // Of a file that has just become a layer, or of none.
                        assertThat(Images.check(image).isSound()).isTrue();
                    } catch (StoreInUseException e) {
                        refused++;
                    }
                }
                return refused;
            });
            for (int i = 1; i <= CHANGES; i++) {
                Path layer = device.snapshot(Optional.empty());
                // It has become what others may read, as a base, and nobody may write.
                Images.open(layer, true).close();
                assertRefused(() -> Images.open(layer, false));
                if (format.equals("ucow")) {
                    device.grow(BYTES + i * 4096L);
                }
                device.whileClosed(() -> {
                    assertRefused(() -> Images.open(image, true));
                    return null;
                });
                device.write(0, ByteBuffer.allocateDirect(8).putLong(0, i));
            }
            done.set(true);
            assertThat(looks.get(LIMIT_SECONDS, TimeUnit.SECONDS)).isPositive();
            assertThat(read(device, 0)).isEqualTo(CHANGES);
        }
        assertThat(Images.check(image).isSound()).isTrue();
    }

    private static void assertRefused(ThrowingCallable open) {
        assertThatThrownBy(open).isInstanceOf(StoreInUseException.class);
    }

    /** The base of this image is one of another's, too: that one cannot be committed in between. */
    @Test
    void nobodyChangesTheBaseWhileTheImageIsChanged() throws IOException {
        Path base = directory.resolve("base.img");
        Files.write(base, new byte[BYTES]);
        Path mine = create("mine.cow", base);
        Path other = create("another.cow", base);
        try (CowDevice device = Images.open(other, false)) {
            device.write(0, ByteBuffer.allocateDirect(8).putLong(0, 1));
        }
        try (SwappableDevice device = SwappableDevice.open(mine, OpenOptions.of(false))) {
            device.whileClosed(() -> {
                assertRefused(() -> Images.commit(other, bytes -> {}));
                return null;
            });
            device.write(0, ByteBuffer.allocateDirect(8).putLong(0, 7));
            assertThat(read(device, 0)).isEqualTo(7);
        }
        Images.commit(other, bytes -> {});
    }

    /** It could not be opened again, and there is no need to find that out. */
    @Test
    void imageOfWhichTheBaseWasChangedIsServedOn() throws IOException {
        Path base = directory.resolve("base.img");
        Files.write(base, new byte[BYTES]);
        Path mine = create("mine.cow", base);
        try (SwappableDevice device = SwappableDevice.open(mine, OpenOptions.of(false))) {
            device.write(0, ByteBuffer.allocateDirect(8).putLong(0, 7));
            Files.write(base, new byte[] {1}, StandardOpenOption.WRITE);
            ThrowingCallable commit = () -> OnlineCommit.run(device, mine, OpenOptions.of(false), bytes -> {});
            for (ThrowingCallable change : List.<ThrowingCallable>of(
                    () -> device.snapshot(Optional.empty()), () -> device.grow(2 * BYTES), commit)) {
                assertThatThrownBy(change)
                        .isInstanceOf(OriginChangedException.class)
                        .hasMessageContaining("base changed");
                assertThat(read(device, 0)).isEqualTo(7);
            }
            assertThatThrownBy(device::requireReopenable).isInstanceOf(OriginChangedException.class);
            Files.delete(base);
            assertThatThrownBy(() -> device.snapshot(Optional.empty())).hasMessageContaining("is missing");
            assertThat(read(device, 0)).isEqualTo(7);
        }
    }

    @Test
    void imageThatWasMovedCannotBeOpenedBySomebodyElse() throws IOException {
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            device.requireReopenable();
            Path moved = Files.move(image, directory.resolve("moved"));
            assertThatThrownBy(device::requireReopenable).isInstanceOf(NoSuchFileException.class);
            Files.copy(moved, image);
            assertThatThrownBy(device::requireReopenable)
                    .hasMessageContaining("is not the file any more that is served");
            Files.move(moved, image, StandardCopyOption.REPLACE_EXISTING);
            device.requireReopenable();
        }
    }

    private Path create(String name, Path base) throws IOException {
        Path created = directory.resolve(name);
        Images.create(new CreateOptions(created, Optional.of(base), OptionalLong.empty(), 4096, "ucow"));
        return created;
    }

    /** Whoever has taken what is behind the image ends at some time: that must not cost the guest its disk. */
    @Test
    void imageThatCannotBeOpenedYetIsOpenedWhenItCan() throws IOException {
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            AtomicInteger refusals = new AtomicInteger(3);
            device.whileClosed(() -> {
                SwappableDevice.Opener[] usual = new SwappableDevice.Opener[1];
                usual[0] = device.openBy(() -> {
                    if (refusals.getAndDecrement() > 0) {
                        throw new StoreInUseException("planted");
                    }
                    return usual[0].open();
                });
                return null;
            });
            assertThat(refusals.get()).isNegative();
            device.write(0, ByteBuffer.wrap(new byte[] {1}));
        }
    }

    /** Its size is another for whoever asks, and nobody who writes meanwhile notices anything. */
    @Test
    void growsUnderWriters() throws Exception {
        AtomicBoolean done = new AtomicBoolean();
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            Future<Long> writer = threads.submit(() -> countUp(device, 8, done));
            for (int i = 1; i <= SNAPSHOTS; i++) {
                long size = BYTES + i * 700_001L;
                device.grow(size);
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
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
        try (SwappableDevice device = SwappableDevice.open(image, OpenOptions.of(false))) {
            assertThatThrownBy(() -> device.whileClosed(() -> {
                        device.openBy(() -> {
                            throw new NativeException("open", Errno.ENOENT);
                        });
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
