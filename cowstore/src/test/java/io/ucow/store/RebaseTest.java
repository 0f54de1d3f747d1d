package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Images that change their base. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RebaseTest {
    private static final int BYTES = 900_001;

    @TempDir
    Path directory;

    private final Random random = new Random(13);

    /** The bases are alike for the most part; either may be the longer one, and longer than the device. */
    @ParameterizedTest(name = "from {0} to {1}, chunks of {2}")
    @CsvSource({
        "900001, 900001, 32768",
        "900001, 900001, 4096",
        "300000, 900001, 32768",
        "300000, 900001, 65536",
        "900001, 300000, 65536",
        "1500000, 1200000, 16384",
        "500000, 1200000, 16384",
        "0, 900001, 32768"
    })
    void contentStaysAndNothingElseIsCopied(int fromBytes, int toBytes, int chunkBytes) throws IOException {
        byte[] from = new byte[fromBytes];
        random.nextBytes(from);
        byte[] to = Arrays.copyOf(from, toBytes);
        for (int i = 0; i < 6; i++) {
            to[random.nextInt(toBytes)] ^= 1;
        }
        Path image = create("vm.cow", Files.write(directory.resolve("from.img"), from), chunkBytes);
        byte[] model = Arrays.copyOf(from, BYTES);
        change(image, model);
        Path base = Files.write(directory.resolve("to.img"), to);
        long altered = Images.info(image).alteredChunks();
        long[] told = {0};

        Images.rebase(image, Optional.of(base), bytes -> told[0] += bytes);

        assertThat(told[0]).isEqualTo(BYTES);
        ImageInfo info = Images.info(image);
        assertThat(info.base()).contains(base);
        assertThat(info.clean()).isTrue();
        assertThat(Images.check(image).isSound()).isTrue();
        if (fromBytes >= BYTES && toBytes >= BYTES) {
            assertThat(info.alteredChunks()).isBetween(altered, altered + 6);
        }
        Files.delete(directory.resolve("from.img"));
        assertHolds(image, model);
        change(image, model);
        assertHolds(image, model);
        assertThat(Files.readAllBytes(base)).isEqualTo(to);
    }

    @Test
    void noBaseIsNeeded() throws IOException {
        byte[] from = new byte[600_000];
        random.nextBytes(from);
        Arrays.fill(from, 100_000, 300_000, (byte) 0);
        Path image = create("vm.cow", Files.write(directory.resolve("from.img"), from), 16384);
        byte[] model = Arrays.copyOf(from, BYTES);
        change(image, model);

        Images.rebase(image, Optional.empty(), bytes -> {});

        Files.delete(directory.resolve("from.img"));
        assertThat(Images.info(image).base()).isEmpty();
        assertHolds(image, model);

        Path base = Files.write(directory.resolve("to.img"), new byte[] {1, 2, 3});
        Images.rebase(image, Optional.of(base), bytes -> {});
        assertHolds(image, model);
    }

    /** The base is looked for, and recorded, beside the image, not beside the link. */
    @Test
    void imageBehindASymbolicLinkHasItsBase() throws IOException {
        byte[] raw = new byte[BYTES];
        random.nextBytes(raw);
        Path image = create("vm.cow", Files.write(directory.resolve("base.img"), raw), 32768);
        byte[] model = raw.clone();
        change(image, model);
        Path elsewhere = Files.createDirectory(directory.resolve("elsewhere"));
        Path link = Files.createSymbolicLink(elsewhere.resolve("link.cow"), Path.of("..", "vm.cow"));
        assertHolds(link, model);

        Path base = Files.write(elsewhere.resolve("to.img"), raw);
        Images.rebase(link, Optional.of(base), bytes -> {});

        assertHolds(link, model);
        assertHolds(image, model);
    }

    /** From a layer to what is behind it: what a chain is shortened by. */
    @Test
    void layerIsTakenOutOfAChain() throws IOException {
        byte[] raw = new byte[BYTES];
        random.nextBytes(raw);
        Path base = Files.write(directory.resolve("base.img"), raw);
        Path image = create("vm.cow", base, 32768);
        byte[] model = raw.clone();
        change(image, model);
        Path layer = Images.snapshot(image, Optional.empty());
        change(image, model);

        Images.rebase(image, Optional.of(base), bytes -> {});

        Files.delete(layer);
        assertHolds(image, model);
        assertThat(Images.info(image).baseIsImage()).isFalse();

        Path other = create("other.cow", base, 4096);
        Images.rebase(image, Optional.of(other), bytes -> {});
        assertThat(Images.layersBelow(Images.info(image))).hasSize(1);
        assertHolds(image, model);
    }

    /** Copying does no harm until the new base is on record. */
    @Test
    void endedWhileCopyingItIsRunAgain() throws IOException {
        byte[] from = new byte[BYTES];
        random.nextBytes(from);
        Path image = create("vm.cow", Files.write(directory.resolve("from.img"), from), 16384);
        byte[] model = from.clone();
        change(image, model);
        Path base = Files.write(directory.resolve("to.img"), new byte[BYTES]);
        int[] calls = {0};
        assertThatThrownBy(() -> Images.rebase(image, Optional.of(base), bytes -> {
                    if (++calls[0] == 3) {
                        throw new IllegalStateException("planted");
                    }
                }))
                .hasMessage("planted");
        assertHolds(image, model);
        assertThat(Images.info(image).base()).contains(directory.resolve("from.img"));
        Images.rebase(image, Optional.of(base), bytes -> {});
        assertHolds(image, model);
    }

    @Test
    void unsafelyABaseIsTakenForWhatItIsSaidToBe() throws IOException {
        byte[] from = new byte[BYTES];
        random.nextBytes(from);
        Path base = Files.write(directory.resolve("from.img"), from);
        Path image = create("vm.cow", base, 16384);
        byte[] model = from.clone();
        change(image, model);
        Path moved = Files.move(base, directory.resolve("moved.img"));
        Files.setLastModifiedTime(moved, FileTime.fromMillis(1));
        assertThatThrownBy(() -> Images.rebase(image, Optional.of(moved), bytes -> {}))
                .isInstanceOf(OriginChangedException.class)
                .hasMessageContaining("ucow rebase --unsafe");

        Images.rebaseUnsafely(image, Optional.of(moved));

        assertHolds(image, model);
        Images.rebaseUnsafely(image, Optional.empty());
        try (CowDevice device = Images.open(image, true)) {
            assertThat(TestDevices.read(device, 0, BYTES)).isNotEqualTo(model);
        }
        Images.rebaseUnsafely(image, Optional.of(moved));
        assertHolds(image, model);
    }

    /** An image may be on a base that a commit has left half changed: it hides all of that. */
    @Test
    void unsafelyABaseMayMoveInTheMiddleOfACommit() throws IOException {
        byte[] from = new byte[BYTES];
        random.nextBytes(from);
        Path base = Files.write(directory.resolve("from.img"), from);
        Path image = create("vm.cow", base, 16384);
        byte[] model = from.clone();
        change(image, model);
        assertThatThrownBy(() -> Images.commit(image, bytes -> {
                    throw new IllegalStateException("planted");
                }))
                .hasMessage("planted");
        Path moved = Files.move(base, directory.resolve("moved.img"));
        Images.rebaseUnsafely(image, Optional.of(moved));
        assertHolds(image, model);
        Images.commit(image, bytes -> {});
        assertHolds(image, model);
        assertThat(Files.readAllBytes(moved)).isEqualTo(model);
    }

    @Test
    void whatCannotBeIsRefusedAndNothingIsChanged() throws IOException {
        byte[] from = new byte[BYTES];
        random.nextBytes(from);
        Path base = Files.write(directory.resolve("from.img"), from);
        Path image = create("vm.cow", base, 16384);
        Path upper = create("upper.cow", image, 16384);
        byte[] before = Files.readAllBytes(image);
        for (Path behind : new Path[] {image, upper}) {
            assertThatThrownBy(() -> Images.rebase(image, Optional.of(behind), bytes -> {}))
                    .isInstanceOf(UnsupportedFormatException.class)
                    .hasMessageContaining(image + ": cannot be behind itself");
            assertThatThrownBy(() -> Images.rebaseUnsafely(image, Optional.of(behind)))
                    .isInstanceOf(UnsupportedFormatException.class);
        }
        try (CowDevice device = Images.open(upper, true)) {
            assertThat(device.sizeBytes()).isEqualTo(BYTES);
            assertThatThrownBy(() -> Images.rebase(image, Optional.of(base), bytes -> {}))
                    .isInstanceOf(StoreInUseException.class);
        }
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }

    private Path create(String name, Path below, int chunkBytes) throws IOException {
        Path image = directory.resolve(name);
        Images.create(new CreateOptions(image, Optional.of(below), OptionalLong.of(BYTES), chunkBytes, "ucow"));
        return image;
    }

    private void change(Path path, byte[] model) throws IOException {
        try (CowDevice device = Images.open(path, false)) {
            for (int i = 0; i < 15; i++) {
                int at = random.nextInt(BYTES - 40_000);
                byte[] bytes = new byte[random.nextInt(random.nextInt(3) == 0 ? 40_000 : 3000) + 1];
                if (random.nextInt(4) == 0) {
                    device.discard(at, bytes.length);
                } else {
                    random.nextBytes(bytes);
                    device.write(at, TestDevices.direct(bytes, 0, bytes.length));
                }
                System.arraycopy(bytes, 0, model, at, bytes.length);
            }
        }
    }

    private static void assertHolds(Path path, byte[] expected) throws IOException {
        try (CowDevice device = Images.open(path, true)) {
            assertThat(TestDevices.read(device, 0, BYTES)).as("%s", path).isEqualTo(expected);
        }
    }
}
