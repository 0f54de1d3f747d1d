package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.loop.LoopOptions;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Loop devices over plain files, with the kernel's and util-linux's word for what they are. */
class LoopDeviceIT {
    private static final int MIB = 1 << 20;
    private static final Duration AT_ONCE = Duration.ZERO;

    @TempDir
    private Path directory;

    private final List<LoopDevice> attached = new ArrayList<>();

    @BeforeAll
    static void needsLoopDevices() {
        Requirements.loop();
        Requirements.tools("losetup", "blockdev", "mount", "umount");
    }

    /** The kernel reports paths without symbolic links. */
    @BeforeEach
    void resolveDirectory() throws IOException {
        directory = directory.toRealPath();
    }

    @AfterEach
    void detachWhatIsLeft() throws IOException {
        for (LoopDevice device : attached) {
            device.close();
            if (isAttached(device)) {
                device.detach();
            }
        }
    }

    @Test
    void fileBecomesADiskWithItsSizeAndContent() throws Exception {
        Path file = randomFile("disk", 3 * MIB);

        LoopDevice device = attach(file, LoopOptions.defaults());

        assertThat(device.path()).isEqualTo(Path.of("/dev/loop" + device.number()));
        assertThat(device.backingFile()).isEqualTo(file);
        assertThat(device.backingDeleted()).isFalse();
        assertThat(device.sizeBytes()).isEqualTo(3 * MIB);
        assertThat(device.options()).isEqualTo(LoopOptions.defaults().withSectorBytes(512));
        assertThat(losetup(device, "BACK-FILE,DIO,RO,PARTSCAN,AUTOCLEAR,LOG-SEC"))
                .isEqualTo(file + " 1 0 0 0 512");
        Tool.of("cmp", file, device.path()).succeed();
    }

    @Test
    void writesReachTheFile() throws Exception {
        Path file = randomFile("disk", MIB);
        LoopDevice device = attach(file, LoopOptions.defaults());

        byte[] block = writeBlock(device, 8192);
        device.detach();

        assertThat(readBlock(file, 8192)).isEqualTo(block);
    }

    @Test
    void readOnlyDeviceRefusesWrites() throws Exception {
        Path file = randomFile("disk", MIB);
        Path copy = Files.copy(file, directory.resolve("copy"));
        assertThat(file.toFile().setReadOnly()).isTrue();
        LoopDevice device = attach(file, LoopOptions.defaults().withReadOnly(true));

        assertThat(device.options().readOnly()).isTrue();
        assertThat(Tool.of("blockdev", "--getro", device.path()).succeed().line())
                .isEqualTo("1");
        assertThat(errnoOf(() -> writeBlock(device, 0))).isIn(Errno.EPERM, Errno.EACCES, Errno.EROFS);
        Tool.of("cmp", copy, file).succeed();
    }

    @Test
    void bufferedDeviceSaysSo() throws Exception {
        LoopDevice device =
                attach(randomFile("disk", MIB), LoopOptions.defaults().withDirectIo(false));

        assertThat(device.options().directIo()).isFalse();
        assertThat(losetup(device, "DIO")).isEqualTo("0");
    }

    @Test
    void sectorSizeIsWhatWasAskedFor() throws Exception {
        LoopDevice device =
                attach(randomFile("disk", MIB), LoopOptions.defaults().withSectorBytes(4096));

        assertThat(device.options().sectorBytes()).isEqualTo(4096);
        assertThat(Tool.of("blockdev", "--getss", device.path()).succeed().line())
                .isEqualTo("4096");
    }

    /** A file system with sectors of 4096 bytes cannot read 512 of them directly. */
    @Test
    void directIoThatTheKernelDroppedIsReportedAsOff() throws Exception {
        Requirements.tools("mkfs.ext4");
        Requirements.fileSystem("ext4");
        LoopDevice outer =
                attach(randomFile("disk", 16 * MIB), LoopOptions.defaults().withSectorBytes(4096));
        Tool.of("mkfs.ext4", "-q", outer.path()).succeed();
        try (TempMount mount = TempMount.of(outer.path())) {
            Path inner = zeroFile(mount.root().resolve("inner"), MIB);

            LoopDevice small = attach(inner, LoopOptions.defaults().withSectorBytes(512));
            assertThat(small.options().directIo()).isFalse();
            assertThat(losetup(small, "DIO")).isEqualTo("0");
            small.detach();

            LoopDevice large = attach(inner, LoopOptions.defaults().withSectorBytes(4096));
            assertThat(large.options().directIo()).isTrue();
            large.detach();
        }
    }

