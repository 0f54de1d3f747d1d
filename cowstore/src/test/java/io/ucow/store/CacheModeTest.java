package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PageCache;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Devices on real files in every cache mode: the same bytes, and in mode none nothing of them in the page cache. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CacheModeTest {
    @TempDir
    Path directory;

    /** Random requests, aligned and not, against a byte array; at every reopening another mode. */
    @ParameterizedTest
    @CsvSource({"12,1", "12,2", "15,3", "16,4", "20,5"})
    void deviceEqualsModel(int chunkShift, long seed) throws IOException {
        requireDirectIo();
        Random random = new Random(seed);
        int chunk = 1 << chunkShift;
        int size = chunk * 6 + 1 + random.nextInt(chunk);
        byte[] content = new byte[seed % 2 == 0 ? size / 2 + 77 : size + 1001];
        random.nextBytes(content);
        Path base = Files.write(directory.resolve("base.img"), content);
        Path image = create(base, size, chunk);
        byte[] model = Arrays.copyOf(Arrays.copyOf(content, Math.min(content.length, size)), size);
        ByteBuffer memory = BufferPool.allocate(size + 4096);
        CowDevice device = Images.open(image, new OpenOptions(false, CacheMode.NONE, false));
        for (int i = 0; i < 300; i++) {
            int grain = new int[] {1, 512, 4096}[random.nextInt(3)];
            int offset = random.nextInt(size) / grain * grain;
            int most = random.nextBoolean() ? Math.min(size - offset, 5000) : size - offset;
            int length = random.nextInt(most + 1) / grain * grain;
            int skew = random.nextBoolean() ? 0 : random.nextInt(4096);
            memory.clear().position(skew).limit(skew + length);
            switch (random.nextInt(10)) {
                case 0, 1, 2, 3 -> {
                    byte[] data = new byte[length];
                    random.nextBytes(data);
                    memory.duplicate().put(data);
                    device.write(offset, memory);
                    System.arraycopy(data, 0, model, offset, length);
                }
                case 4 -> {
                    device.discard(offset, length);
                    Arrays.fill(model, offset, offset + length, (byte) 0);
                }
                case 5 -> device.flush();
                case 6 -> {
                    if (random.nextInt(4) == 0) {
                        device.close();
                        CacheMode mode = random.nextInt(3) > 0 ? CacheMode.NONE : CacheMode.WRITEBACK;
                        device = Images.open(image, new OpenOptions(false, mode, false));
                    }
                }
                default -> {
                    device.read(offset, memory);
                    assertThat(memory.flip().position(skew).slice())
                            .as("operation %d at %d+%d", i, offset, length)
                            .isEqualTo(ByteBuffer.wrap(model, offset, length));
                }
            }
        }
        device.close();
        for (CacheMode mode : CacheMode.values()) {
            try (CowDevice reader = Images.open(image, new OpenOptions(true, mode, false))) {
                assertThat(TestDevices.read(reader, 0, size)).isEqualTo(model);
            }
        }
        assertThat(Images.check(image).isSound()).isTrue();
    }

    @Test
    void modeNoneLeavesThePageCacheAlone() throws Exception {
        requireDirectIo();
        assumeThat(Files.getFileStore(directory).type())
                .as("a file system whose direct I/O is always direct")
                .isIn("ext4", "xfs");
        int size = 32 << 20;
        byte[] content = new byte[size];
        new Random(1).nextBytes(content);
        Path base = Files.write(directory.resolve("base.img"), content);
        Path image = create(base, size, 32 << 10);
        for (CacheMode mode : new CacheMode[] {CacheMode.NONE, CacheMode.WRITEBACK}) {
            PageCache.drop(base);
            PageCache.drop(image);
            ByteBuffer memory = BufferPool.allocate(1 << 20);
            try (CowDevice device = Images.open(image, new OpenOptions(false, mode, false))) {
                for (int offset = 0; offset < size; offset += memory.capacity()) {
                    device.read(offset, memory.clear());
                }
                // First writes that copy, first writes that do not, and writes in place.
                for (int offset = 0; offset < size / 2; offset += memory.capacity()) {
                    device.write(offset, memory.clear());
                    device.write(offset + (size / 2), memory.clear().limit(4096));
                    device.write(offset, memory.clear());
                }
                device.flush();
                if (mode == CacheMode.NONE) {
                    // The samples that identify the base; journal records.
                    assertThat(PageCache.residentBytes(base)).isLessThan(1 << 20);
                    assertThat(PageCache.residentBytes(image)).isLessThan(1 << 18);
                } else {
                    assertThat(PageCache.residentBytes(base)).isGreaterThan(8 << 20);
                    assertThat(PageCache.residentBytes(image)).isGreaterThan(8 << 20);
                }
            }
        }
    }

    @Test
    void fileSystemWithoutDirectIoIsNamedTogetherWithTheWayOut() throws IOException {
        Path version = Path.of("/proc/version");
        NativeFile file = NativeFile.open(version, Libc.O_RDONLY);
        assertThatThrownBy(() -> CacheMode.NONE.accessTo(file, true))
                .isInstanceOf(DirectIoUnavailableException.class)
                .hasMessage("/proc/version: its file system has no direct I/O; use --cache writeback");
        assertThatThrownBy(() -> file.read(ByteBuffer.allocateDirect(1), 0))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EBADF));
        try (NativeFile again = NativeFile.open(version, Libc.O_RDONLY)) {
            assertThat(CacheMode.WRITEBACK.accessTo(again, true)).isSameAs(again);
            assertThat(CacheMode.WRITETHROUGH.accessTo(again, true)).isSameAs(again);
        }
    }

    private Path create(Path base, long size, int chunk) throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.of(size), chunk, "ucow"));
        return image;
    }

    private void requireDirectIo() throws IOException {
        Path probe = Files.write(directory.resolve("probe"), new byte[4096]);
        try {
            CacheMode.NONE.accessTo(NativeFile.open(probe, Libc.O_RDONLY), true).close();
        } catch (DirectIoUnavailableException e) {
            assumeThat(true).as(e.getMessage()).isFalse();
        }
    }
}
