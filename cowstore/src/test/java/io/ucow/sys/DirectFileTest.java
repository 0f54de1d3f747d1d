package io.ucow.sys;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DirectFileTest {
    private static final int SECTOR = 512;
    private static final int PAGE = 4096;

    @TempDir
    Path directory;

    private Path path;

    @BeforeEach
    void needDirectIo() throws IOException {
        path = directory.resolve("file");
        NativeFile file = NativeFile.create(path, 0600);
        try {
            DirectFile.over(file, Libc.O_RDWR).close();
        } catch (NativeException e) {
            file.close();
            assumeThat(e.errno())
                    .as("the file system of %s has no O_DIRECT", path)
                    .isNotEqualTo(Errno.EINVAL);
            throw e;
        }
    }

    /** Every mixture of offset, length and memory, aligned and not, against an array. */
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void behavesAsAnyFile(long seed) throws IOException {
        Random random = new Random(seed);
        int size = (5 << 20) + (int) seed * 700;
        byte[] model = new byte[size];
        ByteBuffer memory = BufferPool.allocate(size + 2 * PAGE);
        try (DirectFile file = open()) {
            file.truncate(size);
            for (int i = 0; i < 200; i++) {
                int grain = new int[] {1, SECTOR, PAGE}[random.nextInt(3)];
                int most = random.nextInt(8) == 0 ? size : 20_000;
                int offset = random.nextInt(size) / grain * grain;
                int length = Math.min(size - offset, random.nextInt(most)) / grain * grain;
                int position = new int[] {0, 0, SECTOR, 4, 1 + random.nextInt(PAGE)}[random.nextInt(5)];
                memory.clear().position(position).limit(position + length);
                byte[] bytes = new byte[length];
                switch (random.nextInt(5)) {
                    case 0, 1 -> {
                        random.nextBytes(bytes);
                        memory.duplicate().put(bytes);
                        file.write(memory, offset);
                        System.arraycopy(bytes, 0, model, offset, length);
                    }
                    case 2 -> {
                        if (length > 0) {
                            file.punchHole(offset, length);
                        }
                        Arrays.fill(model, offset, offset + length, (byte) 0);
                        memory.position(position + length);
                    }
                    default -> {
                        assertThat(file.read(memory, offset)).isEqualTo(length);
                        memory.duplicate().position(position).get(bytes);
                        assertThat(Arrays.equals(bytes, 0, length, model, offset, offset + length))
                                .as("operation %d at %d+%d", i, offset, length)
                                .isTrue();
                    }
                }
                assertThat(memory.position()).isEqualTo(position + length);
                assertThat(memory.limit()).isEqualTo(position + length);
            }
            file.sync();
        }
        assertThat(Files.readAllBytes(path)).isEqualTo(model);
    }

    @Test
    void readStopsAtTheEndThoughItIsNoSectorsEnd() throws IOException {
        byte[] content = noise(5001);
        Files.write(path, content);
        try (DirectFile file = open()) {
            for (int skew : new int[] {0, 1}) {
                ByteBuffer dst = BufferPool.allocate(3 * PAGE).position(skew).limit(skew + 2 * PAGE);
                assertThat(file.read(dst, 0)).isEqualTo(5001);
                assertThat(dst.position()).isEqualTo(skew + 5001);
                assertThat(dst.slice(skew, 5001)).isEqualTo(ByteBuffer.wrap(content));
                assertThat(file.read(dst.clear().position(skew).limit(skew + PAGE), PAGE))
                        .isEqualTo(5001 - PAGE);
                assertThat(file.read(dst.clear().position(skew).limit(skew + PAGE), 2 * PAGE))
                        .isZero();
                assertThat(file.read(dst.limit(dst.position()), 0)).isZero();
            }
        }
    }

    @Test
    void alignedRequestsStayOutOfThePageCache() throws Exception {
        assumeThat(Files.getFileStore(path).type())
                .as("a file system whose direct I/O is always direct")
                .isIn("ext4", "xfs");
        ByteBuffer memory = BufferPool.allocate((4 << 20) + 1);
        for (int skew : new int[] {0, 1}) {
            try (DirectFile file = open()) {
                file.write(memory.clear().position(skew).limit(skew + (4 << 20)), 0);
                file.read(memory.clear().position(skew).limit(skew + (4 << 20)), 0);
            }
            assertThat(PageCache.residentBytes(path)).isZero();
        }
        try (NativeFile file = NativeFile.open(path, Libc.O_RDONLY)) {
            file.read(memory.clear(), 0);
        }
        assertThat(PageCache.residentBytes(path)).as("seen when it is there").isEqualTo(4 << 20);
    }

    /** Sectors of one page, written at once by way of the cache and past it. */
    @Test
    void bufferedWritesLoseNoDirectWriteBesideThem() throws Exception {
        int pages = 64;
        CyclicBarrier start = new CyclicBarrier(2);
        ExecutorService other = Executors.newSingleThreadExecutor();
        try (DirectFile file = open();
                NativeFile cache = NativeFile.open(path, Libc.O_RDONLY)) {
            file.truncate((long) pages * PAGE);
            ByteBuffer all = ByteBuffer.allocateDirect(pages * PAGE);
            for (byte round = 1; round < 60; round++) {
                byte letter = round;
                Future<?> direct = other.submit(() -> {
                    start.await();
                    for (int page = 0; page < pages; page++) {
                        file.write(filled(SECTOR, letter), (long) page * PAGE);
                    }
                    return null;
                });
                start.await();
                for (int page = 0; page < pages; page++) {
                    file.write(filled(100, letter), (long) page * PAGE + 3000);
                }
                direct.get(30, TimeUnit.SECONDS);
                file.sync();
                for (PositionalFile way : new PositionalFile[] {cache, file}) {
                    way.read(all.clear(), 0);
                    for (int page = 0; page < pages; page++) {
                        assertThat(all.get(page * PAGE)).isEqualTo(letter);
                        assertThat(all.get(page * PAGE + SECTOR - 1)).isEqualTo(letter);
                        assertThat(all.get(page * PAGE + 3000)).isEqualTo(letter);
                        assertThat(all.get(page * PAGE + 3100)).isZero();
                    }
                }
            }
        } finally {
            other.shutdownNow();
        }
    }

    @Test
    void lockAndFactsAreThoseOfTheFile() throws IOException {
        Files.write(path, new byte[100_000]);
        DirectFile file = open();
        try (NativeFile stranger = NativeFile.open(path, Libc.O_RDWR)) {
            assertThat(file.name()).isEqualTo(path.toString());
            assertThat(file.size()).isEqualTo(100_000);
            assertThat(file.tryLock(true)).isTrue();
            assertThat(stranger.tryLock(false)).isFalse();
            file.preallocate(0, 1 << 20);
            assertThat(file.size()).isEqualTo(1 << 20);
            assertThat(file.allocatedBytes()).isEqualTo(stranger.allocatedBytes());
            file.truncate(2 << 20);
            assertThat(file.dataBytes(0, 2 << 20)).isEqualTo(stranger.dataBytes(0, 2 << 20));
            assertThat(file.seekHole(0)).isEqualTo(stranger.seekHole(0));
            assertThat(file.seekData(1 << 20)).isEqualTo(stranger.seekData(1 << 20));
            file.close();
            file.close();
            assertThat(stranger.tryLock(true)).isTrue();
            assertThatThrownBy(file::sync)
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EBADF));
        }
    }

    @Test
    void directDescriptorMeansTheSameFileAfterARename() throws IOException {
        NativeFile file = NativeFile.open(path, Libc.O_RDWR);
        Files.move(path, directory.resolve("moved"));
        Files.write(path, noise(PAGE));
        try (DirectFile direct = DirectFile.over(file, Libc.O_RDWR)) {
            direct.write(BufferPool.allocate(PAGE), 0);
        }
        assertThat(Files.readAllBytes(directory.resolve("moved"))).isEqualTo(new byte[PAGE]);
        assertThat(Files.readAllBytes(path)).isEqualTo(noise(PAGE));
    }

    @Test
    void fileSystemWithoutDirectIoIsAnError() throws IOException {
        Path version = Path.of("/proc/version");
        try (NativeFile file = NativeFile.open(version, Libc.O_RDONLY)) {
            assertThatThrownBy(() -> DirectFile.over(file, Libc.O_RDONLY))
                    .isInstanceOf(NativeException.class)
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EINVAL));
            assertThat(file.read(ByteBuffer.allocateDirect(5), 0))
                    .as("it stays the caller's")
                    .isEqualTo(5);
        }
    }

    @Test
    void requestsAllocateNothing() throws IOException {
        ByteBuffer memory = BufferPool.allocate(4 * PAGE);
        var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        long allocated = 0;
        int requests = 2000;
        try (DirectFile file = open()) {
            for (int round = 0; round < 2; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < requests; i++) {
                    file.write(memory.position(0).limit(PAGE), 0);
                    file.write(memory.position(0).limit(99), 0);
                    file.write(memory.position(1).limit(1 + PAGE), 0);
                    file.read(memory.position(0).limit(PAGE), 0);
                    file.read(memory.position(1).limit(1 + PAGE), 0);
                    memory.clear();
                }
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            }
        }
        assertThat(allocated).isLessThan(requests);
    }

    private DirectFile open() throws IOException {
        return DirectFile.over(NativeFile.open(path, Libc.O_RDWR), Libc.O_RDWR);
    }

    private static byte[] noise(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }

    private static ByteBuffer filled(int length, byte letter) {
        ByteBuffer buffer = BufferPool.allocate(length);
        for (int i = 0; i < length; i++) {
            buffer.put(i, letter);
        }
        return buffer;
    }
}
