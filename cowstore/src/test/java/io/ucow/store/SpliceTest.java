package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The places that a device gives away hold what a read of the same range returns. On real files: only those have places. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SpliceTest {
    private static final int CHUNK = 16384;
    private static final int SIZE = 40 * CHUNK + 1234;
    private static final int OPERATIONS = 600;

    @TempDir
    Path directory;

    private Path base;
    private byte[] content;

    static Stream<Arguments> kinds() {
        StoreOptions plain = StoreOptions.ofChunk(CHUNK);
        return Stream.of(
                Arguments.of("ucow", plain),
                Arguments.of("ucow", plain.withCodec("lz4")),
                Arguments.of("ucow", plain.withChecksums(true)),
                Arguments.of("qcow2", plain));
    }

    @BeforeEach
    void makeBase() throws IOException {
        // The device's last part is past the base's end.
        content = new byte[SIZE - 3 * CHUNK - 100];
        new Random(1).nextBytes(content);
        base = Files.write(directory.resolve("base.img"), content);
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void placesHoldWhatIsRead(String format, StoreOptions options) throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(SIZE), format, options));
        byte[] model = Arrays.copyOf(content, SIZE);
        Random random = new Random(5);
        int spliced = change(image, random, model);
        if (format.equals("ucow")) {
            Images.snapshot(image, Optional.empty()); // now there is a layer to look through
            spliced += change(image, random, model);
        }
        assertThat(spliced).isGreaterThan(OPERATIONS / 100);
    }

    /** @return how many ranges had a place */
    private static int change(Path image, Random random, byte[] model) throws IOException {
        int spliced = 0;
        try (CowDevice device = Images.open(image, false)) {
            for (int i = 0; i < OPERATIONS; i++) {
                int offset = random.nextInt(SIZE);
                int length = 1 + random.nextInt(Math.min(SIZE - offset, 3 * CHUNK));
                switch (random.nextInt(8)) {
                    case 0 -> {
                        byte[] data = new byte[length];
                        Arrays.fill(data, (byte) random.nextInt());
                        device.write(offset, TestDevices.direct(data, 0, length));
                        System.arraycopy(data, 0, model, offset, length);
                    }
                    case 1 -> {
                        device.discard(offset, length);
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                    }
                    case 2 -> device.flush();
                    case 3 -> {
                        if (random.nextInt(10) == 0) {
                            TestDevices.packAll(device);
                        }
                    }
                    default -> {
                        Copy copy = new Copy();
                        if (device.splice(offset, length, copy)) {
                            assertThat(copy.bytes)
                                    .as("operation %d at %d", i, offset)
                                    .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
                            spliced++;
                        }
                    }
                }
            }
            assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        }
        return spliced;
    }

    /** Takes a range by copying it. */
    private static final class Copy implements SpliceTarget {
        private byte[] bytes;

        @Override
        public boolean take(int fd, long offset, int lengthBytes) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(lengthBytes);
            assertThat(Libc.pread(fd, Libc.addressOf(buffer), lengthBytes, offset))
                    .isEqualTo(lengthBytes);
            bytes = new byte[lengthBytes];
            buffer.get(bytes);
            return true;
        }
    }

    @Test
    void whatHasNoPlaceIsNotAskedFor() throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(SIZE), CHUNK, "ucow"));
        SpliceTarget nobody = (fd, offset, length) -> {
            throw new AssertionError("asked for " + length + " bytes at " + offset);
        };
        try (CowDevice device = Images.open(image, false)) {
            device.write(5 * CHUNK, TestDevices.direct(new byte[CHUNK], 0, CHUNK));
            device.discard(9 * CHUNK, CHUNK);
            assertThat(device.splice(4 * CHUNK + 1, CHUNK, nobody))
                    .as("base, then slot")
                    .isFalse();
            assertThat(device.splice(9 * CHUNK, CHUNK, nobody)).as("zeros").isFalse();
            assertThat(device.splice(content.length - 10, 11, nobody))
                    .as("past the base's end")
                    .isFalse();
            assertThatThrownBy(() -> device.splice(SIZE - 10, 11, nobody))
                    .isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    /** Who refuses is not asked again, and who fails is heard. */
    @Test
    void theTargetsAnswerIsTheDevices() throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(SIZE), CHUNK, "ucow"));
        try (CowDevice device = Images.open(image, false)) {
            assertThat(device.splice(0, CHUNK, (fd, offset, length) -> false)).isFalse();
            assertThatThrownBy(() -> device.splice(0, CHUNK, (fd, offset, length) -> {
                        throw new NativeException("splice", Errno.EIO);
                    }))
                    .isInstanceOf(NativeException.class);
        }
    }

    /** Freed slots are reused after a grace period: one may not end while somebody still takes from such a slot (I4). */
    @Test
    void aPlaceIsKeptUntilItWasTaken() throws Exception {
        Path image = directory.resolve("vm.cow");
        UcowFormat format = new UcowFormat();
        GracePeriod readers = new GracePeriod();
        try (NativeFile file = NativeFile.create(image, 0600)) {
            format.create(file, SIZE, null, StoreOptions.ofChunk(CHUNK));
            ExceptionStore store = format.open(file, image, new StoreContext(false, TestDevices.BOOT, readers, false));
            try (CowDevice device = TestDevices.over(store, TestDevices.origin(new byte[0]), readers)) {
                device.write(0, TestDevices.direct(new byte[CHUNK], 0, CHUNK));
                Crew.Member[] waiter = new Crew.Member[1];
                assertThat(device.splice(0, CHUNK, (fd, offset, length) -> {
                            waiter[0] = Crew.start(readers::await);
                            waiter[0].awaitBlocked();
                            return true;
                        }))
                        .isTrue();
                waiter[0].join();
            }
        }
    }

    /** Cut off while in use: the target finds less than it was promised, and the read that follows says so. */
    @Test
    void aBaseThatBecameShorterIsTheReadsToTell() throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(SIZE), CHUNK, "ucow"));
        try (CowDevice device = Images.open(image, true)) {
            try (FileChannel channel = FileChannel.open(base, StandardOpenOption.WRITE)) {
                channel.truncate(CHUNK + 10);
            }
            ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK);
            SpliceTarget all = (fd, offset, length) -> Libc.pread(fd, Libc.addressOf(buffer), length, offset) == length;
            assertThat(device.splice(0, CHUNK, all)).isTrue();
            assertThat(device.splice(CHUNK, CHUNK, all)).isFalse();
            assertThatThrownBy(() -> TestDevices.read(device, CHUNK, CHUNK))
                    .hasMessageContaining("base became shorter");
        }
    }
}
