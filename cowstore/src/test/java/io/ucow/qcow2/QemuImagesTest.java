package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CheckReport;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import io.ucow.store.OriginChangedException;
import io.ucow.store.StoreInUseException;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever qemu-img makes is read as {@code qemu-img convert -O raw} reads it. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class QemuImagesTest {
    private static final int SIZE = (2 << 20) + 1536;
    /** The header's crypt_method, and a value of it. */
    private static final int ENCRYPTION_AT = 32, ENCRYPTION_LUKS = 2;

    @TempDir
    Path directory;

    private final Random random = new Random(1);
    private Path raw;
    private Path image;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    @BeforeEach
    void makeContent() throws IOException {
        raw = Files.write(directory.resolve("content.raw"), content());
        image = directory.resolve("vm.qcow2");
    }

    /** Runs of 1 sector to 200 KiB of noise, of one byte, and of zeros. */
    private byte[] content() {
        byte[] bytes = new byte[SIZE];
        for (int at = 0; at < SIZE; ) {
            int n = Math.min(SIZE - at, 512 << random.nextInt(9));
            int kind = random.nextInt(3);
            for (int i = at; i < at + n && kind != 0; i++) {
                bytes[i] = (byte) (kind == 1 ? random.nextInt() : at >> 9);
            }
            at += n;
        }
        return bytes;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=512",
                "cluster_size=4096,compat=0.10",
                "compat=0.10",
                "lazy_refcounts=on",
                "cluster_size=2M",
                "refcount_bits=1",
                "refcount_bits=2,cluster_size=1024",
                "refcount_bits=4",
                "refcount_bits=8",
                "refcount_bits=32",
                "refcount_bits=64,cluster_size=2048",
                "preallocation=metadata",
                "preallocation=falloc",
                "extended_l2=on",
                "extended_l2=on,cluster_size=16k",
                "extended_l2=on,cluster_size=2M,preallocation=metadata",
            })
    void plainImage(String options) throws Exception {
        Qemu.img("convert", "-O", "qcow2", "-o", options, raw, image);
        Qemu.io(image, changes(options));
        assertReadsAsQemuDoes();
    }

    /** Writes, zeroes and discards of any alignment. */
    private List<String> changes(String options) {
        List<String> commands = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            int length = 512 << random.nextInt(9);
            int offset = random.nextInt((SIZE - length) / 512) * 512;
            String what =
                    switch (i % 4) {
                        case 0 -> "write -P " + (i + 1);
                        case 1 -> "write -z";
                        case 2 -> options.contains("compat=0.10") ? "write -z" : "write -z -u";
                        default -> "discard";
                    };
            commands.add(what + " " + offset + " " + length);
        }
        return commands;
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=512",
                "cluster_size=4096",
                "compat=0.10",
                "cluster_size=2M",
                "compression_type=zstd",
                "compression_type=zstd,cluster_size=512",
                "compression_type=zstd,cluster_size=2M",
                "extended_l2=on",
                "extended_l2=on,compression_type=zstd",
            })
    void compressedImage(String options) throws Exception {
        Qemu.img("convert", "-c", "-O", "qcow2", "-o", options, raw, image);
        assertReadsAsQemuDoes();
        Qemu.io(image, changes(options));
        assertReadsAsQemuDoes();
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ",data_file_raw=on", ",extended_l2=on"})
    void externalDataFile(String options) throws Exception {
        Qemu.img("create", "-f", "qcow2", "-o", "data_file=" + directory.resolve("vm.data") + options, image, SIZE);
        Qemu.io(image, changes(options));
        Qemu.io(image, changes(options));
        assertReadsAsQemuDoes();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "extended_l2=on", "cluster_size=1024"})
    void chainOfThree(String options) throws Exception {
        Path sub = Files.createDirectory(directory.resolve("sub"));
        Path middle = sub.resolve("middle.qcow2");
        // Smaller than what is on it, and named by a relative path.
        Files.write(raw, new byte[] {1, 2, 3}, java.nio.file.StandardOpenOption.APPEND);
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", "../content.raw", middle);
        Qemu.io(middle, changes(options));
        Qemu.img("create", "-f", "qcow2", "-F", "qcow2", "-b", "sub/middle.qcow2", "-o", options, image, 2 * SIZE);
        Qemu.io(image, changes(options));
        Qemu.img("snapshot", "-c", "first", image);
        Qemu.io(image, changes(options));
        assertReadsAsQemuDoes();
        assertThat(Images.info(image).details()).containsEntry("snapshots", "1 'first'");
        assertThat(Images.layersBelow(Images.info(image))).hasSize(1);
    }

    @Test
    void isTheBaseOfAnImage() throws Exception {
        Qemu.img("convert", "-c", "-O", "qcow2", raw, image);
        Path top = directory.resolve("top.cow");
        Images.create(new CreateOptions(top, Optional.of(image), OptionalLong.empty(), 65536, "ucow"));
        try (CowDevice device = Images.open(top, false)) {
            device.writeZeroes(5000, 100_000);
        }
        byte[] expected = Files.readAllBytes(raw);
        java.util.Arrays.fill(expected, 5000, 105_000, (byte) 0);
        assertReads(top, expected);
        Qemu.io(image, List.of("write -P 7 1M 64k"));
        assertThatThrownBy(() -> Images.open(top, false)).isInstanceOf(OriginChangedException.class);
    }

    @ParameterizedTest
    @CsvSource({"1, marked corrupt", "0, refcounts for later"})
    void corruptAndDirtyImagesAreRead(int bit, String message) throws Exception {
        Qemu.img("convert", "-O", "qcow2", raw, image);
        byte[] bytes = Files.readAllBytes(image);
        bytes[Header.INCOMPATIBLE_AT + 7] |= (byte) (1 << bit);
        Files.write(image, bytes);
        assertReads(image, Files.readAllBytes(raw));
        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining(message);
    }

    @Test
    void backingFilesThatCannotBeTrustedAreRefused() throws Exception {
        Path middle = directory.resolve("middle.qcow2");
        Qemu.img("create", "-f", "qcow2", middle, SIZE);
        Qemu.img("create", "-f", "qcow2", "-F", "qcow2", "-b", middle, image);
        Qemu.img("rebase", "-u", "-b", "nbd://localhost/x", "-F", "raw", image);
        assertRefused("'nbd' protocol");
        Qemu.img("rebase", "-u", "-b", "json:{\"driver\":\"null-co\"}", "-F", "raw", image);
        assertRefused("'json' protocol");
        Qemu.img("rebase", "-u", "-b", "x.vmdk", "-F", "vmdk", image);
        assertRefused("of format 'vmdk'");
        Qemu.img("rebase", "-u", "-b", middle, "-F", "qcow2", image);
        dropBackingFormat();
        assertRefused("does not say of what format its backing file");
        Qemu.img("rebase", "-u", "-b", image, "-F", "qcow2", image);
        assertThatThrownBy(() -> Images.open(image, true)).isInstanceOf(OriginChangedException.class);
    }

    private void assertRefused(String message) {
        assertThatThrownBy(() -> Images.open(image, true))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining(message);
    }

    /** As images of QEMU before 6.1 may be. */
    private void dropBackingFormat() throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer header = ByteBuffer.wrap(bytes);
        for (int at = Header.decode(header).headerLength(); header.getInt(at) != 0; ) {
            if (header.getInt(at) == HeaderExtensions.BACKING_FORMAT) {
                header.putInt(at, 0x12345678);
            }
            at += 8 + ((header.getInt(at + 4) + 7) & ~7);
        }
        Files.write(image, bytes);
    }

    /** Not made as such by qemu-img, which measures the processor first, and at times gives up on that. */
    @Test
    void encryptedImageIsRefusedByName() throws Exception {
        Qemu.img("create", "-f", "qcow2", image, SIZE);
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer.wrap(bytes).putInt(ENCRYPTION_AT, ENCRYPTION_LUKS);
        Files.write(image, bytes);
        assertRefused("LUKS");
    }

    @Test
    void locksAreThoseOfQemu() throws Exception {
        Qemu.img("convert", "-O", "qcow2", raw, image);
        try (Origin reader = Images.openContent(image);
                Origin another = Images.openContent(image)) {
            assertThat(reader.sizeBytes()).isEqualTo(another.sizeBytes());
            Qemu.img("map", image);
            assertThat(Qemu.run("qemu-io", "-f", "qcow2", "-c", "write 0 512", image)
                            .output())
                    .contains("lock");
        }
        try (NativeFile writer = NativeFile.open(image, Libc.O_RDWR)) {
            assertThat(new Qcow2Format().tryLock(writer, true)).isTrue();
            assertThat(Qemu.run("qemu-img", "map", image).output()).contains("lock");
            assertThatThrownBy(() -> Images.openContent(image)).isInstanceOf(StoreInUseException.class);
        }
    }

    @Test
    void dataFileIsLockedAsTheImageIs() throws Exception {
        Path data = directory.resolve("vm.data");
        Path other = directory.resolve("other.qcow2");
        Qemu.img("create", "-f", "qcow2", "-o", "data_file=" + data, image, SIZE);
        Files.copy(image, other);
        try (Origin reader = Images.openContent(image)) {
            assertThat(reader.sizeBytes()).isEqualTo(SIZE);
            Images.openContent(other).close();
            assertThatThrownBy(() -> Images.open(other, false))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining(data.toString());
        }
        try (CowDevice writer = Images.open(image, false)) {
            assertThat(writer.isReadOnly()).isFalse();
            assertThatThrownBy(() -> Images.openContent(other)).isInstanceOf(StoreInUseException.class);
            assertThat(Qemu.run("qemu-io", "-f", "raw", "-c", "read 0 512", data)
                            .output())
                    .contains("lock");
        }
        Images.open(other, false).close();
    }

    private void assertReadsAsQemuDoes() throws Exception {
        Path expected = directory.resolve("expected.raw");
        Qemu.img("convert", "-f", "qcow2", "-O", "raw", image, expected);
        assertReads(image, Files.readAllBytes(expected));
        CheckReport report = Images.check(image);
        assertThat(report.corruptions()).isEmpty();
        assertThat(report.leakedBytes()).isZero();
    }

    private void assertReads(Path content, byte[] expected) throws IOException {
        try (Origin origin = Images.openContent(content)) {
            assertThat(origin.sizeBytes()).isEqualTo(expected.length);
            ByteBuffer buffer = ByteBuffer.allocateDirect(expected.length);
            origin.read(buffer, 0);
            assertSame(buffer, expected, 0);
            for (int i = 0; i < 60; i++) {
                int length = 1 + random.nextInt(100_000);
                int offset = random.nextInt(expected.length - length);
                origin.read(buffer.clear().limit(length), offset);
                assertSame(buffer, expected, offset);
            }
        }
    }

    private static void assertSame(ByteBuffer actual, byte[] expected, int offset) {
        int n = actual.position();
        int differs = actual.flip().mismatch(ByteBuffer.wrap(expected, offset, n));
        assertThat(differs).as("first difference from %d", offset).isEqualTo(-1);
    }
}
