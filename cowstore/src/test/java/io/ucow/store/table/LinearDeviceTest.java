package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ucow.store.CacheMode;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreInUseException;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class LinearDeviceTest {
    private static final int SIZE = 300_000;

    @TempDir
    Path directory;

    private final byte[] content = new byte[SIZE];
    private Path path;

    @BeforeEach
    void makeFile() throws IOException {
        new Random(5).nextBytes(content);
        path = Files.write(directory.resolve("disk"), content);
    }

    @ParameterizedTest
    @EnumSource(CacheMode.class)
    void readsAndWritesInPlace(CacheMode cache) throws IOException {
        try (LinearDevice device = LinearDevice.open(path, new OpenOptions(false, cache, false))) {
            assertThat(device.sizeBytes()).isEqualTo(SIZE);
            assertThat(device.allocatedBytes()).isGreaterThanOrEqualTo(SIZE);
            device.write(
                    1001, ByteBuffer.allocateDirect(3).put(new byte[] {1, 2, 3}).flip());
            ByteBuffer read = ByteBuffer.allocateDirect(5);
            device.read(1000, read);
            assertThat(read.flip()).isEqualTo(ByteBuffer.wrap(new byte[] {content[1000], 1, 2, 3, content[1004]}));
            device.flush();
        }
        assertThat(Files.readAllBytes(path)[1002]).isEqualTo((byte) 2);
    }

    @ParameterizedTest
    @CsvSource({"0, 300000", "4096, 8192", "1, 299999", "5000, 100", "4095, 2", "100, 4096", "8191, 200001", "7, 0"})
    void discardZeroesExactlyItsRange(int offset, int length) throws IOException {
        try (LinearDevice device = LinearDevice.open(path, OpenOptions.of(false))) {
            device.discard(offset, length);
        }
        assertZeroed(offset, length);
    }

    @ParameterizedTest
    @ValueSource(ints = {Errno.EOPNOTSUPP, Errno.EINVAL})
    void discardOverwritesWhereHolesCannotBePunched(int errno) throws IOException {
        try (LinearDevice device = new LinearDevice(failing("punchHole", errno), false, true)) {
            device.writeZeroes(10, 250_000);
        }
        assertZeroed(10, 250_000);
    }

    @Test
    void otherFailuresOfPunchingAreNotHidden() throws IOException {
        try (LinearDevice device = new LinearDevice(failing("punchHole", Errno.ENOSPC), false, true)) {
            assertThatThrownBy(() -> device.discard(0, SIZE))
                    .satisfies(t -> assertThat(Errno.of(t)).isEqualTo(Errno.ENOSPC));
        }
    }

    @Test
    void discardGivesStorageBack() throws IOException {
        try (LinearDevice device = LinearDevice.open(path, OpenOptions.of(false))) {
            long before = device.allocatedBytes();
            device.discard(0, SIZE);
            assertThat(device.allocatedBytes()).isLessThan(before / 2);
        }
    }

    @Test
    void nothingIsDurableAfterAFailedSync() throws IOException {
        LinearDevice device = new LinearDevice(failing("sync", Errno.EIO), false, true);
        assertThatThrownBy(device::flush).isInstanceOf(NativeException.class);
        assertThatThrownBy(device::flush).hasMessageContaining("after a failed flush");
        assertThatThrownBy(() -> device.write(0, ByteBuffer.allocateDirect(1)))
                .hasMessageContaining("after a failed flush");
        device.close();
    }

    @Test
    void readOnlyRefusesChanges() throws IOException {
        try (LinearDevice device = LinearDevice.open(path, OpenOptions.of(true));
                LinearDevice other = LinearDevice.open(path, OpenOptions.of(true))) {
            assertThat(other.isReadOnly()).isTrue();
            assertThatThrownBy(() -> device.write(0, ByteBuffer.allocateDirect(1)))
                    .satisfies(t -> assertThat(Errno.of(t)).isEqualTo(Errno.EROFS));
            device.flush();
        }
    }

    @Test
    void hasOneWriter() throws IOException {
        LinearDevice device = LinearDevice.open(path, OpenOptions.of(false));
        assertThatThrownBy(() -> LinearDevice.open(path, OpenOptions.of(true)))
                .isInstanceOf(StoreInUseException.class)
                .hasMessage(path + " is in use by another device or process; detach that one first");
        device.close();
        device.close();
        LinearDevice.open(path, OpenOptions.of(false)).close();
    }

    @Test
    void holesAreThoseOfTheFile() throws IOException {
        try (LinearDevice device = LinearDevice.open(path, OpenOptions.of(false))) {
            assertThat(device.seekHole(0)).isEqualTo(SIZE);
            device.discard(8192, SIZE - 8192);
            assumeThat(device.seekHole(0)).as("the file system keeps holes").isEqualTo(8192);
            // The last bytes are no whole page, so they are overwritten.
            assertThat(device.seekData(8192)).isEqualTo(SIZE & -4096);
            assertThatThrownBy(() -> device.seekData(SIZE)).isInstanceOf(IndexOutOfBoundsException.class);
            assertThatThrownBy(() -> device.seekHole(SIZE)).isInstanceOf(IndexOutOfBoundsException.class);
        }
    }

    @Test
    void fileThatShrankIsAnError() throws IOException {
        try (LinearDevice device = LinearDevice.open(path, OpenOptions.of(false))) {
            Files.write(path, new byte[100]);
            assertThatThrownBy(() -> device.read(90, ByteBuffer.allocateDirect(20)))
                    .hasMessage(path + " ends at 100, but had 300000 bytes when it was opened");
            assertThatThrownBy(() -> device.seekData(200))
                    .hasMessage(path + " ends at 100, but had 300000 bytes when it was opened");
        }
    }

    @Test
    void onlyFilesAndBlockDevicesAreOpened() {
        assertThatThrownBy(() -> LinearDevice.open(Path.of("/dev/null"), OpenOptions.of(false)))
                .isInstanceOf(TableMismatchException.class)
                .hasMessage("/dev/null is neither a regular file nor a block device; name one in the linear target");
    }

    private void assertZeroed(int offset, int length) throws IOException {
        Arrays.fill(content, offset, offset + length, (byte) 0);
        assertThat(Files.readAllBytes(path)).isEqualTo(content);
    }

    /** The file, except that one method fails. */
    private PositionalFile failing(String method, int errno) throws IOException {
        NativeFile file = NativeFile.open(path, Libc.O_RDWR);
        return (PositionalFile) Proxy.newProxyInstance(
                getClass().getClassLoader(), new Class<?>[] {PositionalFile.class}, (proxy, called, arguments) -> {
                    if (called.getName().equals(method)) {
                        throw new NativeException(method, errno);
                    }
                    try {
                        return called.invoke(file, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }
}
