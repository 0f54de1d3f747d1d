package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SnapshotTest {
    private static final int BYTES = 600_000;

    @TempDir
    Path root;

    private Path directory;
    private Path image;
    private byte[] model;
    private final Random random = new Random(5);

    @BeforeEach
    void makeImage() throws IOException {
        directory = Files.createDirectory(root.resolve("images"));
        model = new byte[BYTES];
        random.nextBytes(model);
        Path base = Files.write(directory.resolve("base.img"), model);
        image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), 16384, "ucow"));
        change(image);
    }

    @Test
    void imageGoesOnEmptyOverTheLayer() throws IOException {
        Files.setPosixFilePermissions(image, PosixFilePermissions.fromString("rw-rw----"));

        Path layer = Images.snapshot(image, Optional.empty());

        assertThat(layer).isEqualTo(directory.resolve("vm.1.cow"));
        ImageInfo info = Images.info(image);
        assertThat(info.base()).contains(layer);
        assertThat(info.baseIsImage()).isTrue();
        assertThat(info.geometry()).isEqualTo(Images.info(layer).geometry());
        assertThat(info.alteredChunks()).isZero();
        assertThat(info.uuid()).isNotEqualTo(Images.info(layer).uuid());
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(image)))
                .isEqualTo("rw-rw----");
        assertThat(files()).containsExactly("base.img", "vm.1.cow", "vm.cow");
        assertHolds(image, model);
    }

    /** Each layer goes on holding what the image held when it was frozen. */
    @Test
    void writesAndSnapshotsInTurn() throws IOException {
        Map<Path, byte[]> frozen = new HashMap<>();
        for (int i = 1; i <= 6; i++) {
            Path layer = Images.snapshot(image, Optional.empty());
            assertThat(layer).isEqualTo(directory.resolve("vm." + i + ".cow"));
            frozen.put(layer, model.clone());
            change(image);
            assertHolds(image, model);
        }
        for (Map.Entry<Path, byte[]> layer : frozen.entrySet()) {
            assertHolds(layer.getKey(), layer.getValue());
            assertThat(Images.check(layer.getKey()).isSound()).isTrue();
        }
        assertThat(Images.layersBelow(Images.info(image))).hasSize(6);
        assertThat(Images.check(image).isSound()).isTrue();
    }

    /** What is on disk after each step is what a kill there leaves. */
    @Test
    void killedAfterAnyStepLeavesAnImageThatGoesOn() throws IOException {
        List<Path> remains = new ArrayList<>();
        Snapshot.take(image, Optional.empty(), step -> remains.add(copy(step.name())));
        assertThat(remains).hasSize(Snapshot.Step.values().length);
        for (Path remain : remains) {
            Path found = remain.resolve("vm.cow");
            byte[] held = model.clone();
            assertHolds(found, held);
            change(found, held);
            Path layer = Images.snapshot(found, Optional.empty());
            assertHolds(found, held);
            assertHolds(layer, held);
            assertThat(remain.resolve(".vm.cow.snapshot")).as("%s", remain).doesNotExist();
            assertThat(Images.check(found).isSound()).isTrue();
        }
    }

    @Test
    void failureAtAnyStepUndoesTheOnesBefore() throws IOException {
        for (Snapshot.Step at : Snapshot.Step.values()) {
            if (at == Snapshot.Step.IMAGE_REPLACED) {
                continue; // done by then
            }
            assertThatThrownBy(() -> Snapshot.take(image, Optional.empty(), step -> {
                        if (step == at) {
                            throw new IllegalStateException("planted");
                        }
                    }))
                    .hasMessage("planted");
            assertThat(files()).as("%s", at).containsExactly("base.img", "vm.cow");
            assertHolds(image, model);
        }
    }

    /** A killed daemon's image is recovered first, and all that it acknowledged is in the layer. */
    @Test
    void imageThatWasNotClosedIsRecovered() throws IOException {
        Path killed = root.resolve("images/killed.cow");
        try (CowDevice device = Images.open(image, false)) {
            device.write(5, TestDevices.direct(new byte[] {9, 9}, 0, 2));
            Files.copy(image, killed);
        }
        model[5] = model[6] = 9;
        Path layer = Images.snapshot(killed, Optional.empty());
        assertHolds(killed, model);
        assertHolds(layer, model);
    }

    @Test
    void layerMayBeNamed() throws IOException {
        assertThat(Images.snapshot(image, Optional.of(directory.resolve("before.cow"))))
                .isEqualTo(directory.resolve("before.cow"));
        assertThatThrownBy(() -> Images.snapshot(image, Optional.of(directory.resolve("before.cow"))))
                .isInstanceOf(FileAlreadyExistsException.class);
        assertThatThrownBy(() -> Images.snapshot(image, Optional.of(root.resolve("elsewhere.cow"))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("a layer stays beside its image");
        assertThatThrownBy(() -> Images.snapshot(image, Optional.of(root.resolve("nowhere/elsewhere.cow"))))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(files()).containsExactly("base.img", "before.cow", "vm.cow");
    }

    @Test
    void numberGoesBeforeTheLastExtension() throws IOException {
        Path plain = Files.move(image, directory.resolve("plain"));
        assertThat(Images.snapshot(plain, Optional.empty())).isEqualTo(directory.resolve("plain.1"));
        Path link = Files.createSymbolicLink(root.resolve("link"), plain);
        assertThat(Images.snapshot(link, Optional.empty())).isEqualTo(directory.resolve("plain.2"));
        assertThat(link).isSymbolicLink();
        assertHolds(plain, model);
    }

    @Test
    void imageInUseIsRefused() throws IOException {
        try (CowDevice device = Images.open(image, false)) {
            assertThat(device.sizeBytes()).isEqualTo(BYTES);
            assertThatThrownBy(() -> Images.snapshot(image, Optional.empty())).isInstanceOf(StoreInUseException.class);
        }
        assertThatThrownBy(() -> Snapshot.take(image, Optional.empty(), step -> {
                    if (step == Snapshot.Step.STORE_WRITTEN) {
                        assertThatThrownBy(() -> Images.snapshot(image, Optional.empty()))
                                .isInstanceOf(StoreInUseException.class);
                        throw new IllegalStateException("seen");
                    }
                }))
                .hasMessage("seen");
        assertThat(files()).containsExactly("base.img", "vm.cow");
    }

    /** Whoever has that image open would find another file in the layer's place when it opens the layer again. */
    @Test
    void layerOfAnOpenImageIsRefused() throws IOException {
        Path layer = Images.snapshot(image, Optional.empty());
        try (CowDevice device = Images.open(image, true)) {
            assertThat(device.sizeBytes()).isEqualTo(BYTES);
            assertThatThrownBy(() -> Images.snapshot(layer, Optional.empty())).isInstanceOf(StoreInUseException.class);
        }
        assertHolds(image, model);
    }

    private void change(Path changed) throws IOException {
        change(changed, model);
    }

    private void change(Path changed, byte[] held) throws IOException {
        try (CowDevice device = Images.open(changed, false)) {
            for (int i = 0; i < 20; i++) {
                int at = random.nextInt(BYTES - 30_000);
                byte[] bytes = new byte[random.nextInt(30_000) + 1];
                if (random.nextInt(4) == 0) {
                    device.discard(at, bytes.length);
                } else {
                    random.nextBytes(bytes);
                    device.write(at, TestDevices.direct(bytes, 0, bytes.length));
                }
                System.arraycopy(bytes, 0, held, at, bytes.length);
            }
        }
    }

    private static void assertHolds(Path path, byte[] expected) throws IOException {
        try (CowDevice device = Images.open(path, true)) {
            assertThat(TestDevices.read(device, 0, BYTES)).as("%s", path).isEqualTo(expected);
        }
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(f -> f.getFileName().toString()).sorted().toList();
        }
    }

    /** With times to the nanosecond, which {@link Files#copy} rounds, and with what is linked. */
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
