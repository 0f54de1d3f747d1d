package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Flattening;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Flattened images hold what the device does, {@code qemu-img} finds nothing wrong, and they are as small as its own. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ImageCopierTest {
    /** Ends within a cluster, of any size. */
    private static final int SIZE = (7 << 20) + 1536;

    @TempDir
    Path directory;

    private final Random random = new Random(1);
    private Path raw;
    private Path image;
    private Path out;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    @BeforeEach
    void make() throws IOException {
        raw = Files.write(directory.resolve("content.raw"), content());
        image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(raw), OptionalLong.empty(), 4096, "ucow"));
        out = directory.resolve("out.qcow2");
    }

    /** Runs of words, which compress, of noise, which does not, and of zeros, from a sector to half a megabyte. */
    private byte[] content() {
        byte[] bytes = new byte[SIZE];
        byte[][] words = new byte[300][12];
        for (byte[] word : words) {
            random.nextBytes(word);
        }
        for (int at = 0; at < SIZE; ) {
            int n = Math.min(SIZE - at, 512 << random.nextInt(11));
            int kind = random.nextInt(5);
            for (int i = at; i < at + n; i++) {
                bytes[i] = (byte)
                        (kind == 0 ? 0 : kind == 1 ? random.nextInt() : words[(i / 12 * 31 ^ i >> 9) % 300][i % 12]);
            }
            at += n;
        }
        return bytes;
    }

    private void flatten(String options, String codec) throws IOException {
        Map<String, String> own = new HashMap<>();
        for (String option : options == null ? new String[0] : options.split(",", -1)) {
            own.put(option.substring(0, option.indexOf('=')), option.substring(option.indexOf('=') + 1));
        }
        AtomicLong told = new AtomicLong();
        try (CowDevice device = Images.open(image, true)) {
            StoreOptions asked = StoreOptions.NONE.withOwn(own).withCodec(codec);
            Flattening.toImage(device, out, Qcow2Format.NAME, asked, Optional.empty(), told::addAndGet);
        }
        assertThat(told).hasValue(SIZE);
    }

    private void assertHoldsTheSame() throws Exception {
        Qemu.img("check", out);
        assertThat(Qemu.img("compare", "-F", "raw", out, raw)).contains("Images are identical");
        assertThat(Images.check(out).isSound()).isTrue();
        try (CowDevice device = Images.open(out, true);
                CowDevice source = Images.open(image, true)) {
            assertThat(read(device)).isEqualTo(read(source));
        }
    }

    private static byte[] read(CowDevice device) throws IOException {
        return TestDevices.read(device, 0, SIZE);
    }

    @ParameterizedTest
    @CsvSource({
        ",none",
        "cluster_size=512,none",
        "'cluster_size=512,refcount_bits=64',none",
        "'cluster_size=1024,refcount_bits=1',none",
        "'cluster_size=2M',none",
        "compat=0.10,none",
        "'cluster_size=16k,extended_l2=on',none",
        "extended_l2=on,none",
        ",zlib",
        ",zstd",
        "cluster_size=512,zlib",
        "'cluster_size=512,refcount_bits=64',zstd",
        "'cluster_size=4096,refcount_bits=1',zlib",
        "'cluster_size=4096,refcount_bits=2',zlib",
        "cluster_size=2M,zlib",
        "cluster_size=2M,zstd",
        "compat=0.10,zlib",
        "extended_l2=on,zstd",
    })
    void holdsWhatTheDeviceDoes(String options, String codec) throws Exception {
        flatten(options, codec);
        assertHoldsTheSame();
    }

    @ParameterizedTest
    @CsvSource({"zlib,65536", "zstd,65536", "zlib,4096", "zlib,2097152"})
    void isAsSmallAsQemus(String codec, int clusterBytes) throws Exception {
        String options = "cluster_size=" + clusterBytes + ",compression_type=" + codec;
        flatten(options, codec);
        Path theirs = directory.resolve("theirs.qcow2");
        Qemu.img("convert", "-f", "raw", "-O", "qcow2", "-c", "-o", options, raw, theirs);
        assertThat((double) Files.size(out) / Files.size(theirs))
                .isLessThan(1.08); // what threads take between one another leaves gaps
    }

    /** What refers back further than QEMU's own streams do is read by it all the same. */
    @Test
    void longDistancesAreReadByQemu() throws Exception {
        byte[] noise = new byte[30_000];
        random.nextBytes(noise);
        byte[] bytes = new byte[SIZE];
        for (int i = 0; i < SIZE; i++) {
            bytes[i] = noise[i % noise.length];
        }
        Files.write(raw, bytes);
        Files.delete(image);
        Images.create(new CreateOptions(image, Optional.of(raw), OptionalLong.empty(), 4096, "ucow"));
        flatten("cluster_size=256k", "zlib");
        assertThat(Images.info(out).allocatedBytes()).isLessThan(SIZE / 4);
        assertHoldsTheSame();
    }

    @Test
    void anImageHasOneCodec() {
        assertThatThrownBy(() -> flatten("compression_type=zlib", "zstd"))
                .hasMessageContaining("one compression_type, not zlib and zstd");
        assertThatThrownBy(() -> flatten("preallocation=full", "none"))
                .hasMessageContaining("has no option 'preallocation'");
        assertThat(out).doesNotExist();
    }

    @Test
    void anInternalSnapshotIsFlattened() throws Exception {
        flatten(null, "none");
        Qemu.img("snapshot", "-c", "before", out);
        Qemu.io(out, List.of("write -P 5 0 3M", "discard 4M 1M"));
        Qemu.img("snapshot", "-c", "after", out);
        Path flat = directory.resolve("flat.qcow2");
        try (CowDevice device = Images.open(out, OpenOptions.of(true).at(Optional.of("before")))) {
            Flattening.toImage(
                    device, flat, Qcow2Format.NAME, StoreOptions.NONE.withCodec("zlib"), Optional.empty(), n -> {});
        }
        Qemu.img("check", flat);
        assertThat(Qemu.img("compare", "-F", "raw", flat, raw)).contains("Images are identical");
        assertThat(Images.info(out, Optional.of("2")).details()).containsEntry("snapshot", "2 'after'");
        assertThatThrownBy(() -> Images.info(out, Optional.of("never")))
                .isInstanceOf(NoSuchFileException.class)
                .hasMessageContaining("has no internal snapshot 'never'; it has 1 'before', 2 'after'");
    }
}