    @Test
    void partitionsAppearAndGo() throws Exception {
        Requirements.tools("sfdisk");
        Requirements.partitionTables();
        Path file = zeroFile(directory.resolve("disk"), 16 * MIB);
        Tool.of("sfdisk", "--quiet", file)
                .reading("label: gpt\nstart=2048, size=4096\nstart=8192, size=8192\n")
                .succeed();

        LoopDevice device = attach(file, LoopOptions.defaults().withPartitionScan(true));

        Path second = Path.of(device.path() + "p2");
        assertThat(device.options().partitionScan()).isTrue();
        assertThat(Path.of(device.path() + "p1")).exists();
        assertThat(Tool.of("blockdev", "--getsize64", second).succeed().line()).isEqualTo("" + 8192 * 512);
        device.detach();
        assertThat(second).doesNotExist();
    }

    @Test
    void partitionScanIsInForceOnlyWhereAskedFor() throws Exception {
        LoopDevice with = attach(randomFile("a", MIB), LoopOptions.defaults().withPartitionScan(true));
        LoopDevice without = attach(randomFile("b", MIB), LoopOptions.defaults());

        assertThat(with.options().partitionScan()).isTrue();
        assertThat(losetup(with, "PARTSCAN")).isEqualTo("1");
        assertThat(without.options().partitionScan()).isFalse();
    }

    @Test
    void detachFreesTheDeviceAndTheFile() throws Exception {
        Path file = randomFile("disk", MIB);
        LoopDevice device = attach(file, LoopOptions.defaults());

        device.detach();

        assertThat(LoopControl.find(file)).isEmpty();
        assertThat(isAttached(device)).isFalse();
        assertThat(errnoOf(device::detach)).isEqualTo(Errno.ENXIO);
        assertThat(errnoOf(device::sizeBytes)).isEqualTo(Errno.ENXIO);
        assertThat(errnoOf(device::refreshCapacity)).isEqualTo(Errno.ENXIO);
    }

    @Test
    void mountedDeviceIsRefusedAndStays() throws Exception {
        Requirements.tools("mkfs.ext4");
        Requirements.fileSystem("ext4");
        LoopDevice device = attach(randomFile("disk", 16 * MIB), LoopOptions.defaults());
        Tool.of("mkfs.ext4", "-q", device.path()).succeed();
        try (TempMount mount = TempMount.of(device.path())) {
            assertThatThrownBy(device::detach)
                    .isInstanceOf(LoopBusyException.class)
                    .hasMessageContaining(device + " is in use: mounted on " + mount.root())
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EBUSY));

