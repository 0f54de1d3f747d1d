package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThatCode;

import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Commits on real files: what the base holds afterwards, and what is left when one is ended at any step. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CommitTest {
    private static final int BYTES = 900_001;

    @TempDir
    Path root;

    private Path directory;
    private Path base;
    private Path image;
    private final Random random = new Random(11);

    @BeforeEach
    void makeDirectory() throws IOException {
        directory = Files.createDirectory(root.resolve("images"));
        base = directory.resolve("base.img");
        image = directory.resolve("vm.cow");
    }

    /** A raw base, and the image on it, which has been written to. @return what its device holds */
    private byte[] makeOnRaw(int baseBytes, int deviceBytes, int chunkBytes) throws IOException {
        byte[] content = new byte[baseBytes];
        random.nextBytes(content);
        Files.write(base, content);
        create(image, base, deviceBytes, chunkBytes);
        byte[] model = Arrays.copyOf(content, deviceBytes);
        change(image, model);
        return model;
    }

    @ParameterizedTest(name = "base of {0}, device of {1}, chunks of {2}")
    @CsvSource({
        "900001, 900001, 4096",
        "900001, 900001, 32768",
        "900001, 900001, 65536",
        "300000, 900001, 65536",
        "1500000, 900001, 65536",
        "0, 900001, 16384"
    })
    void rawBaseHoldsWhatTheDeviceDid(int baseBytes, int deviceBytes, int chunkBytes) throws IOException {
        byte[] model = makeOnRaw(baseBytes, deviceBytes, chunkBytes);
        byte[] tail = Files.readAllBytes(base);
        long[] told = {0};

        Images.commit(image, bytes -> {
            synchronized (told) {
                told[0] += bytes;
            }
        });

        byte[] held = Files.readAllBytes(base);
        assertThat(Arrays.copyOf(held, deviceBytes)).isEqualTo(model);
        assertThat(held).hasSize(Math.max(baseBytes, deviceBytes));
        for (int i = deviceBytes; i < baseBytes; i++) {
            assertThat(held[i]).isEqualTo(tail[i]);
        }
        assertThat(told[0]).isEqualTo(deviceBytes);
        assertEmptyAndHolding(model);
    }

    /** Chunk sizes differ both ways; the layer is smaller, and nothing is held past its end but zeros. */
    @ParameterizedTest(name = "layer''s chunks of {0}, image''s of {1}, layer of {2}")
    @CsvSource({"4096, 65536, 900001", "65536, 4096, 900001", "32768, 32768, 1200000", "32768, 16384, 500001"})
    void layerHoldsWhatTheDeviceDid(int below, int above, int layerBytes) throws IOException {
        byte[] raw = new byte[700_000];
        random.nextBytes(raw);
        Files.write(base, raw);
        Path layer = directory.resolve("layer.cow");
        create(layer, base, layerBytes, below);
        byte[] model = Arrays.copyOf(raw, layerBytes);
        change(layer, model);
        create(image, layer, BYTES, above);
        model = Arrays.copyOf(model, Math.max(layerBytes, BYTES));
        byte[] top = Arrays.copyOf(model, Math.min(layerBytes, BYTES));
        change(image, top);
        System.arraycopy(top, 0, model, 0, top.length);
        if (layerBytes < BYTES) {
            try (CowDevice device = Images.open(image, false)) {
                device.discard(layerBytes + 50_000, BYTES - layerBytes - 50_000);
            }
        }

        Images.commit(image, bytes -> {});

        assertEmptyAndHolding(Arrays.copyOf(model, BYTES));
        assertHolds(layer, Arrays.copyOf(model, layerBytes));
        assertThat(Images.check(layer).isSound()).isTrue();
        assertThat(Files.readAllBytes(base)).isEqualTo(raw);
        change(image, Arrays.copyOf(model, Math.min(layerBytes, BYTES)));
    }

    /** What is on disk after each step is what a kill there leaves; what is written then is not lost either. */
    @ParameterizedTest
    @CsvSource({"false", "true"})
    void killedAfterAnyStepLosesNothingAndGoesOn(boolean onLayer) throws IOException {
        byte[] model = makeOnRaw(BYTES, BYTES, 32768);
        if (onLayer) {
            Images.snapshot(image, Optional.empty());
            change(image, model);
        }
        List<Path> remains = new ArrayList<>();
        Commit.run(image, bytes -> {}, step -> remains.add(copy(step.name())));
        assertThat(remains).hasSize(Commit.Step.values().length);
        for (Path remain : remains) {
            Path found = remain.resolve("vm.cow");
            byte[] held = model.clone();
            assertHolds(found, held);
            assertThat(Images.check(found).corruptions()).as("%s", remain).isEmpty();
            change(found, held);
            assertHolds(found, held);
            Images.commit(found, bytes -> {});
            assertHolds(found, held);
            assertThat(Images.info(found).alteredChunks()).isZero();
            if (!onLayer) {
                assertThat(Files.readAllBytes(remain.resolve("base.img"))).isEqualTo(held);
            }
        }
    }

    /** As {@code kill -9} while data is being copied; the rest of the base may hold anything by then. */
    @Test
    void endedWhileCopyingItIsRunAgain() throws IOException {
        byte[] model = makeOnRaw(BYTES, BYTES, 32768);
        assertThatThrownBy(() -> Images.commit(image, bytes -> {
                    throw new IllegalStateException("planted");
                }))
                .hasMessage("planted");
        assertHolds(image, model);
        assertThat(Images.info(image).details()).containsEntry("commit", "not finished");
        assertThatThrownBy(() -> Images.snapshot(image, Optional.empty()))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("a commit of it was not finished");
        assertThatThrownBy(() -> create(directory.resolve("new.cow"), image, BYTES, 4096))
                .isInstanceOf(UnsupportedFormatException.class);
        assertThatThrownBy(() -> Images.rebase(image, Optional.empty(), bytes -> {}))
                .isInstanceOf(UnsupportedFormatException.class);
        assertThatThrownBy(() -> Images.resize(image, 2L * BYTES, false))
                .isInstanceOf(UnsupportedFormatException.class);
        Images.commit(image, bytes -> {});
        assertEmptyAndHolding(model);
        assertThat(Files.readAllBytes(base)).isEqualTo(model);
    }

    @ParameterizedTest
    @EnumSource(Commit.Step.class)
    void failureAtAnyStepLosesNothing(Commit.Step at) throws IOException {
        byte[] model = makeOnRaw(BYTES, BYTES, 16384);
        assertThatThrownBy(() -> Commit.run(image, bytes -> {}, step -> {
                    if (step == at) {
                        throw new IllegalStateException("planted");
                    }
                }))
                .hasMessage("planted");
        assertHolds(image, model);
        Images.commit(image, bytes -> {});
        assertEmptyAndHolding(model);
    }

    /** Nothing tells such a base from the right one but its size. */
    @Test
    void baseThatBecameShorterMeanwhileIsRefused() throws IOException {
        makeOnRaw(BYTES, BYTES, 16384);
        assertThatThrownBy(() -> Images.commit(image, bytes -> {
                    throw new IllegalStateException("planted");
                }))
                .hasMessage("planted");
        Files.write(base, new byte[BYTES - 1]);
        assertThatThrownBy(() -> Images.open(image, true))
                .isInstanceOf(OriginChangedException.class)
                .hasMessageContaining("while " + image + " was being committed to it");
    }

    @Test
    void otherImagesOnThatBaseAreRefusedAfterwards() throws IOException {
        Path other = directory.resolve("other.cow");
        makeOnRaw(BYTES, BYTES, 16384);
        create(other, base, BYTES, 16384);
        Images.commit(image, bytes -> {});
        assertThatThrownBy(() -> Images.open(other, true)).isInstanceOf(OriginChangedException.class);
    }

    @Test
    void nothingIsChangedWhileSomebodyUsesAnyOfIt() throws IOException {
        Path other = directory.resolve("other.cow");
        byte[] model = makeOnRaw(BYTES, BYTES, 16384);
        create(other, base, BYTES, 16384);
        byte[] before = Files.readAllBytes(base);
        try (CowDevice device = Images.open(image, false)) {
            assertThat(device.isReadOnly()).isFalse();
            assertThatThrownBy(() -> Images.commit(image, bytes -> {})).isInstanceOf(StoreInUseException.class);
        }
        try (CowDevice device = Images.open(other, true)) {
            assertThat(device.isReadOnly()).isTrue();
            assertThatThrownBy(() -> Images.commit(image, bytes -> {}))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining("is the base of an image that is in use");
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(before);
        Commit.run(image, bytes -> {}, step -> {
            assertThatThrownBy(() -> Images.open(other, true)).isInstanceOf(StoreInUseException.class);
            assertThatThrownBy(() -> Images.open(image, true)).isInstanceOf(StoreInUseException.class);
        });
        assertEmptyAndHolding(model);
    }

    @Test
    void layerInUseIsRefused() throws IOException {
        makeOnRaw(BYTES, BYTES, 16384);
        Path layer = Images.snapshot(image, Optional.empty());
        Path other = directory.resolve("other.cow");
        create(other, layer, BYTES, 16384);
        change(image, new byte[BYTES]);
        byte[] before = Files.readAllBytes(layer);
        try (CowDevice device = Images.open(other, true)) {
            assertThat(device.isReadOnly()).isTrue();
            assertThatThrownBy(() -> Images.commit(image, bytes -> {})).isInstanceOf(StoreInUseException.class);
        }
        assertThat(Files.readAllBytes(layer)).isEqualTo(before);
        assertThat(Images.info(image).details()).doesNotContainKey("commit");
    }

    @Test
    void imageThatHoldsNothingLeavesItsBaseAlone() throws IOException {
        byte[] content = new byte[50_000];
        random.nextBytes(content);
        Files.write(base, content);
        create(image, base, BYTES, 16384);
        byte[] before = Files.readAllBytes(image);
        Images.commit(image, bytes -> {});
        assertThat(Files.readAllBytes(base)).isEqualTo(content);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }

    @Test
    void whatCannotBeCommittedIsRefused() throws IOException {
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(BYTES), 16384, "ucow"));
        assertThatThrownBy(() -> Images.commit(image, bytes -> {}))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("has no base");
        Path larger = directory.resolve("larger.cow");
        create(larger, image, 2 * BYTES, 16384);
        try (CowDevice device = Images.open(larger, false)) {
            device.write(BYTES + 100_000, TestDevices.direct(new byte[] {1}, 0, 1));
        }
        assertThatThrownBy(() -> Images.commit(larger, bytes -> {}))
                .isInstanceOf(StoreFullException.class)
                .hasMessageContaining("has " + BYTES + " bytes and cannot grow");
        assertThat(Images.info(larger).details()).doesNotContainKey("commit");
        makeChanged();
        assertThatThrownBy(() -> Images.commit(directory.resolve("changed.cow"), bytes -> {}))
                .isInstanceOf(OriginChangedException.class);
    }

    /** Where files have a limit, a base meets it before anything was copied: the image must not stay marked for ever. */
    @Test
    void baseThatCannotBecomeSoLargeIsNotMarked() throws IOException {
        long deviceBytes = 100L << 40;
        Files.write(base, new byte[] {1});
        try (NativeFile file = NativeFile.create(directory.resolve("large.img"), 0600)) {
            assumeThatCode(() -> file.truncate(deviceBytes)).isInstanceOf(NativeException.class);
        }
        create(image, base, deviceBytes, 1 << 20);
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, ByteBuffer.wrap(new byte[] {2}));
        }

        assertThatThrownBy(() -> Images.commit(image, bytes -> {}))
                .isInstanceOf(StoreFullException.class)
                .hasMessageContaining("flatten the image instead");

        assertThat(Files.readAllBytes(base)).containsExactly(1);
        Images.snapshot(image, Optional.empty());
    }

    private void makeChanged() throws IOException {
        Files.write(base, new byte[BYTES]);
        Path changed = directory.resolve("changed.cow");
        create(changed, base, BYTES, 16384);
        change(changed, new byte[BYTES]);
        Files.write(base, new byte[BYTES + 1]);
    }

    /** A killed daemon's image is recovered first. */
    @Test
    void imageThatWasNotClosedIsCommittedWhole() throws IOException {
        byte[] model = makeOnRaw(BYTES, BYTES, 16384);
        Path killed = directory.resolve("killed.cow");
        try (CowDevice device = Images.open(image, false)) {
            device.write(5, TestDevices.direct(new byte[] {9, 9}, 0, 2));
            Files.copy(image, killed);
        }
        model[5] = model[6] = 9;
        Images.commit(killed, bytes -> {});
        image = killed;
        assertEmptyAndHolding(model);
        assertThat(Files.readAllBytes(base)).isEqualTo(model);
    }

    /** As {@code cp --sparse=always} leaves it. */
    @Test
    void zerosBecomeHolesOfTheBase() throws IOException {
        byte[] content = new byte[4 << 20];
        random.nextBytes(content);
        Files.write(base, content);
        create(image, base, content.length, 65536);
        try (CowDevice device = Images.open(image, false)) {
            device.discard(0, 1 << 20);
            device.write(2 << 20, TestDevices.direct(new byte[1 << 20], 0, 1 << 20));
        }
        Images.commit(image, bytes -> {});
        try (NativeFile file = NativeFile.open(base, 0)) {
            assertThat(file.dataBytes(0, 1 << 20)).isZero();
            assertThat(file.dataBytes(2 << 20, 1 << 20)).isZero();
            assertThat(file.dataBytes(0, content.length)).isEqualTo(2 << 20);
        }
    }

    @Test
    void committedImageGoesOnAndIsCommittedAgain() throws IOException {
        byte[] model = makeOnRaw(BYTES, BYTES, 32768);
        for (int i = 0; i < 5; i++) {
            Images.commit(image, bytes -> {});
            assertEmptyAndHolding(model);
            change(image, model);
            assertHolds(image, model);
        }
        assertThat(Images.check(image).isSound()).isTrue();
    }

    private void assertEmptyAndHolding(byte[] model) throws IOException {
        assertHolds(image, model);
        ImageInfo info = Images.info(image);
        assertThat(info.alteredChunks() + info.zeroChunks()).isZero();
        assertThat(info.clean()).isTrue();
        assertThat(info.details()).doesNotContainKey("commit");
        assertThat(info.allocatedBytes()).isLessThan((4 << 20) + (512 << 10));
        CheckReport report = Images.check(image);
        assertThat(report.isSound()).isTrue();
        assertThat(report.leakedBytes()).isZero();
    }

    private static void assertHolds(Path path, byte[] expected) throws IOException {
        try (CowDevice device = Images.open(path, true)) {
            assertThat(TestDevices.read(device, 0, expected.length))
                    .as("%s", path)
                    .isEqualTo(expected);
        }
    }

    private static void create(Path path, Path below, long sizeBytes, int chunkBytes) throws IOException {
        Images.create(new CreateOptions(path, Optional.of(below), OptionalLong.of(sizeBytes), chunkBytes, "ucow"));
    }

    /** Writes, discards and writes of zeros, within the first bytes of the device that {@code model} has. */
    private void change(Path path, byte[] model) throws IOException {
        try (CowDevice device = Images.open(path, false)) {
            for (int i = 0; i < 30; i++) {
                int at = random.nextInt(model.length - 40_000);
                byte[] bytes = new byte[random.nextInt(random.nextInt(4) == 0 ? 40_000 : 3000) + 1];
                switch (random.nextInt(5)) {
                    case 0 -> device.discard(at, bytes.length);
                    case 1 -> device.write(at, TestDevices.direct(bytes, 0, bytes.length));
                    default -> {
                        random.nextBytes(bytes);
                        device.write(at, TestDevices.direct(bytes, 0, bytes.length));
                    }
                }
                System.arraycopy(bytes, 0, model, at, bytes.length);
            }
        }
    }

    /** With times to the nanosecond, which {@link Files#copy} rounds. */
    private Path copy(String name) {
        Path copy = root.resolve(name);
        try {
            Process cp = new ProcessBuilder("cp", "-a", directory.toString(), copy.toString()).start();
            assertThat(cp.waitFor()).isZero();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        return copy;
    }
}
