package io.ucow.it;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.nio.file.StandardOpenOption.READ;
import static java.nio.file.StandardOpenOption.WRITE;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountBusyException;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Mounts;
import io.ucow.fuse.Transport;
import io.ucow.store.CacheMode;
import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every transport, mounted for real, seen through system calls and outside tools. */
@Timeout(60)
class TransportIT {
    private static final int SIZE = 8 << 20;
    private static final int ODD_SIZE = (1 << 20) + 777;
    private static final int CHUNK = 64 << 10;
    private static final int O_DIRECT = 0x4000;

    @TempDir
    Path temp;

    private Path directory;
    private FileDevice first;
    private FileDevice second;
    private ImageFile firstFile;
    private Mount mount;

    static Stream<String> transports() {
        return Transport.all().stream().map(Transport::name);
    }

    @BeforeEach
    void devices() throws IOException {
        Requirements.fuse();
        directory = Files.createDirectory(temp.resolve("a mount"));
        first = new FileDevice(temp.resolve("first.img"), SIZE, CHUNK);
        second = new FileDevice(temp.resolve("second.img"), ODD_SIZE, 4096);
    }

    @AfterEach
    void leaveNothing() throws IOException {
        if (mount != null) {
            mount.unmount();
        }
        Mounts.cleanDead(directory);
        first.close();
        second.close();
        assertThat(MountInfo.at(directory)).isEmpty();
    }

    private void mount(String transport) throws IOException {
        firstFile = new ImageFile(
                "vm1", first, Map.of("user.ucow.base", () -> "/images/b\u00e4se", "user.ucow.id", () -> "7"));
        var secondFile = new ImageFile("vm2", second, Map.of());
        mount = Transport.named(transport)
                .mount(directory, List.of(firstFile, secondFile), MountOptions.of(CacheMode.NONE));
    }

    private Path vm1() {
        return directory.resolve("vm1");
    }

    @ParameterizedTest
    @MethodSource("transports")
    void theDirectoryShowsEachDeviceWithItsSizeAndMode(String transport) throws IOException {
        second.readOnly = true;
        mount(transport);
        try (Stream<Path> names = Files.list(directory)) {
            assertThat(names.map(p -> p.getFileName().toString())).containsExactlyInAnyOrder("vm1", "vm2");
        }
        FileStatus vm1 = Libc.statx(vm1());
        FileStatus vm2 = Libc.statx(directory.resolve("vm2"));
        assertThat(vm1.mode()).isEqualTo(0100600);
        assertThat(vm2.mode()).isEqualTo(0100400);
        assertThat(vm1.sizeBytes()).isEqualTo(SIZE);
        assertThat(vm2.sizeBytes()).isEqualTo(ODD_SIZE);
        assertThat(vm1.uid()).isEqualTo(Libc.geteuid());
        assertThat(vm1.inode()).isNotEqualTo(vm2.inode());
        assertThat(mount.transport()).isEqualTo(transport);
        assertThatThrownBy(() -> FileChannel.open(directory.resolve("vm2"), READ, WRITE))
                .isInstanceOfAny(FileSystemException.class, AccessDeniedException.class);
        assertThatThrownBy(() -> Libc.statx(directory.resolve("vm3"))).hasMessageContaining("ENOENT");
    }

    @ParameterizedTest
    @MethodSource("transports")
    void whatIsWrittenReachesTheDeviceAndComesBack(String transport) throws IOException {
        mount(transport);
        byte[] model = new byte[SIZE];
        var random = new Random(1);
        try (FileChannel channel = FileChannel.open(vm1(), READ, WRITE)) {
            for (int i = 0; i < 200; i++) {
                int length = 1 + random.nextInt(i % 10 == 0 ? 1 << 20 : 10_000);
                int offset = random.nextInt(SIZE - length);
                byte[] bytes = new byte[length];
                random.nextBytes(bytes);
                System.arraycopy(bytes, 0, model, offset, length);
                assertThat(channel.write(ByteBuffer.wrap(bytes), offset)).isEqualTo(length);
            }
            channel.force(false);
            var seen = ByteBuffer.allocate(SIZE);
            while (seen.hasRemaining() && channel.read(seen, seen.position()) > 0) {}
            assertThat(seen.array()).isEqualTo(model);
            assertThat(channel.read(ByteBuffer.allocate(10), SIZE)).isEqualTo(-1);
        }
        assertThat(first.flushes).hasPositiveValue();
        assertThat(Files.readAllBytes(temp.resolve("first.img"))).isEqualTo(model);
        assertThat(Files.readAllBytes(vm1())).isEqualTo(model);
        assertThat(firstFile.stats().errors()).isZero();
        assertThat(firstFile.stats().writes()).isGreaterThanOrEqualTo(200);
        assertThat(firstFile.stats().readLatency().maxMicros()).isPositive();
    }