            assertThat(losetup(device, "AUTOCLEAR")).isEqualTo("0");
            Files.writeString(mount.root().resolve("file"), "still writable");
            mount.unmount();
        }
        assertThat(isAttached(device)).isTrue();
        device.detach();
        assertThat(isAttached(device)).isFalse();
    }

    /** The partition is made by hand, so that this needs no kernel that reads partition tables. */
    @Test
    void deviceWithAMountedPartitionIsRefused() throws Exception {
        Requirements.tools("addpart", "mkfs.ext4");
        Requirements.fileSystem("ext4");
        LoopDevice device = attach(
                zeroFile(directory.resolve("disk"), 16 * MIB),
                LoopOptions.defaults().withPartitionScan(true));
        Tool.of("addpart", device.path(), 1, 2048, 16384).succeed();
        Path partition = Path.of(device.path() + "p1");
        Tool.of("mkfs.ext4", "-q", partition).succeed();
        try (TempMount mount = TempMount.of(partition)) {
            assertThatThrownBy(device::detach)
                    .isInstanceOf(LoopBusyException.class)
                    .hasMessageContaining("mounted on " + mount.root());
        }

        device.detach();

        assertThat(partition).doesNotExist();
    }

    @Test
    void openDeviceIsRefusedAfterTheWaitAndStays() throws Exception {
        LoopDevice device = attach(randomFile("disk", MIB), LoopOptions.defaults());
        try (NativeFile user = NativeFile.open(device.path(), Libc.O_RDONLY)) {
            assertThatThrownBy(() -> device.detach(AT_ONCE))
                    .isInstanceOf(LoopBusyException.class)
                    .hasMessageContaining("open in ")
                    .hasMessageContaining("(pid " + ProcessHandle.current().pid() + ")");
            assertThat(user.size()).isEqualTo(MIB);
        }
        assertThat(isAttached(device)).isTrue();
        assertThat(losetup(device, "AUTOCLEAR")).isEqualTo("0");
        device.detach();
        assertThat(isAttached(device)).isFalse();
    }

    /** The writer closes while detach waits, without having synced: the data must not be lost with the device. */
    @Test
    void detachWaitsForAnOpenDeviceAndKeepsWhatWasWrittenToIt() throws Exception {
        Path file = randomFile("disk", MIB);
        LoopDevice device = attach(file, LoopOptions.defaults());
        byte[] block = new byte[4096];
        new Random(1).nextBytes(block);

        CompletableFuture<Void> detached;
        try (NativeFile writer = NativeFile.open(device.path(), Libc.O_RDWR)) {
            detached = CompletableFuture.runAsync(() -> detachUnchecked(device));
            awaitMarkedAutoclear(device);
            writer.write(direct(block), 40960);
            assertThat(detached).isNotDone();
        }
        detached.join();

        assertThat(isAttached(device)).isFalse();
        assertThat(readBlock(file, 40960)).isEqualTo(block);
    }

    /** A child has copies of our descriptors from its fork to its exec, and udev opens what has changed. */
    @Test
    void childrenAndPassingOpenersDoNotKeepTheDevice() throws Exception {
        Path file = randomFile("disk", MIB);
        AtomicBoolean done = new AtomicBoolean();
        AtomicReference<Path> passed = new AtomicReference<>(Path.of("/dev/null"));
        CompletableFuture<Void> children =
                repeatUntil(done, () -> Tool.of("true").succeed());
        CompletableFuture<Void> openers = repeatUntil(done, () -> openBriefly(passed.get()));
        try {
            for (int i = 0; i < 50; i++) {
                LoopDevice device = attach(file, LoopOptions.defaults());
                passed.set(device.path());
                device.detach();
                assertThat(isAttached(device)).isFalse();
            }
        } finally {
            done.set(true);
            CompletableFuture.allOf(children, openers).join();
        }
    }

    @Test
    void handleOfAnEarlierAttachmentDoesNotDetachALaterOne() throws Exception {
        Path file = randomFile("disk", MIB);
        LoopDevice earlier = attach(file, LoopOptions.defaults());
        earlier.detach();
        LoopDevice later = attach(file, LoopOptions.defaults());

        assertThat(errnoOf(earlier::detach)).isEqualTo(Errno.ENXIO);
        assertThat(later.diskSequence()).isGreaterThan(earlier.diskSequence());
        assertThat(isAttached(later)).isTrue();
    }

    @Test
    void listAndFindSeeTheSameDevices() throws Exception {
        Path first = randomFile("first file", MIB);
        Path second = randomFile("second", MIB);
        LoopDevice a = attach(first, LoopOptions.defaults());
        LoopDevice b = attach(first, LoopOptions.defaults().withReadOnly(true));
        LoopDevice c = attach(second, LoopOptions.defaults());
        Path link = Files.createSymbolicLink(directory.resolve("link"), directory);

        assertThat(paths(LoopControl.list())).contains(a.path(), b.path(), c.path());
        assertThat(paths(LoopControl.find(first))).containsExactlyInAnyOrder(a.path(), b.path());
        assertThat(paths(LoopControl.find(link.resolve("second")))).containsExactly(c.path());
        assertThat(LoopControl.find(directory.resolve("third"))).isEmpty();
        LoopDevice again = LoopControl.get(b.number()).orElseThrow();
        assertThat(again.options()).isEqualTo(b.options());
        assertThat(again.diskSequence()).isEqualTo(b.diskSequence()).isNotEqualTo(a.diskSequence());
    }

    @Test
    void deletedFileIsStillFoundAndDetached() throws Exception {
        Path file = randomFile("disk", MIB);
        attach(file, LoopOptions.defaults());
        Files.delete(file);

        LoopDevice found = LoopControl.find(file).get(0);

        assertThat(found.backingFile()).isEqualTo(file);
        assertThat(found.backingDeleted()).isTrue();
        found.detach();
        assertThat(LoopControl.find(file)).isEmpty();
    }

    @Test
    void capacityFollowsTheFileWhenAsked() throws Exception {
        Path file = randomFile("disk", MIB);
        LoopDevice device = attach(file, LoopOptions.defaults());
        zeroFile(file, 5 * MIB);
        assertThat(device.sizeBytes()).isEqualTo(MIB);

        assertThat(device.refreshCapacity()).isEqualTo(5 * MIB);

        assertThat(device.sizeBytes()).isEqualTo(5 * MIB);
        assertThat(Tool.of("blockdev", "--getsize64", device.path()).succeed().line())
                .isEqualTo("" + 5 * MIB);
    }

    @Test
    void autoclearDeviceLivesUntilItIsClosed() throws Exception {
        LoopDevice device =
                attach(randomFile("disk", MIB), LoopOptions.defaults().withAutoclear(true));
        assertThat(device.options().autoclear()).isTrue();
        assertThat(device.sizeBytes()).isEqualTo(MIB);

        device.close();

        assertThat(isAttached(device)).isFalse();
    }

    @Test
    void refusedDetachLeavesAnAutoclearDeviceAsItWas() throws Exception {
        LoopDevice device =
                attach(randomFile("disk", MIB), LoopOptions.defaults().withAutoclear(true));
        try (NativeFile user = NativeFile.open(device.path(), Libc.O_RDONLY)) {
            assertThatThrownBy(() -> device.detach(AT_ONCE)).isInstanceOf(LoopBusyException.class);
            assertThat(user.size()).isEqualTo(MIB);
        }

        assertThat(isAttached(device)).isTrue();
        device.detach();
        assertThat(isAttached(device)).isFalse();
    }

    @Test
    void concurrentAttachesGetDifferentDevices() throws Exception {
        int threads = 3;
        int rounds = 20;
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<Future<Void>> results = new ArrayList<>();
            for (int i = 0; i < threads; i++) {
                Path file = randomFile("disk" + i, MIB);
                results.add(pool.submit(() -> {
                    for (int round = 0; round < rounds; round++) {
                        LoopDevice device = LoopControl.attach(file, LoopOptions.defaults());
                        try {
                            assertThat(LoopControl.get(device.number())
                                            .orElseThrow()
                                            .backingFile())
                                    .isEqualTo(file);
                        } finally {
                            device.detach();
                        }
                    }
                    return null;
                }));
            }
            for (Future<Void> result : results) {
                result.get();
            }
        } finally {
            pool.shutdownNow();
        }
    }

    @Test
    void whatCannotBeAttachedIsNamed() {
        Path missing = directory.resolve("missing");

        assertThatThrownBy(() -> attach(missing, LoopOptions.defaults()))
                .isInstanceOf(NativeException.class)
                .hasMessageContaining(missing.toString())
                .hasMessageContaining("ENOENT");
        assertThatThrownBy(() -> attach(directory, LoopOptions.defaults().withReadOnly(true)))
                .hasMessageContaining(directory + ", neither a regular file nor a block device");
    }

    private LoopDevice attach(Path file, LoopOptions options) throws IOException {
        LoopDevice device = LoopControl.attach(file, options);
        attached.add(0, device);
        return device;
    }

    private static boolean isAttached(LoopDevice device) throws IOException {
        try {
            return device.sizeBytes() >= 0;
        } catch (NativeException e) {
            assertThat(e.errno()).isEqualTo(Errno.ENXIO);
            return false;
        }
    }

    private interface Action {
        void run() throws Exception;
    }

    private static CompletableFuture<Void> repeatUntil(AtomicBoolean done, Action action) {
        return CompletableFuture.runAsync(() -> {
            try {
                while (!done.get()) {
                    action.run();
                }
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        });
    }

    private static void openBriefly(Path node) throws IOException {
        try {
            NativeFile.open(node, Libc.O_RDONLY).close();
        } catch (NativeException e) {
            assertThat(e.errno()).as("of a device being torn down").isEqualTo(Errno.ENXIO);
        }
    }

    private static void detachUnchecked(LoopDevice device) {
        try {
            device.detach();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static void awaitMarkedAutoclear(LoopDevice device) throws IOException {
        while (!LoopControl.get(device.number()).orElseThrow().options().autoclear()) {
            Thread.onSpinWait();
        }
    }

    private static List<Path> paths(List<LoopDevice> devices) {
        return devices.stream().map(LoopDevice::path).toList();
    }

    private static String losetup(LoopDevice device, String columns) throws Exception {
        return Tool.of("losetup", "--list", "--noheadings", "--raw", "--output", columns, device.path())
                .succeed()
                .line();
    }

    private Path randomFile(String name, int bytes) throws IOException {
        byte[] content = new byte[bytes];
        new Random(bytes).nextBytes(content);
        return Files.write(directory.resolve(name), content);
    }

    private static Path zeroFile(Path file, long bytes) throws IOException {
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.setLength(bytes);
        }
        return file;
    }

    /** Writes 4096 random bytes through the device and syncs them. */
    private static byte[] writeBlock(LoopDevice device, long offset) throws IOException {
        byte[] block = new byte[4096];
        new Random(offset).nextBytes(block);
        try (NativeFile disk = NativeFile.open(device.path(), Libc.O_RDWR)) {
            disk.write(direct(block), offset);
            disk.sync();
        }
        return block;
    }

    private static byte[] readBlock(Path file, long offset) throws IOException {
        try (RandomAccessFile content = new RandomAccessFile(file.toFile(), "r")) {
            byte[] block = new byte[4096];
            content.seek(offset);
            content.readFully(block);
            return block;
        }
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    private static int errnoOf(ThrowingCallable call) {
        return catchThrowableOfType(NativeException.class, call).errno();
    }
}
