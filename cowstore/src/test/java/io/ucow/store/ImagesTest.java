package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The front door, on real files: what is refused, in which words, and what stays untouched. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ImagesTest {
    private static final int BASE_BYTES = 1_000_001;
    private static final Instant THEN = Instant.parse("2020-02-03T04:05:06.000000007Z");

    @TempDir
    Path directory;

    private Path base;
    private Path image;
    private byte[] content;

    @BeforeEach
    void makeBase() throws IOException {
        content = new byte[BASE_BYTES];
        new Random(1).nextBytes(content);
        base = Files.write(directory.resolve("base.img"), content);
        touch(base, THEN);
        image = directory.resolve("vm.cow");
    }

    @Test
    void deviceShowsItsBaseAndKeepsItsChanges() throws IOException {
        create(4096);
        try (CowDevice device = Images.open(image, false)) {
            assertThat(device.sizeBytes()).isEqualTo(BASE_BYTES);
            assertThat(device.granularityBytes()).isEqualTo(4096);
            assertThat(TestDevices.read(device, 0, BASE_BYTES)).isEqualTo(content);
            device.write(5000, TestDevices.direct(new byte[] {1, 2, 3}, 0, 3));
            device.discard(100_000, 50_000);
        }
        byte[] expected = content.clone();
        System.arraycopy(new byte[] {1, 2, 3}, 0, expected, 5000, 3);
        Arrays.fill(expected, 100_000, 150_000, (byte) 0);
        for (boolean readOnly : new boolean[] {true, false}) {
            try (CowDevice device = Images.open(image, readOnly)) {
                assertThat(device.isReadOnly()).isEqualTo(readOnly);
                assertThat(TestDevices.read(device, 0, BASE_BYTES)).isEqualTo(expected);
            }
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(content);
        ImageInfo info = Images.info(image);
        assertThat(info.base()).contains(base);
        assertThat(info.clean()).isTrue();
        assertThat(Images.check(image).isSound()).isTrue();
    }

    @Test
    void deviceLargerThanItsBaseEndsInZeros() throws IOException {
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(3_000_000), 65536, "ucow"));
        try (CowDevice device = Images.open(image, false)) {
            assertThat(TestDevices.read(device, 0, 3_000_000)).isEqualTo(Arrays.copyOf(content, 3_000_000));
            device.write(BASE_BYTES + 5L, TestDevices.direct(new byte[] {9}, 0, 1));
            byte[] expected = Arrays.copyOf(content, 3_000_000);
            expected[BASE_BYTES + 5] = 9;
            assertThat(TestDevices.read(device, 0, 3_000_000)).isEqualTo(expected);
        }
    }

    @Test
    void deviceSmallerThanItsBaseIsItsBeginning() throws IOException {
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(70_001), 65536, "ucow"));
        try (CowDevice device = Images.open(image, false)) {
            device.write(70_000, TestDevices.direct(new byte[] {9}, 0, 1));
            byte[] expected = Arrays.copyOf(content, 70_001);
            expected[70_000] = 9;
            assertThat(TestDevices.read(device, 0, 70_001)).isEqualTo(expected);
            assertThatThrownBy(() -> TestDevices.read(device, 70_000, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void deviceWithoutABaseIsZeros() throws IOException {
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(100_000), 4096, "ucow"));
        try (CowDevice device = Images.open(image, false)) {
            assertThat(TestDevices.read(device, 0, 100_000)).isEqualTo(new byte[100_000]);
            assertThat(device.info().base()).isEmpty();
        }
    }

    @Test
    void secondOpenIsRefusedInTheSameProcess() throws IOException {
        create(4096);
        CowDevice first = Images.open(image, false);
        assertInUse(() -> Images.open(image, false).close());
        assertInUse(() -> Images.open(image, true).close());
        assertInUse(() -> Images.check(image));
        assertInUse(() -> Images.info(image));
        first.write(0, TestDevices.direct(new byte[] {9}, 0, 1));
        first.close();
        try (CowDevice reader = Images.open(image, true);
                CowDevice another = Images.open(image, true)) {
            assertThat(TestDevices.read(reader, 0, 1)).containsExactly(9);
            assertThat(TestDevices.read(another, 0, 1)).containsExactly(9);
            assertInUse(() -> Images.open(image, false).close());
            assertThat(Images.check(image).isSound()).isTrue();
        }
        Images.open(image, false).close();
    }

    @Test
    void linkToAnOpenImageIsInUse() throws IOException {
        create(4096);
        Path link = Files.createSymbolicLink(directory.resolve("link.cow"), image);
        Path hard = Files.createLink(directory.resolve("hard.cow"), image);
        try (CowDevice open = Images.open(image, false)) {
            assertThat(open.isReadOnly()).isFalse();
            assertInUse(() -> Images.open(link, false).close());
            assertInUse(() -> Images.open(hard, false).close());
        }
    }

    @Test
    void baseWithAnotherSizeIsRefused() throws IOException {
        create(4096);
        Files.write(base, Arrays.copyOf(content, BASE_BYTES + 1));
        touch(base, THEN);
        assertChanged("it has 1000002 bytes, expected 1000001; restore the base, or create a new image on it");
    }

    @Test
    void baseWithAnotherTimeIsRefusedWithTheRemedy() throws IOException {
        create(4096);
        touch(base, THEN.plusSeconds(1));
        assertChanged("it was modified at 2020-02-03T04:05:07.000000007Z, expected 2020-02-03T04:05:06.000000007Z;"
                + " restore the base, or create a new image on it; if only its time stamp changed: touch -d"
                + " '2020-02-03T04:05:06.000000007Z' " + base);
        touch(base, THEN);
        Images.open(image, false).close();
    }

    @Test
    void baseWithOtherContentIsRefusedThoughItsTimeIsTheSame() throws IOException {
        create(4096);
        for (int at : new int[] {0, 4095, BASE_BYTES - 1}) {
            byte[] changed = content.clone();
            changed[at]++;
            Files.write(base, changed);
            touch(base, THEN);
            assertChanged("its content differs; restore the base, or create a new image on it");
        }
        Files.write(base, content);
        touch(base, THEN);
        Images.open(image, false).close();
    }

    @Test
    void missingBaseIsRefused() throws IOException {
        create(4096);
        byte[] before = Files.readAllBytes(image);
        Files.move(base, directory.resolve("elsewhere.img"));
        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(OriginChangedException.class)
                .hasMessage(base + ": base of " + image + " is missing; move it back to that place, or say where it is"
                        + " now: ucow rebase --unsafe --base BASE " + image);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
        // What needs no base still works, and nothing is left open.
        assertThat(Images.info(image).base()).contains(base);
        assertThat(Images.check(image).isSound()).isTrue();
        Files.move(directory.resolve("elsewhere.img"), base);
        Images.open(image, false).close();
    }

    @Test
    void refusedImageIsNotChanged() throws IOException {
        create(4096);
        byte[] clean = Files.readAllBytes(image);
        byte[] unclean;
        try (CowDevice device = Images.open(image, false)) {
            device.write(5000, TestDevices.direct(new byte[] {1, 2, 3}, 0, 3));
            device.discard(40_000, 10_000);
            unclean = Files.readAllBytes(image);
        }
        touch(base, THEN.plusSeconds(1));
        for (byte[] before : new byte[][] {clean, unclean}) {
            Files.write(image, before);
            FileTime modified = Files.getLastModifiedTime(image);
            assertThatThrownBy(() -> Images.open(image, false)).isInstanceOf(OriginChangedException.class);
            assertThat(Files.readAllBytes(image)).isEqualTo(before);
            assertThat(Files.getLastModifiedTime(image)).isEqualTo(modified);
        }
        touch(base, THEN);
        try (CowDevice device = Images.open(image, false)) {
            assertThat(TestDevices.read(device, 5000, 3)).containsExactly(1, 2, 3);
        }
    }

    @Test
    void baseMayMoveTogetherWithItsDirectory() throws IOException {
        Path old = Files.createDirectory(directory.resolve("old"));
        Path sub = Files.createDirectory(old.resolve("bases"));
        Files.copy(base, sub.resolve("b.img"));
        image = old.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(sub.resolve("b.img")), OptionalLong.empty(), 4096, "ucow"));
        Path moved = Files.move(old, directory.resolve("new"));
        try (CowDevice device = Images.open(moved.resolve("vm.cow"), false)) {
            assertThat(TestDevices.read(device, 0, BASE_BYTES)).isEqualTo(content);
        }
    }

    @Test
    void baseBesideADifferentDirectoryIsRecordedAbsolutely() throws IOException {
        Path sub = Files.createDirectory(directory.resolve("images"));
        image = sub.resolve("vm.cow");
        create(4096);
        Path moved = Files.move(image, directory.resolve("moved.cow"));
        Images.open(moved, false).close();
    }

    @Test
    void damagedQcow2BaseIsRefused() throws IOException {
        System.arraycopy(new byte[] {'Q', 'F', 'I', (byte) 0xfb}, 0, content, 0, 4);
        Files.write(base, content);
        assertThatThrownBy(() -> create(4096))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("is of qcow2 version ");
        assertThat(image).doesNotExist();
    }

    @Test
    void basesThatAreNoneAreRefused() throws Exception {
        base = directory.resolve("nowhere.img");
        assertThatThrownBy(() -> create(4096))
                .isInstanceOf(NativeException.class)
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOENT))
                .hasMessageContaining("nowhere.img");
        base = Files.createDirectory(directory.resolve("dir"));
        assertThatThrownBy(() -> create(4096))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessage(base + ": is neither a regular file nor a block device; a base must be one of them");
        base = Files.createFile(directory.resolve("empty.img"));
        assertThatThrownBy(() -> create(4096))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("device size 0 is not between 1 and");
        base = fifo("base.fifo");
        assertThatThrownBy(() -> create(4096)).isInstanceOf(UnsupportedFormatException.class);
        assertThat(image).doesNotExist();
    }

    @Test
    void baseThatBecameAPipeOrADirectoryIsRefusedAndNotWaitedFor() throws Exception {
        create(4096);
        String what = "it is neither a regular file nor a block device; restore the base, or create a new image on it";
        Files.delete(base);
        fifo("base.img");
        assertChanged(what);
        Files.delete(base);
        Files.createDirectory(base);
        assertChanged(what);
    }

    @Test
    void existingImageIsNotTouched() throws IOException {
        create(4096);
        byte[] before = Files.readAllBytes(image);
        assertThatThrownBy(() -> create(4096)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
        image = base;
        assertThatThrownBy(() -> create(4096)).isInstanceOf(FileAlreadyExistsException.class);
        assertThat(Files.readAllBytes(base)).isEqualTo(content);
    }

    @Test
    void failedCreateLeavesNothing() {
        assertThatThrownBy(() ->
                        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), 4096, "vhd")))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("no plug-in for format 'vhd'; known: ");
        assertThatThrownBy(() -> Images.create(
                        new CreateOptions(image, Optional.of(base), OptionalLong.of(1L << 60), 4096, "ucow")))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(image).doesNotExist();
        image = directory.resolve("no/such/dir/vm.cow");
        assertThatThrownBy(() -> create(4096))
                .isInstanceOf(IOException.class)
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOENT));
    }

    @Test
    void whatIsNoImageIsRefused() throws Exception {
        assertThatThrownBy(() -> Images.open(base, false))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessage(base + ": is not an image of any known format; make one with: ucow create --base " + base
                        + " NEW-IMAGE");
        assertThat(Files.readAllBytes(base)).isEqualTo(content);
        Path empty = Files.createFile(directory.resolve("empty"));
        assertThatThrownBy(() -> Images.open(empty, true)).isInstanceOf(UnsupportedFormatException.class);
        Path fifo = fifo("image.fifo");
        for (Path wrong : new Path[] {directory, fifo}) {
            for (boolean readOnly : new boolean[] {true, false}) {
                assertThatThrownBy(() -> Images.open(wrong, readOnly))
                        .isInstanceOf(UnsupportedFormatException.class)
                        .hasMessage(wrong + ": is not a regular file; an image must be one");
            }
            assertThatThrownBy(() -> Images.check(wrong)).isInstanceOf(UnsupportedFormatException.class);
            assertThatThrownBy(() -> Images.info(wrong)).isInstanceOf(UnsupportedFormatException.class);
        }
        assertThatThrownBy(() -> Images.open(directory.resolve("nowhere"), false))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOENT));
    }

    @Test
    void readOnlyOpenOfAnUncleanImageChangesNotOneByte() throws IOException {
        create(4096);
        CowDevice device = Images.open(image, false);
        device.write(5000, TestDevices.direct(new byte[] {1, 2, 3}, 0, 3));
        device.discard(40_000, 10_000);
        // As a killed daemon leaves it.
        Path killed = Files.copy(image, directory.resolve("killed.cow"));
        device.close();
        byte[] before = Files.readAllBytes(killed);
        FileTime modified = Files.getLastModifiedTime(killed);
        assertThat(Images.info(killed).clean()).isFalse();
        assertThat(Images.check(killed).isSound()).isTrue();
        try (CowDevice reader = Images.open(killed, true)) {
            assertThat(TestDevices.read(reader, 5000, 3)).containsExactly(1, 2, 3);
            assertThat(TestDevices.read(reader, 45_000, 1)).containsExactly(0);
            for (ThrowingCallable change : new ThrowingCallable[] {
                () -> reader.write(0, TestDevices.direct(new byte[1], 0, 1)),
                () -> reader.discard(0, 4096),
                () -> reader.writeZeroes(0, 1)
            }) {
                assertThatThrownBy(change)
                        .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EROFS));
            }
            reader.flush();
        }
        assertThat(Files.readAllBytes(killed)).isEqualTo(before);
        assertThat(Files.getLastModifiedTime(killed)).isEqualTo(modified);
        try (CowDevice recovered = Images.open(killed, false)) {
            assertThat(TestDevices.read(recovered, 5000, 3)).containsExactly(1, 2, 3);
        }
        assertThat(Images.info(killed).clean()).isTrue();
    }

    @Test
    void imageThatMayOnlyBeReadOpensReadOnly() throws IOException {
        create(4096);
        Files.setPosixFilePermissions(image, PosixFilePermissions.fromString("r--r--r--"));
        Images.open(image, true).close();
        assumeThat(Files.isWritable(image)).as("root may do anything").isFalse();
        assertThatThrownBy(() -> Images.open(image, false))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EACCES));
    }

    private void create(int chunkBytes) throws IOException {
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), chunkBytes, "ucow"));
    }

    private Path fifo(String name) throws Exception {
        Path fifo = directory.resolve(name);
        Process mkfifo = new ProcessBuilder("mkfifo", fifo.toString()).start();
        assertThat(mkfifo.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(mkfifo.exitValue()).isZero();
        return fifo;
    }

    private static void touch(Path path, Instant time) throws IOException {
        Files.setLastModifiedTime(path, FileTime.from(time));
        assumeThat(Files.getLastModifiedTime(path).toInstant()).isEqualTo(time);
    }

    private void assertChanged(String what) {
        for (boolean readOnly : new boolean[] {true, false}) {
            assertThatThrownBy(() -> Images.open(image, readOnly))
                    .isInstanceOf(OriginChangedException.class)
                    .hasMessage(base + ": base changed since " + image + " was created: " + what);
        }
    }

    private void assertInUse(ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOf(StoreInUseException.class)
                .hasMessageContaining("is in use by another process");
    }
}