    /** Read past the cache and through it, in sizes at which transport {@code direct} copies, or has the kernel do it. */
    @ParameterizedTest
    @MethodSource("transports")
    void largeReadsComeWhole(String transport) throws IOException {
        byte[] model = new byte[SIZE];
        new Random(7).nextBytes(model);
        Files.write(temp.resolve("first.img"), model);
        mount(transport);
        for (int flags : new int[] {Libc.O_RDONLY, Libc.O_RDONLY | O_DIRECT}) {
            try (NativeFile file = NativeFile.open(vm1(), flags)) {
                for (int length : new int[] {64 << 10, 128 << 10, 384 << 10, 512 << 10, 1 << 20, 3 << 20}) {
                    ByteBuffer seen = ByteBuffer.allocateDirect(length + 4096).alignedSlice(4096);
                    for (int offset : new int[] {0, 512, 4096, 1_000_960, SIZE - length / 2}) {
                        int expected = Math.min(length, SIZE - offset);
                        assertThat(file.read(seen.clear().limit(length), offset))
                                .isEqualTo(expected);
                        byte[] bytes = new byte[expected];
                        seen.flip().get(bytes);
                        assertThat(bytes).isEqualTo(Arrays.copyOfRange(model, offset, offset + expected));
                    }
                }
            }
        }
        assertThat(first.spliced.sum() > 0).isEqualTo(transport.equals("direct"));
        assertThat(firstFile.stats().errors()).isZero();
    }

