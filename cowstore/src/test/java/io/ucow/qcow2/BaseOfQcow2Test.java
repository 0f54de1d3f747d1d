package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CreateOptions;
import io.ucow.store.FaultFile;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreInUseException;
import io.ucow.store.UnsupportedFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commit and rebase of qcow2 images, judged by {@code qemu-img compare}, {@code check} and {@code info}. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BaseOfQcow2Test {
    private static final int SIZE = (2 << 20) + 512;
    private static final UUID BOOT = new UUID(1, 2);

    @TempDir
    Path directory;

    private Path raw;
    private Path image;
    private Path expected;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    @BeforeEach
    void makeBase() throws IOException {
        raw = Files.write(directory.resolve("base.raw"), noise(1));
        image = directory.resolve("vm.qcow2");
        expected = directory.resolve("expected.raw");
    }

    private static byte[] noise(long seed) {
        byte[] bytes = new byte[SIZE];
        new Random(seed).nextBytes(bytes);
        return bytes;
    }

    private Path base(String format) throws Exception {
        if (format.equals("raw")) {
            return raw;
        }
        Path base = directory.resolve("base." + format);
        if (format.equals("qcow2")) {
            Qemu.img("convert", "-O", "qcow2", raw, base);
        } else {
            Images.create(new CreateOptions(base, Optional.of(raw), OptionalLong.empty(), 16384, "ucow"));
        }
        return base;
    }

    private void makeImage(Path base, String format, String options) throws Exception {
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), 65536, format));
        if (format.equals("qcow2") && !base.toString().endsWith("ucow")) {
            Files.delete(image);
            String baseFormat = base.equals(raw) ? "raw" : "qcow2";
            Qemu.img("create", "-f", "qcow2", "-F", baseFormat, "-b", base.getFileName(), "-o", options, image);
        }
        try (var device = Images.open(image, false)) {
            device.write(
                    1000,
                    ByteBuffer.allocateDirect(300_000).put(noise(2), 0, 300_000).flip());
            device.writeZeroes(600_000, 400_000);
            device.write(
                    SIZE - 700,
                    ByteBuffer.allocateDirect(700).put(noise(3), 0, 700).flip());
        }
        Files.write(expected, content(image));
    }

    private static byte[] content(Path path) throws IOException {
        try (Origin origin = Images.openContent(path)) {
            byte[] bytes = new byte[(int) origin.sizeBytes()];
            ByteBuffer all = ByteBuffer.allocateDirect(bytes.length);
            origin.read(all, 0);
            all.flip().get(bytes);
            return bytes;
        }
    }

    private void assertHolds(Path path) throws Exception {
        assertThat(Arrays.mismatch(content(path), Files.readAllBytes(expected))).isEqualTo(-1);
        // QEMU does not know ucow's own format, nor read what is on it.
        boolean isQemus = !path.equals(raw)
                && Images.info(path).format().equals("qcow2")
                && !Images.baseFormat(Images.info(path)).equals("ucow");
        if (isQemus) {
            Qemu.Result judged = Qemu.run("qemu-img", "check", path);
            assertThat(judged.status()).as(judged.output()).isZero();
        }
    }

    @ParameterizedTest
    @CsvSource({
        "qcow2, raw, cluster_size=64k",
        "qcow2, raw, cluster_size=512",
        "qcow2, raw, 'extended_l2=on,cluster_size=16k'",
        "qcow2, raw, compat=0.10",
        "qcow2, qcow2, 'cluster_size=4k,refcount_bits=1'",
        "qcow2, ucow, -",
        "ucow, qcow2, -",
    })
    void commit(String format, String baseFormat, String options) throws Exception {
        Path base = base(baseFormat);
        makeImage(base, format, options);
        Images.commit(image, bytes -> {});
        assertHolds(image);
        assertHolds(base);
        assertThat(Images.info(image).alteredChunks() + Images.info(image).zeroChunks())
                .isZero();
        if (!baseFormat.equals("ucow") && format.equals("qcow2")) {
            Qemu.img("compare", image, expected);
            assertThat(Qemu.img("info", image)).contains("backing file: " + base.getFileName());
        }
        // There is nothing more to do.
        Images.commit(image, bytes -> {});
        assertHolds(image);
    }

    @Test
    void commitLeavesSnapshotsAlone() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=4k");
        Qemu.img("snapshot", "-c", "one", image);
        Images.commit(image, bytes -> {});
        assertHolds(image);
        assertHolds(raw);
        Qemu.img("convert", "-l", "one", "-O", "raw", image, directory.resolve("then"));
        assertThat(Files.mismatch(directory.resolve("then"), expected)).isEqualTo(-1);
    }

    @Test
    void commitThatIsGivenUpLosesNothing() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=4k");
        assertThatThrownBy(() -> Images.commit(image, bytes -> {
                    throw new IllegalStateException("planted");
                }))
                .hasMessage("planted");
        assertHolds(image);
        Qemu.img("compare", image, expected);
        Images.commit(image, bytes -> {});
        assertHolds(image);
        assertHolds(raw);
    }

    @Test
    void baseThatQemuReadsIsNotChanged() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=64k");
        byte[] before = Files.readAllBytes(raw);
        Process reader = new ProcessBuilder("qemu-io", "-r", "-f", "raw", raw.toString()).start();
        try {
            reader.getOutputStream().write("read 0 512\n".getBytes(StandardCharsets.US_ASCII));
            reader.getOutputStream().flush();
            awaitAnswer(reader);
            assertThatThrownBy(() -> Images.commit(image, bytes -> {}))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining("QEMU");
        } finally {
            reader.destroy();
            reader.waitFor();
        }
        assertThat(Files.readAllBytes(raw)).isEqualTo(before);
        assertHolds(image);
    }

    /** Once it has answered it has the file open. */
    private static void awaitAnswer(Process reader) throws IOException {
        StringBuilder seen = new StringBuilder();
        while (seen.indexOf("512 bytes") < 0) {
            int next = reader.getInputStream().read();
            assertThat(next).as(seen.toString()).isNotEqualTo(-1);
            seen.append((char) next);
        }
    }

    @Test
    void damagedImageIsRefusedBeforeItsBaseIsChanged() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=64k");
        byte[] bytes = Files.readAllBytes(image);
        bytes[Header.INCOMPATIBLE_AT + 7] |= (byte) Header.CORRUPT;
        Files.write(image, bytes);
        byte[] before = Files.readAllBytes(raw);
        assertThatThrownBy(() -> Images.commit(image, b -> {}))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("marked corrupt");
        assertThat(Files.readAllBytes(raw)).isEqualTo(before);
        assertThat(Files.readAllBytes(image)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @CsvSource({
        "raw, qcow2, cluster_size=64k",
        "qcow2, raw, cluster_size=512",
        "qcow2, ucow, cluster_size=64k",
        "raw, -, cluster_size=64k",
        "raw, qcow2, extended_l2=on",
        "qcow2, raw, compat=0.10"
    })
    void rebase(String from, String to, String options) throws Exception {
        makeImage(base(from), "qcow2", options);
        Optional<Path> other = Optional.empty();
        if (!to.equals("-")) {
            byte[] changed = Files.readAllBytes(raw);
            changed[1_500_000] ^= 1;
            Arrays.fill(changed, 700_000, 800_000, (byte) 7);
            Files.write(directory.resolve("other.raw"), changed);
            Path path = directory.resolve("other." + to);
            if (to.equals("qcow2")) {
                Qemu.img("convert", "-O", "qcow2", directory.resolve("other.raw"), path);
            } else if (to.equals("ucow")) {
                Path below = directory.resolve("other.raw");
                Images.create(new CreateOptions(path, Optional.of(below), OptionalLong.empty(), 16384, "ucow"));
            }
            other = Optional.of(path);
        }
        Images.rebase(image, other, bytes -> {});
        assertHolds(image);
        String info = Qemu.img("info", image);
        if (to.equals("-")) {
            assertThat(info).doesNotContain("backing file");
        } else {
            assertThat(info).contains("backing file: other." + to, "backing file format: " + to);
        }
        if (!to.equals("ucow")) {
            Qemu.img("compare", image, expected);
        }
    }

    @Test
    void unsafeRebaseChangesTheHeaderAlone() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=64k");
        Path sub = Files.createDirectory(directory.resolve("sub"));
        Path moved = Files.move(raw, sub.resolve("a:b.raw"));
        byte[] before = Files.readAllBytes(image);
        Images.rebaseUnsafely(image, Optional.of(moved));
        byte[] after = Files.readAllBytes(image);
        assertThat(Arrays.mismatch(
                        Arrays.copyOfRange(before, 512, before.length), Arrays.copyOfRange(after, 512, after.length)))
                .isEqualTo(-1);
        Qemu.img("compare", image, expected);
        assertThat(Images.info(image).base().orElseThrow().normalize()).isEqualTo(moved);
        assertThat(Qemu.img("info", image)).contains("backing file: ./sub/a:b.raw", "backing file format: raw");
    }

    @ParameterizedTest
    @ValueSource(ints = {100, 300, 500, 900})
    void longNamesFindTheirPlaceUntilThereIsNone(int length) throws Exception {
        makeImage(raw, "qcow2", "cluster_size=4k");
        for (int round = 0; round < 3; round++) {
            Path folder = directory.resolve("d".repeat(Math.min(200, length)) + round);
            while (directory.relativize(folder).toString().length() < length - 10) {
                int missing =
                        length - 10 - directory.relativize(folder).toString().length();
                folder = folder.resolve("e".repeat(Math.max(1, Math.min(200, missing))));
            }
            Files.createDirectories(folder);
            Path base = Files.copy(raw, folder.resolve("base"));
            Images.rebaseUnsafely(image, Optional.of(base));
            Qemu.img("compare", image, expected);
            assertHolds(image);
        }
    }

    @Test
    void nameThatDoesNotFitIsRefused() throws Exception {
        makeImage(raw, "qcow2", "cluster_size=512");
        Path folder = Files.createDirectories(directory.resolve("d".repeat(200)).resolve("e".repeat(200)));
        Path base = Files.copy(raw, folder.resolve("base"));
        byte[] before = Files.readAllBytes(image);
        assertThatThrownBy(() -> Images.rebaseUnsafely(image, Optional.of(base)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("no room for it in the header");
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }

    /** Cut at every write and sync. */
    @ParameterizedTest
    @ValueSource(ints = {20, 700})
    void headerNamesTheOldBaseOrTheNew(int length) throws Exception {
        makeImage(raw, "qcow2", "cluster_size=4k");
        Qemu.img("rebase", "-u", "-F", "raw", "-b", "o".repeat(length), image);
        FaultFile file = new FaultFile(Files.readAllBytes(image));
        OriginReference next = OriginReference.ofPath("n".repeat(length), false);
        new Qcow2Format().setOrigin(file, image, next, false, BOOT);
        Random random = new Random(1);
        for (int cut = 0; cut <= file.eventCount(); cut++) {
            for (int v = 0; v < 10; v++) {
                FaultFile left = new FaultFile(file.powerLostAt(cut, random));
                String found = new Qcow2Format().origin(left, image).path();
                assertThat(found).isIn("o".repeat(length), "n".repeat(length));
            }
        }
        assertThat(new Qcow2Format().origin(file, image)).isEqualTo(next);
    }

    @Test
    void extensionsStay() throws Exception {
        Path data = directory.resolve("vm.data");
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", raw, "-o", "data_file=" + data, image);
        Qemu.io(image, List.of("write -P 1 0 64k"));
        Path moved = Files.copy(raw, directory.resolve("moved.raw"));
        Qemu.img("convert", "-O", "raw", image, expected);
        Images.rebaseUnsafely(image, Optional.of(moved));
        assertThat(Qemu.img("info", image)).contains("data file: " + data, "backing file: moved.raw");
        Qemu.img("compare", image, expected);
    }
}
