package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
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
import org.junit.jupiter.params.provider.ValueSource;

/**
 * An image goes back and forth between this program and qemu-io, both change it at random, and after every turn QEMU finds
 * it sound, with the content that a model has. {@code -Ducow.qcow2.turns=N} for a longer game.
 */
@Timeout(value = 600, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DifferentialTest {
    private static final int SIZE = (3 << 20) + 512;
    private static final int TURNS = Integer.getInteger("ucow.qcow2.turns", 4);
    private static final int SOUND = 0, LEAKS = 3;

    @TempDir
    Path directory;

    private Random random;
    private byte[] model;
    private Path image;
    private Path data;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    @BeforeEach
    void makeBase() throws IOException {
        random = new Random(5);
        model = new byte[SIZE];
        for (int at = 0; at < SIZE; at += 100_000) {
            Arrays.fill(model, at, Math.min(SIZE, at + 70_000), (byte) (1 + at / 100_000));
        }
        Files.write(directory.resolve("base.raw"), model);
        image = directory.resolve("vm.qcow2");
        data = directory.resolve("vm.data");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=512",
                "cluster_size=4k,refcount_bits=1",
                "refcount_bits=2",
                "lazy_refcounts=on,refcount_bits=8,cluster_size=16k",
                "cluster_size=2M,refcount_bits=64",
                "cluster_size=1k,refcount_bits=32",
                "compat=0.10,cluster_size=4k",
                "extended_l2=on",
                "extended_l2=on,cluster_size=16k",
                "extended_l2=on,cluster_size=2M,refcount_bits=1",
            })
    void overlay(String options) throws Exception {
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", "base.raw", "-o", options, image);
        play(!options.contains("refcount_bits=1"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"cluster_size=4k", "compression_type=zstd", "cluster_size=512", "compat=0.10", "extended_l2=on"})
    void compressedClusters(String options) throws Exception {
        Qemu.img("convert", "-c", "-O", "qcow2", "-o", options, directory.resolve("base.raw"), image);
        play(true);
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=4k", "extended_l2=on"})
    void externalDataFileOnABase(String options) throws Exception {
        String named = "data_file=" + data + "," + options;
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", "base.raw", "-o", named, image);
        play(false);
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=4k", "extended_l2=on"})
    void rawExternalDataFileIsTheDisk(String options) throws Exception {
        Arrays.fill(model, (byte) 0);
        Qemu.img("create", "-f", "qcow2", "-o", "data_file_raw=on,data_file=" + data + "," + options, image, SIZE);
        play(false);
        byte[] found = Files.readAllBytes(data);
        assertThat(Arrays.mismatch(Arrays.copyOf(found, SIZE), model)).isEqualTo(-1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "preallocation=metadata",
                "preallocation=full,compat=0.10",
                "preallocation=metadata,extended_l2=on"
            })
    void preallocated(String options) throws Exception {
        Qemu.img("convert", "-O", "qcow2", "-o", options, directory.resolve("base.raw"), image);
        play(true);
    }

    @Test
    void createdHere() throws Exception {
        Images.create(new CreateOptions(
                image, Optional.of(directory.resolve("base.raw")), OptionalLong.empty(), 4096, "qcow2"));
        requireSound(image, SOUND);
        assertThat(Qemu.img("info", image)).contains("backing file: base.raw", "backing file format: raw");
        play(true);
        Path top = directory.resolve("top.qcow2");
        Images.create(new CreateOptions(top, Optional.of(image), OptionalLong.empty(), 65536, "qcow2"));
        image = top;
        play(true);
    }

    private void play(boolean snapshots) throws Exception {
        for (int turn = 0; turn < TURNS; turn++) {
            ours();
            requireSound(image, SOUND);
            assertHoldsModel(image);
            if (snapshots && turn % 2 == 0) {
                Qemu.img("snapshot", "-c", "s" + turn, image);
            }
            theirs();
            assertHoldsModel(image);
            if (snapshots && turn % 4 == 3) {
                Qemu.img("snapshot", "-d", "s" + (turn - 1), image);
            }
        }
    }

    /** Changes of any size and place; in the middle, what a killed process would leave. */
    private void ours() throws Exception {
        try (CowDevice device = Images.open(image, false)) {
            for (int i = 0; i < 40; i++) {
                int length = 1 + random.nextInt(1 << (1 + random.nextInt(19)));
                int offset = random.nextInt(SIZE - length);
                int kind = random.nextInt(6);
                if (kind < 4) {
                    byte[] bytes = new byte[length];
                    random.nextBytes(bytes);
                    System.arraycopy(bytes, 0, model, offset, length);
                    device.write(
                            offset, ByteBuffer.allocateDirect(length).put(bytes).flip());
                } else if (kind == 4) {
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                    device.discard(offset, length);
                } else {
                    device.flush();
                }
                if (i == 20) {
                    Path killed = copyAsItIs();
                    requireSound(killed, LEAKS);
                    Images.open(killed, false).close(); // what QEMU does not know of is in the tables now
                    requireSound(killed, LEAKS);
                    assertHoldsModel(killed);
                }
            }
            ByteBuffer all = ByteBuffer.allocateDirect(SIZE);
            device.read(0, all);
            assertThat(all.flip().mismatch(ByteBuffer.wrap(model))).isEqualTo(-1);
        }
    }

    /** The image, and the data file that it names, as they are at this moment. */
    private Path copyAsItIs() throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        if (Files.exists(data)) {
            Files.copy(data, directory.resolve("ko.data"), StandardCopyOption.REPLACE_EXISTING);
            int at = new String(bytes, 0, 4096, StandardCharsets.ISO_8859_1).indexOf("vm.data");
            System.arraycopy(new byte[] {'k', 'o'}, 0, bytes, at, 2);
        }
        return Files.write(directory.resolve("killed.qcow2"), bytes);
    }

    private void theirs() throws Exception {
        List<String> commands = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            int length = 512 * (1 + random.nextInt(400));
            int offset = 512 * random.nextInt((SIZE - length) / 512);
            int letter = i % 3 == 2 ? 0 : 1 + random.nextInt(255);
            commands.add((letter == 0 ? "write -z " : "write -P " + letter + " ") + offset + " " + length);
            Arrays.fill(model, offset, offset + length, (byte) letter);
        }
        Qemu.io(image, commands);
    }

    /** @param worst what {@code qemu-img check} may say at the worst */
    private static void requireSound(Path path, int worst) throws Exception {
        Qemu.Result result = Qemu.run("qemu-img", "check", path);
        assertThat(result.status()).as(result.output()).isIn(SOUND, worst);
        assertThat(Images.check(path).corruptions()).isEmpty();
    }

    private void assertHoldsModel(Path path) throws Exception {
        Path raw = directory.resolve("raw");
        Qemu.img("convert", "-f", "qcow2", "-O", "raw", path, raw);
        byte[] found = Files.readAllBytes(raw);
        assertThat(Arrays.mismatch(found, model)).as("first difference to QEMU").isEqualTo(-1);
        try (Origin origin = Images.openContent(path)) {
            ByteBuffer all = ByteBuffer.allocateDirect(SIZE);
            origin.read(all, 0);
            assertThat(all.flip().mismatch(ByteBuffer.wrap(model))).isEqualTo(-1);
        }
    }
}
