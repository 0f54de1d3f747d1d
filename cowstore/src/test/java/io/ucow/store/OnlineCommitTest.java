package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commits of an image that guests write to. */
@Timeout(value = 90, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class OnlineCommitTest {
    private static final int WRITERS = 3;
    /** Of each writer, side by side with the others' in the same chunks. */
    private static final int PIECE = 5000;

    private static final int PIECES = 400;
    private static final int BYTES = WRITERS * PIECE * PIECES;
    private static final int COMMITS = 4;
    private static final OpenOptions OPTIONS = OpenOptions.of(false);

    @TempDir
    Path directory;

    private Path base;
    private Path image;
    private final byte[] model = new byte[BYTES];

    @BeforeEach
    void makeBase() throws IOException {
        base = directory.resolve("base.img");
        image = directory.resolve("vm.cow");
    }

    private void create(String format, String layer, int chunkBytes) throws IOException {
        new Random(1).nextBytes(model);
        Files.write(base, model);
        Path below = base;
        if (!layer.equals("raw")) {
            below = directory.resolve("layer.cow");
            Images.create(new CreateOptions(below, Optional.of(base), OptionalLong.of(BYTES), 8192, layer));
        }
        Images.create(new CreateOptions(image, Optional.of(below), OptionalLong.of(BYTES), chunkBytes, format));
    }

    /** Writes, discards and reads back in its pieces until it is told to stop. */
    private void guest(SwappableDevice device, int id, AtomicBoolean stop) throws IOException {
        Random random = new Random(id);
        while (!stop.get()) {
            int at = (random.nextInt(PIECES) * WRITERS + id) * PIECE;
            byte[] data = new byte[random.nextInt(PIECE) + 1];
            int kind = random.nextInt(6);
            if (kind == 0) {
                assertThat(TestDevices.read(device, at, PIECE)).isEqualTo(Arrays.copyOfRange(model, at, at + PIECE));
                continue;
            }
            if (kind == 1) {
                device.discard(at, data.length);
            } else {
                random.nextBytes(data);
                device.write(at, TestDevices.direct(data, 0, data.length));
            }
            System.arraycopy(data, 0, model, at, data.length);
        }
    }

    @ParameterizedTest(name = "{0} on {1}, chunks of {2}")
    @CsvSource({
        "ucow, raw, 4096",
        "ucow, raw, 65536",
        "ucow, ucow, 4096",
        "ucow, ucow, 65536",
        "qcow2, raw, 65536",
        "qcow2, qcow2, 4096"
    })
    void guestsGoOnAndNothingIsLost(String format, String layer, int chunkBytes) throws Exception {
        create(format, layer, chunkBytes);
        AtomicBoolean stop = new AtomicBoolean();
        try (SwappableDevice device = SwappableDevice.open(image, OPTIONS)) {
            List<Crew.Member> guests = new ArrayList<>();
            for (int i = 0; i < WRITERS; i++) {
                int id = i;
                guests.add(Crew.start(() -> guest(device, id, stop)));
            }
            try {
                for (int i = 0; i < COMMITS; i++) {
                    long[] told = {0};
                    OnlineCommit.run(device, image, OPTIONS, bytes -> {
                        synchronized (told) {
                            told[0] += bytes;
                        }
                    });
                    assertThat(told[0]).isEqualTo(device.sizeBytes());
                    assertThatThrownBy(() -> OnlineCommit.run(device, image, OPTIONS, bytes -> {
                                throw new IllegalStateException("planted");
                            }))
                            .hasMessage("planted");
                }
            } finally {
                stop.set(true);
                for (Crew.Member guest : guests) {
                    guest.join();
                }
            }
            assertThat(TestDevices.read(device, 0, BYTES)).isEqualTo(model);
            OnlineCommit.run(device, image, OPTIONS, bytes -> {});
            assertThat(device.info().alteredChunks()).isZero();
            assertThat(TestDevices.read(device, 0, BYTES)).isEqualTo(model);
        }
        assertThat(Images.check(image).isSound()).isTrue();
        try (Origin below = Images.openContent(layer.equals("raw") ? base : directory.resolve("layer.cow"));
                Origin top = Images.openContent(image)) {
            assertThat(DeviceDiff.compare(below, top, (offset, length) -> {}, bytes -> {}))
                    .isFalse();
        }
    }

    /** From the first moment to the last, also when the image is opened on the base again. */
    @ParameterizedTest
    @ValueSource(strings = {"raw", "ucow", "qcow2"})
    void nobodyElseGetsTheBaseInBetween(String layer) throws Exception {
        create("ucow", layer, 4096);
        Path below = layer.equals("raw") ? base : directory.resolve("layer.cow");
        AtomicBoolean stop = new AtomicBoolean();
        try (SwappableDevice device = SwappableDevice.open(image, OPTIONS)) {
            device.write(0, TestDevices.direct(new byte[] {1}, 0, 1));
            SwappableDevice.Opener[] usual = new SwappableDevice.Opener[1];
            AtomicInteger opened = new AtomicInteger();
            usual[0] = device.openBy(() -> {
                opened.incrementAndGet();
                assertCannotBeOwned(below);
                return usual[0].open();
            });
            Crew.Member eager = Crew.start(() -> {
                while (!stop.get()) {
                    assertCannotBeOwned(below);
                }
            });
            try {
                OnlineCommit.run(device, image, OPTIONS, bytes -> {});
                assertThat(opened.get()).isEqualTo(1);
                device.write(0, TestDevices.direct(new byte[] {2}, 0, 1));
                assertThatThrownBy(() -> OnlineCommit.run(device, image, OPTIONS, bytes -> {
                            throw new IllegalStateException("planted");
                        }))
                        .hasMessage("planted");
                assertThat(opened.get()).isEqualTo(2);
            } finally {
                stop.set(true);
                eager.join();
            }
            assertThat(TestDevices.read(device, 0, 1)).containsExactly(2);
        }
        Images.commit(image, bytes -> {});
    }

    private static void assertCannotBeOwned(Path base) throws IOException {
        try (NativeFile file = NativeFile.open(base, Libc.O_RDWR)) {
            boolean raw = base.getFileName().toString().endsWith(".img");
            assertThat(raw ? file.tryLockByte(true, 1L << 62) : file.tryLock(true))
                    .isFalse();
        }
    }

    @Test
    void imageWithNothingInItIsLeftAlone() throws Exception {
        create("ucow", "raw", 4096);
        try (SwappableDevice device = SwappableDevice.open(image, OPTIONS)) {
            long[] told = {0};
            OnlineCommit.run(device, image, OPTIONS, bytes -> told[0] += bytes);
            assertThat(told[0]).isEqualTo(BYTES);
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(model);
    }

    /** The disk goes on where there is nothing that it could be committed to. */
    @Test
    void whatCannotBeCommittedIsServedOn() throws Exception {
        create("ucow", "raw", 4096);
        Path other = directory.resolve("other.cow");
        Images.create(new CreateOptions(other, Optional.of(base), OptionalLong.of(BYTES), 4096, "ucow"));
        try (SwappableDevice device = SwappableDevice.open(image, OPTIONS);
                CowDevice user = Images.open(other, true)) {
            device.write(0, TestDevices.direct(new byte[] {1}, 0, 1));
            assertThatThrownBy(() -> OnlineCommit.run(device, image, OPTIONS, bytes -> {}))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining("is the base of an image that is in use");
            assertThat(TestDevices.read(device, 0, 1)).containsExactly(1);
            assertThat(TestDevices.read(user, 0, 1)).containsExactly(model[0]);
            assertThat(device.info().details()).doesNotContainKey("commit");
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(model);
    }
}
