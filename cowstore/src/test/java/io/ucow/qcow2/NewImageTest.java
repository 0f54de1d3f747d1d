package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.StoreOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** New images are what {@code qemu-img create} makes with the same options. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class NewImageTest {
    private static final long SIZE = (3 << 20) + 1536;

    @TempDir
    Path directory;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    private static Map<String, String> parsed(String options) {
        Map<String, String> own = new TreeMap<>();
        for (String option : options.isEmpty() ? new String[0] : options.split(",", -1)) {
            own.put(option.substring(0, option.indexOf('=')), option.substring(option.indexOf('=') + 1));
        }
        return own;
    }

    private Path create(String options, Path base, long size) throws IOException {
        Path image = directory.resolve("vm.qcow2");
        Files.deleteIfExists(image);
        Images.create(new CreateOptions(
                image,
                Optional.ofNullable(base),
                OptionalLong.of(size),
                Qcow2Format.NAME,
                StoreOptions.NONE.withOwn(parsed(options.replace("DATA", data().toString())))));
        return image;
    }

    /** What options call DATA. */
    private Path data() {
        return directory.resolve("vm.data");
    }

    private static String facts(Path image) throws Exception {
        String info = Qemu.img("info", "--output=json", image);
        // All but names, and how much of it is on the disk.
        return info.lines()
                .filter(l -> !l.contains("filename") && !l.contains("\"data-file\"") && !l.contains("actual-size"))
                .toList()
                .toString();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "cluster_size=512",
                "cluster_size=4k,refcount_bits=1",
                "cluster_size=2M,compression_type=zstd",
                "lazy_refcounts=on,refcount_bits=64",
                "compat=0.10",
                "compat=v2,cluster_size=1024",
                "extended_l2=on,cluster_size=16384",
                "compat=v3,extended_l2=on",
                "data_file=DATA,cluster_size=4k",
                "data_file=DATA,data_file_raw=on,preallocation=falloc",
            })
    void isWhatQemuMakes(String options) throws Exception {
        Path theirs = directory.resolve("theirs.qcow2");
        Qemu.img(
                "create",
                "-f",
                "qcow2",
                "-o",
                options.isEmpty() ? "compat=1.1" : options.replace("DATA", theirs + ".data"),
                theirs,
                SIZE);
        Path image = create(options, null, SIZE);
        assertThat(facts(image)).isEqualTo(facts(theirs));
        Qemu.img("check", image);
        assertThat(Images.check(image).isSound()).isTrue();
        Qemu.io(image, List.of("write -P 7 1M 300k", "read -P 7 1M 300k"));
        Qemu.img("check", image);
    }

    @Test
    void chunkIsTheClusterSizeAndTheDefaultIsQemus() throws Exception {
        Path image = create("", null, SIZE);
        assertThat(Images.info(image).geometry().chunkSize()).isEqualTo(65536);
        Files.delete(image);
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(SIZE), 2048, Qcow2Format.NAME));
        assertThat(Images.info(image).geometry().chunkSize()).isEqualTo(2048);
    }

    @Test
    void snapshotHasTheSameOptions() throws Exception {
        String options = "cluster_size=4096,compression_type=zstd,lazy_refcounts=on,refcount_bits=8";
        Path image = create(options, null, SIZE);
        Images.snapshot(image, Optional.empty());
        ImageInfo info = Images.info(image);
        assertThat(info.geometry().chunkSize()).isEqualTo(4096);
        assertThat(info.details())
                .containsEntry("compression type", "zstd")
                .containsEntry("lazy refcounts", "true")
                .containsEntry("refcount bits", "8");
    }

    /** With 64-bit counts and clusters of 512 bytes there are a hundred refcount blocks, and a table of several clusters. */
    @ParameterizedTest
    @CsvSource({
        "'cluster_size=512,refcount_bits=64,preallocation=metadata', false",
        "'cluster_size=4096,preallocation=falloc', true",
        "'preallocation=full', true",
        "'compat=0.10,preallocation=metadata', false",
        "'extended_l2=on,preallocation=metadata', false",
        "'data_file=DATA,extended_l2=on,preallocation=metadata', false",
        "'data_file=DATA,preallocation=falloc', true",
        "'data_file=DATA,data_file_raw=on,extended_l2=on,preallocation=full', true",
        "'data_file=DATA,data_file_raw=on', false",
    })
    void preallocatedClustersAreMapped(String options, boolean taken) throws Exception {
        Path image = create(options, null, SIZE);
        assertThat(Qemu.img("check", image)).contains("100.00% allocated");
        assertThat(Images.check(image).isSound()).isTrue();
        assertThat(Images.info(image).allocatedBytes() >= SIZE).isEqualTo(taken);
        try (CowDevice device = Images.open(image, true)) {
            ByteBuffer all = ByteBuffer.allocateDirect((int) SIZE);
            device.read(0, all);
            byte[] bytes = new byte[(int) SIZE];
            all.flip().get(bytes);
            assertThat(Arrays.equals(bytes, new byte[(int) SIZE])).isTrue();
        }
        long length = Files.size(image);
        Qemu.io(image, List.of("write -P 7 0 " + SIZE));
        assertThat(Files.size(image)).as("nothing had to be allocated").isEqualTo(length);
    }

    @Test
    void preallocatedOverABaseShowsTheBase() throws Exception {
        byte[] content = new byte[(int) SIZE];
        Arrays.fill(content, (byte) 9);
        Path base = Files.write(directory.resolve("base"), content);
        assertThatThrownBy(() -> create("preallocation=metadata", base, SIZE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("extended_l2=on");
        Path image = create("preallocation=metadata,extended_l2=on", base, SIZE);
        Qemu.img("check", image);
        Qemu.img("compare", image, base);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "cluster_size=3000 | cluster_size 3000 is not a power of two from 512 to 2M",
                "cluster_size=4M | cluster_size 4M is not",
                "cluster_size=256 | cluster_size 256 is not",
                "cluster_size=64kB | cluster_size 64kB is not",
                "refcount_bits=3 | refcount_bits cannot be '3'",
                "refcount_bits=128 | there are 1, 2, 4, 8, 16, 32, 64",
                "lazy_refcounts=maybe | lazy_refcounts cannot be 'maybe'; there are on, off",
                "compat=2 | compat cannot be '2'",
                "compat=0.10,lazy_refcounts=on | lazy_refcounts takes compat=1.1",
                "compat=0.10,refcount_bits=8 | refcount_bits=8 takes compat=1.1",
                "compat=0.10,extended_l2=on | extended_l2 takes compat=1.1",
                "compat=0.10,compression_type=zstd | compression_type=zstd takes compat=1.1",
                "compression_type=lz4 | 'lz4' is no codec of format 'qcow2'; there are zlib, zstd",
                "extended_l2=on,cluster_size=8k | extended_l2 takes clusters of 16K or more",
                "preallocation=some | there are off, metadata, falloc, full",
                "data_file_raw=on | data_file_raw takes data_file",
                "compat=0.10,data_file=DATA | data_file takes compat=1.1",
                "encryption=on | has no option 'encryption'; it has chunk, cluster_size",
            })
    void whatCannotBeIsRefusedInOneLine(String options, String message) {
        assertThatThrownBy(() -> create(options, null, SIZE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
        assertThat(directory.resolve("vm.qcow2")).doesNotExist();
        assertThat(data()).doesNotExist();
    }

    /** Also of what a program writes to it that knows nothing of the image. */
    @ParameterizedTest
    @ValueSource(strings = {"data_file=DATA,data_file_raw=on", "data_file=DATA,data_file_raw=on,extended_l2=on"})
    void rawDataFileIsTheDisk(String options) throws Exception {
        Path image = create(options, null, SIZE);
        assertThat(Files.size(data())).isEqualTo(SIZE);
        byte[] random = new byte[1 << 20];
        new Random(1).nextBytes(random);
        try (FileChannel channel = FileChannel.open(data(), StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(random), 5000);
        }
        try (CowDevice device = Images.open(image, false)) {
            device.write(SIZE - 10, ByteBuffer.allocateDirect(10).put(0, (byte) 1));
        }
        Qemu.img("compare", "-f", "qcow2", "-F", "raw", image, data());
        byte[] disk = Files.readAllBytes(data());
        assertThat(Arrays.mismatch(Arrays.copyOfRange(disk, 5000, 5000 + random.length), random))
                .isEqualTo(-1);
        assertThat(disk[(int) SIZE - 10]).isEqualTo((byte) 1);
    }

    @Test
    void dataFileThatIsThereIsKept() throws Exception {
        Files.writeString(data(), "somebody's");
        assertThatThrownBy(() -> create("data_file=DATA", null, SIZE))
                .isInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContaining("vm.data");
        assertThat(data()).hasContent("somebody's");
        assertThat(directory.resolve("vm.qcow2")).doesNotExist();
    }

    @Test
    void nothingIsLeftWhereADataFileCannotBe() throws Exception {
        Path base = Files.write(directory.resolve("base"), new byte[512]);
        assertThatThrownBy(() -> create("data_file=DATA,data_file_raw=on", base, SIZE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("data_file_raw and a base exclude each other");
        assertThatThrownBy(() -> create("data_file=DATA,cluster_size=512", null, 1L << 40))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(data()).doesNotExist();
        assertThat(directory.resolve("vm.qcow2")).doesNotExist();
    }

    @Test
    void aDiskTooLargeForItsClustersIsRefused() {
        assertThatThrownBy(() -> create("cluster_size=512", null, 1L << 40))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("takes larger clusters than 512 bytes");
    }

    @Test
    void oneOfTwoNamesForTheSame() {
        StoreOptions both = StoreOptions.ofChunk(4096).withOwn(Map.of("cluster_size", "4096"));
        assertThatThrownBy(() -> ImageOptions.of(both)).hasMessageContaining("give one of them");
    }
}