    /** A reader must see what changed behind the mount: the kernel may keep no copy. */
    @ParameterizedTest
    @MethodSource("transports")
    void dataIsNeverStale(String transport) throws IOException {
        mount(transport);
        try (FileChannel channel = FileChannel.open(vm1(), READ);
                FileChannel behind = FileChannel.open(temp.resolve("first.img"), WRITE)) {
            for (byte value = 1; value < 20; value++) {
                behind.write(ByteBuffer.wrap(new byte[] {value}), 5000);
                var seen = ByteBuffer.allocate(1);
                channel.read(seen, 5000);
                assertThat(seen.get(0)).isEqualTo(value);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("transports")
    void directAndBufferedDescriptorsSeeEachOther(String transport) throws IOException {
        mount(transport);
        ByteBuffer aligned =
                ByteBuffer.allocateDirect(3 * 4096).alignedSlice(4096).limit(4096);
        try (NativeFile direct = NativeFile.open(vm1(), Libc.O_RDWR | O_DIRECT);
                FileChannel buffered = FileChannel.open(vm1(), READ, WRITE)) {
            direct.write(aligned.put(0, (byte) 42), 8192);
            var seen = ByteBuffer.allocate(1);
            buffered.read(seen, 8192);
            assertThat(seen.get(0)).isEqualTo((byte) 42);
            buffered.write(ByteBuffer.wrap(new byte[] {43}), 8192);
            direct.read(aligned.clear().limit(4096), 8192);
            assertThat(aligned.get(0)).isEqualTo((byte) 43);
        }
    }

    @ParameterizedTest
    @MethodSource("transports")
    void punchedAndZeroedRangesReadAsZerosAndGiveStorageBack(String transport) throws IOException {
        mount(transport);
        Files.write(vm1(), filled(SIZE), WRITE);
        assertThat(Libc.statx(vm1()).allocatedBytes())
                .isEqualTo(first.allocatedBytes())
                .isGreaterThanOrEqualTo(SIZE);

        assertThat(fallocate(Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, 0, SIZE / 2))
                .isZero();
        assertThat(Libc.statx(vm1()).allocatedBytes())
                .isEqualTo(first.allocatedBytes())
                .isLessThan(SIZE);
        assertThat(fallocate(Libc.FALLOC_FL_ZERO_RANGE | Libc.FALLOC_FL_KEEP_SIZE, SIZE - 10, 100))
                .isZero();

        byte[] expected = filled(SIZE);
        Arrays.fill(expected, 0, SIZE / 2, (byte) 0);
        Arrays.fill(expected, SIZE - 10, SIZE, (byte) 0);
        assertThat(Files.readAllBytes(vm1())).isEqualTo(expected);
        assertThat(firstFile.stats().discards()).isEqualTo(1);
        assertThat(firstFile.stats().zeroes()).isEqualTo(1);
    }

    @ParameterizedTest
    @MethodSource("transports")
    void theFileCannotGrowShrinkOrBeReplaced(String transport) throws IOException {
        mount(transport);
        assertThat(fallocate(0, 0, 4096)).isEqualTo(-Errno.EOPNOTSUPP);
        assertThat(fallocate(Libc.FALLOC_FL_ZERO_RANGE, SIZE, 4096)).isEqualTo(-Errno.EFBIG);
        String eperm = "Operation not permitted";
        try (FileChannel channel = FileChannel.open(vm1(), WRITE)) {
            assertThatThrownBy(() -> channel.truncate(0)).hasMessageContaining(eperm);
            assertThat(channel.write(ByteBuffer.allocate(100), SIZE - 30)).isEqualTo(30);
            assertThatThrownBy(() -> channel.write(ByteBuffer.allocate(100), SIZE))
                    .hasMessageContaining("File too large");
        }
        assertThat(run("truncate", "-s", "1M", vm1().toString()).exit).isNotZero();
        assertThat(run("truncate", "-s", String.valueOf(SIZE), vm1().toString()).exit)
                .isZero();
        assertThatThrownBy(() -> Files.write(vm1(), new byte[1])).hasMessageContaining(eperm); // O_TRUNC
        assertThatThrownBy(() -> Files.createFile(directory.resolve("new"))).hasMessageContaining(eperm);
        assertThatThrownBy(() -> Files.createDirectory(directory.resolve("new")))
                .hasMessageContaining(eperm);
        assertThatThrownBy(() -> Files.delete(vm1())).hasMessageContaining(eperm);
        assertThatThrownBy(() -> Files.move(vm1(), directory.resolve("new"))).hasMessageContaining(eperm);
        assertThat(Libc.statx(vm1()).sizeBytes()).isEqualTo(SIZE);
    }

    @ParameterizedTest
    @MethodSource("transports")
    void factsAreExtendedAttributes(String transport) throws IOException {
        Requirements.tools("getfattr");
        mount(transport);
        assertThat(run("getfattr", "--absolute-names", "--only-values", "-n", "user.ucow.base", vm1().toString()).said)
                .isEqualTo("/images/b\u00e4se");
        assertThat(run("getfattr", "--absolute-names", "-d", vm1().toString()).said)
                .contains("user.ucow.base=", "user.ucow.id=\"7\"");
        assertThat(run("getfattr", "-n", "user.ucow.none", vm1().toString()).exit)
                .isNotZero();
        assertThat(run(
                                "getfattr",
                                "--absolute-names",
                                "-d",
                                directory.resolve("vm2").toString())
                        .said)
                .isEmpty();
    }

    /** The loop driver asks the file, not the directory, and takes the answer for its discard granularity. */
    @ParameterizedTest
    @MethodSource("transports")
    void blockSizeOfTheFileSystemIsEachDevicesGranularity(String transport) throws IOException {
        mount(transport);
        assertThat(run("stat", "-f", "-c", "%s", vm1().toString()).said.strip()).isEqualTo("" + CHUNK);
        assertThat(run("stat", "-f", "-c", "%s", directory.resolve("vm2").toString())
                        .said
                        .strip())
                .isEqualTo("4096");
        assertThat(run("stat", "-f", "-c", "%s", directory.toString()).said.strip())
                .isEqualTo("4096");
    }

    @ParameterizedTest
    @MethodSource("transports")
    void busyUnmountIsRefusedAndChangesNothing(String transport) throws Exception {
        mount(transport);
        try (FileChannel channel = FileChannel.open(vm1(), READ, WRITE)) {
            assertThatThrownBy(() -> mount.unmount())
                    .isInstanceOf(MountBusyException.class)
                    .hasMessageContaining(directory.toString())
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EBUSY));
            assertThat(mount.isLive()).isTrue();
            assertThat(channel.write(ByteBuffer.allocate(10), 0)).isEqualTo(10);
            assertThat(Files.size(vm1())).isEqualTo(SIZE);
        }
        mount.unmount();
        assertThat(mount.isLive()).isFalse();
        mount.awaitUnmount();
        assertThat(first.closed).isFalse();
        assertThatCode(() -> mount.unmount()).doesNotThrowAnyException();
        mount(transport); // the directory is free again
    }

    @ParameterizedTest
    @MethodSource("transports")
    void unmountFromOutsideIsNoticed(String transport) throws Exception {
        mount(transport);
        var gone = CompletableFuture.runAsync(() -> {
            try {
                mount.awaitUnmount();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        assertThat(gone).isNotDone();
        assertThat(run("umount", directory.toString()).exit).isZero();
        gone.get(20, SECONDS);
        assertThat(mount.isLive()).isFalse();
        mount(transport);
        assertThat(run("fusermount", "-u", directory.toString()).exit).isZero();
        mount.awaitUnmount();
    }

    /** After a lazy unmount whoever still has a file open is served to the end. */
    @ParameterizedTest
    @MethodSource("transports")
    void lazyUnmountServesOpenFilesToTheEnd(String transport) throws Exception {
        mount(transport);
        try (FileChannel channel = FileChannel.open(vm1(), READ, WRITE)) {
            assertThat(run("umount", "-l", directory.toString()).exit).isZero();
            assertThat(channel.write(ByteBuffer.allocate(10), 0)).isEqualTo(10);
            assertThat(mount.isLive()).isTrue();
        }
        mount.awaitUnmount();
    }

    /** An administrator's last resort against a stuck daemon: the session ends, the directory stays mounted, dead. */
    @ParameterizedTest
    @MethodSource("transports")
    void anAbortedConnectionEndsTheSessionAndUnmountCleansUp(String transport) throws Exception {
        mount(transport);
        long minor = MountInfo.at(directory).orElseThrow().device() & 0xffffffffL;
        Path abort = Path.of("/sys/fs/fuse/connections", String.valueOf(minor), "abort");
        assumeTrue(Files.isWritable(abort), abort + " is not there or not ours to write");
        Files.writeString(abort, "1");
        mount.awaitUnmount();
        assertThat(Mounts.isDead(directory)).isTrue();
        mount.unmount();
        assertThat(MountInfo.at(directory)).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("transports")
    void requestsInFlightAreAnsweredBeforeTheMountIsGone(String transport) throws Exception {
        mount(transport);
        FileChannel opened = FileChannel.open(vm1(), WRITE);
        var writer = CompletableFuture.runAsync(() -> {
            try (FileChannel channel = opened) {
                for (int i = 0; i < 2000; i++) {
                    channel.write(ByteBuffer.wrap(filled(4096)), (i * 4096L) % SIZE);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        int refused = 0;
        while (mount.isLive()) {
            try {
                mount.unmount();
            } catch (MountBusyException e) {
                refused++;
            }
        }
        writer.get(30, SECONDS);
        assertThat(refused).isPositive();
        assertThat(firstFile.stats().writes()).isEqualTo(2000);
        assertThat(firstFile.stats().errors()).isZero();
    }

    @ParameterizedTest
    @MethodSource("transports")
    void aFailingMountSaysWhyAndLeavesNothing(String transport) throws IOException {
        Files.createFile(directory.resolve("not empty"));
        assertThatThrownBy(() -> mount(transport))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("not empty");
        Files.delete(directory.resolve("not empty"));
        assertThat(MountInfo.at(directory.toRealPath())).isEmpty();
        Path missing = directory.resolve("missing");
        assertThatThrownBy(() -> Transport.named(transport)
                        .mount(missing, List.of(new ImageFile("a", first, Map.of())), MountOptions.of(CacheMode.NONE)))
                .isInstanceOf(NoSuchFileException.class);
    }

    @ParameterizedTest
    @MethodSource("transports")
    void aKilledDaemonLeavesADeadMountThatIsRecognisedAndCleaned(String transport) throws Exception {
        Process daemon = startDaemon(transport);
        try {
            assertThat(new String(daemon.getInputStream().readNBytes(8), UTF_8)).isEqualTo("mounted\n");
            assertThat(Mounts.isDead(directory)).isFalse();
            assertThat(Mounts.cleanDead(directory)).isFalse();
            assertThat(Mounts.list()).extracting(MountInfo::directory).contains(directory.toRealPath());
        } finally {
            daemon.destroyForcibly().waitFor(20, SECONDS);
        }
        assertThat(Mounts.isDead(directory)).isTrue();
        assertThat(Mounts.list()).extracting(MountInfo::directory).contains(directory);
        assertThatThrownBy(() -> mount(transport)).hasMessageContaining("died");
        assertThat(Mounts.cleanDead(directory)).isTrue();
        assertThat(Mounts.isDead(directory)).isFalse();
        assertThat(Mounts.list()).extracting(MountInfo::directory).doesNotContain(directory);
        mount(transport);
    }

    /** Another process's mount is unmounted by its directory alone, and that process notices. */
    @ParameterizedTest
    @MethodSource("transports")
    void anotherProcessesMountIsUnmountedByDirectory(String transport) throws Exception {
        Process daemon = startDaemon(transport);
        try {
            assertThat(new String(daemon.getInputStream().readNBytes(8), UTF_8)).isEqualTo("mounted\n");
            Mounts.unmount(directory);
            assertThat(daemon.waitFor(20, SECONDS)).isTrue();
            assertThat(daemon.exitValue()).isZero();
        } finally {
            daemon.destroyForcibly().waitFor(20, SECONDS);
        }
        assertThatThrownBy(() -> Mounts.unmount(directory)).hasMessageContaining("not a ucow mount");
    }

    private Process startDaemon(String transport) throws IOException {
        var command = new ArrayList<String>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:+IgnoreUnrecognizedVMOptions", "--enable-native-access=ALL-UNNAMED"));
        command.addAll(List.of("--sun-misc-unsafe-memory-access=allow", "-cp", classPath()));
        command.addAll(List.of(Daemon.class.getName(), transport, directory.toString()));
        command.add(temp.resolve("daemon.img").toString());
        return new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    private static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    /** A process with one mount, which it announces on its output; exits when that is gone. */
    static final class Daemon {
        private Daemon() {}

        public static void main(String[] args) throws Exception {
            try (var device = new FileDevice(Path.of(args[2]), SIZE, CHUNK)) {
                var file = new ImageFile("vm1", device, Map.of());
                Mount mount = Transport.named(args[0])
                        .mount(Path.of(args[1]), List.of(file), MountOptions.of(CacheMode.NONE));
                System.out.println("mounted");
                mount.awaitUnmount();
            }
        }
    }

    private int fallocate(int mode, long offset, long length) throws IOException {
        try (NativeFile file = NativeFile.open(vm1(), Libc.O_RDWR)) {
            return Libc.fallocate(file.fd(), mode, offset, length);
        }
    }

    private static byte[] filled(int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) 7);
        return bytes;
    }

    private record Outcome(int exit, String said) {}

    private static Outcome run(String... command) throws IOException {
        Process process =
                new ProcessBuilder(command).redirectError(new File("/dev/null")).start();
        String said = new String(process.getInputStream().readAllBytes(), UTF_8);
        try {
            assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        return new Outcome(process.exitValue(), said);
    }
}
