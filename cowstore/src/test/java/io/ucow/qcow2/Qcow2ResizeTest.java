package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.FaultFile;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.UnsupportedFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Images of another size hold what they held, zeros past it, and nothing that {@code qemu-img check} finds fault with. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class Qcow2ResizeTest {
    private static final int SIZE = (1 << 20) + 1536;
    private static final int BASE_SIZE = 3 << 20;

    @TempDir
    Path directory;

    private final Random random = new Random(1);
    private Path base;
    private Path image;
    private byte[] model;

    @BeforeEach
    void make() throws IOException {
        byte[] content = new byte[BASE_SIZE];
        random.nextBytes(content);
        base = Files.write(directory.resolve("base"), content);
        image = directory.resolve("vm.qcow2");
        model = Arrays.copyOf(content, SIZE);
    }

    private void create(String options) throws Exception {
        Qemu.require();
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", base, "-o", options.replace("DATA", data()), image, SIZE);
    }

    /** What options call DATA. */
    private String data() {
        return directory.resolve("vm.data").toString();
    }

    private void write(int offset, int length) throws IOException {
        byte[] data = new byte[length];
        random.nextBytes(data);
        System.arraycopy(data, 0, model, offset, length);
        try (CowDevice device = Images.open(image, false)) {
            device.write(offset, TestDevices.direct(data, 0, length));
        }
    }

    private void resize(int size) throws IOException {
        Images.resize(image, size, true);
        model = Arrays.copyOf(model, size);
    }

    private void assertHoldsModel() throws Exception {
        Path raw = Files.write(directory.resolve("model.raw"), model);
        Qemu.img("check", image);
        assertThat(Images.check(image).isSound()).isTrue();
        assertThat(Qemu.img("compare", "-F", "raw", image, raw)).contains("Images are identical");
        try (CowDevice device = Images.open(image, true)) {
            assertThat(device.sizeBytes()).isEqualTo(model.length);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                    .isEqualTo(-1);
        }
    }

    /** With clusters of 512 bytes an L2 table is for 32 KiB, so the L1 table grows from one cluster to twelve. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "compat=1.1",
                "cluster_size=512",
                "cluster_size=4096,refcount_bits=1",
                "cluster_size=2M",
                "compat=0.10",
                "extended_l2=on",
                "extended_l2=on,cluster_size=16k",
                "data_file=DATA",
                "data_file=DATA,extended_l2=on,cluster_size=16k",
            })
    void whatItGainsReadsAsZerosWhateverTheBaseHas(String options) throws Exception {
        create(options);
        write(SIZE - 700, 300);
        write(100_000, 70_000);
        resize(BASE_SIZE - 512);
        assertHoldsModel();
        write(SIZE - 2000, 200_000);
        resize(24 << 20);
        write((24 << 20) - 5000, 5000);
        assertHoldsModel();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "compat=1.1",
                "cluster_size=512",
                "cluster_size=4096",
                "extended_l2=on,cluster_size=16k",
                "data_file=DATA"
            })
    void whatWasCutOffDoesNotComeBack(String options) throws Exception {
        create(options);
        write(0, SIZE);
        long before = Images.info(image).allocatedBytes();
        resize(200_192);
        assertHoldsModel();
        if (Images.info(image).geometry().chunkSize() > 512) { // which file systems do not give back one by one
            assertThat(Images.info(image).allocatedBytes()).isLessThan(before - SIZE / 2);
        }
        resize(SIZE);
        assertHoldsModel();
        write(200_000, 5000);
        assertHoldsModel();
    }

    /** Whatever it had past the disk's end. */
    @ParameterizedTest
    @ValueSource(strings = {"", ",extended_l2=on"})
    void rawDataFileIsTheDiskOfAnySize(String options) throws Exception {
        Qemu.require();
        Qemu.img("create", "-f", "qcow2", "-o", "data_file_raw=on,data_file=" + data() + options, image, SIZE);
        Path data = Path.of(data());
        model = new byte[SIZE];
        Files.write(data, new byte[] {1}, StandardOpenOption.APPEND);
        write(SIZE - 70_000, 70_000);
        for (int size : new int[] {SIZE + 100_352, 24 << 20, 150_016, SIZE}) {
            resize(size);
            write(size - 3000, 2000);
            assertHoldsModel();
            assertThat(Arrays.mismatch(Files.readAllBytes(data), model)).isEqualTo(-1);
        }
    }

    @Test
    void aCompressedTailReadsZerosPastTheOldEnd() throws Exception {
        Qemu.require();
        Path raw = directory.resolve("words");
        Arrays.fill(model, (byte) 'x');
        Files.write(raw, model);
        Qemu.img("convert", "-f", "raw", "-O", "qcow2", "-c", raw, image);
        resize(SIZE - 1024);
        resize(SIZE + 300_000 / 512 * 512);
        assertHoldsModel();
    }

    @Test
    void internalSnapshotsKeepTheirSizeAndTheirContent() throws Exception {
        create("cluster_size=4096");
        write(0, SIZE / 2);
        Qemu.img("snapshot", "-c", "whole", image);
        byte[] whole = model.clone();
        resize(100_352);
        assertHoldsModel();
        write(50_000, 30_000);
        resize(5 << 20);
        write(4 << 20, 1000);
        assertHoldsModel();
        try (CowDevice device = Images.open(image, OpenOptions.of(true).at(Optional.of("whole")))) {
            assertThat(device.sizeBytes()).isEqualTo(SIZE);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, SIZE), whole))
                    .isEqualTo(-1);
        }
        Qemu.img("snapshot", "-a", "whole", image);
        model = whole;
        assertHoldsModel();
    }

    @Test
    void whatCannotBeIsRefused() throws Exception {
        create("cluster_size=512");
        byte[] before = Files.readAllBytes(image);
        assertThatThrownBy(() -> Images.resize(image, SIZE - 512, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("add --shrink");
        assertThatThrownBy(() -> Images.resize(image, SIZE + 100, false)).hasMessageContaining("a multiple of 512");
        assertThatThrownBy(() -> Images.resize(image, 1L << 38, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("takes larger clusters than 512 bytes");
        assertThatThrownBy(() -> Images.resize(image, 1L << 50, false)).isInstanceOf(UnsupportedFormatException.class);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }

    @ParameterizedTest
    @CsvSource({"1, 9, 150016", "2, 9, 30208", "3, 12, 400384", "4, 12, 20480", "5, 16, 300032"})
    void everyCutLeavesTheOldSizeOrTheNewOne(long seed, int clusterBits, int newSize) throws IOException {
        Random cuts = new Random(seed);
        int size = 80_384;
        byte[] behind = Arrays.copyOf(Files.readAllBytes(base), 120_000);
        byte[] old = Arrays.copyOf(behind, size);
        Qcow2Format format = new Qcow2Format();
        FaultFile made = new FaultFile(new byte[0]);
        format.create(made, size, OriginReference.ofPath("base", false), StoreOptions.ofChunk(1 << clusterBits));
        try (CowDevice device = TestDevices.open(format, made, TestDevices.origin(behind), TestDevices.BOOT)) {
            for (int i = 0; i < 12; i++) {
                byte[] data = new byte[cuts.nextInt(8000) + 1];
                int at = i == 0 ? size - data.length : cuts.nextInt(size - data.length);
                cuts.nextBytes(data);
                device.write(at, TestDevices.direct(data, 0, data.length));
                System.arraycopy(data, 0, old, at, data.length);
            }
        }
        FaultFile file = new FaultFile(made.killedAt(made.eventCount()));
        format.resize(file, Path.of("x"), TestDevices.BOOT, TestDevices.origin(behind), newSize, true);
        List<byte[]> allowed = List.of(old, Arrays.copyOf(old, newSize));
        assertThat(file.eventCount()).isGreaterThan(3);
        for (int cut = 0; cut <= file.eventCount(); cut++) {
            verify(format, file.killedAt(cut), behind, allowed);
            for (int v = 0; v < 3; v++) {
                verify(format, file.powerLostAt(cut, cuts), behind, allowed);
            }
        }
        verify(format, file.killedAt(file.eventCount()), behind, allowed.subList(1, 2));
        assertThat(format.check(file, Path.of("x"), TestDevices.BOOT).leakedBytes())
                .isZero();
    }

    /** Of image and data file each has its own sectors to lose. */
    @ParameterizedTest
    @CsvSource({"1, 150016", "2, 30208", "3, 81920"})
    void everyCutOfTwoFilesLeavesTheOldSizeOrTheNewOne(long seed, int newSize) throws IOException {
        Random cuts = new Random(seed);
        int size = 80_384;
        byte[] behind = Arrays.copyOf(Files.readAllBytes(base), 120_000);
        byte[] old = Arrays.copyOf(behind, size);
        TwoFiles files = new TwoFiles(Path.of("data"), false);
        FaultFile made = files.create(size, 4096, OriginReference.ofPath("base", false), 320 * FaultFile.SECTOR);
        try (CowDevice device = TestDevices.open(files.opener(0), made, TestDevices.origin(behind), TestDevices.BOOT)) {
            for (int at : new int[] {size - 700, 20_000, 40_000}) {
                byte[] data = new byte[700];
                cuts.nextBytes(data);
                device.write(at, TestDevices.direct(data, 0, data.length));
                System.arraycopy(data, 0, old, at, data.length);
            }
        }
        byte[] before = made.killedAt(made.eventCount());
        // Another program may have left something past the disk's end.
        Arrays.fill(before, TwoFiles.IMAGE_BYTES + size, before.length, (byte) 'x');
        FaultFile file = new FaultFile(before);
        new Qcow2Resize(
                        files.image(file),
                        files.data(file),
                        TwoFiles.NAME,
                        TestDevices.BOOT,
                        TestDevices.origin(behind))
                .run(newSize, true);
        List<byte[]> allowed = List.of(old, Arrays.copyOf(old, newSize));
        assertThat(file.eventCount()).isGreaterThan(3);
        for (int cut = 0; cut <= file.eventCount(); cut++) {
            verify(files.opener(0), new FaultFile(file.killedAt(cut)), behind, allowed);
            for (int v = 0; v < 3; v++) {
                verify(files.opener(0), new FaultFile(file.powerLostAt(cut, cuts)), behind, allowed);
            }
        }
        verify(files.opener(0), new FaultFile(file.killedAt(file.eventCount())), behind, allowed.subList(1, 2));
    }

    private static void verify(Qcow2Format format, byte[] bytes, byte[] behind, List<byte[]> allowed)
            throws IOException {
        FaultFile left = new FaultFile(bytes);
        verify(format, left, behind, allowed);
        assertThat(format.check(left, Path.of("x"), TestDevices.NEXT_BOOT).corruptions())
                .isEmpty();
    }

    private static void verify(ExceptionStoreProvider format, FaultFile left, byte[] behind, List<byte[]> allowed)
            throws IOException {
        try (CowDevice device =
                TestDevices.openReadOnly(format, left, TestDevices.origin(behind), TestDevices.NEXT_BOOT)) {
            byte[] found = TestDevices.read(device, 0, (int) device.sizeBytes());
            assertThat(allowed).anyMatch(content -> Arrays.equals(content, found));
        }
    }
}
