package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What is written as zeros costs no slot where zeros are detected. The origin ends in the middle of the device. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DetectZeroesTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int CHUNKS = 64;
    private static final int ORIGIN_CHUNKS = 32;
    /** The device ends within its last chunk. */
    private static final int SIZE = CHUNKS * CHUNK - 5000;

    private final byte[] model = new byte[SIZE];
    private final HookedFile file = new HookedFile(new SparseFile());
    private CowDevice device;

    @BeforeEach
    void open() throws IOException {
        Arrays.fill(model, 0, ORIGIN_CHUNKS * CHUNK, (byte) 'o');
        byte[] base = Arrays.copyOf(model, ORIGIN_CHUNKS * CHUNK);
        UcowFormat format = new UcowFormat();
        format.create(file, SIZE, null, StoreOptions.ofChunk(1 << SHIFT));
        device = TestDevices.openDetecting(format, file, TestDevices.origin(base), TestDevices.BOOT);
    }

    @AfterEach
    void assertModel() throws IOException {
        assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        device.close();
    }

    @Test
    void wholeChunksOfZerosAreOneRecordAndNoSlot() throws IOException {
        write(CHUNK, 20 * CHUNK, 0);
        assertChunks(0, 20);
        assertThat(device.stats().journalRecords()).isEqualTo(1);
    }

    @Test
    void zerosOverAlteredChunksFreeTheirSlots() throws IOException {
        write(0, 8 * CHUNK, 'a');
        assertChunks(8, 0);
        write(2 * CHUNK, 4 * CHUNK, 0);
        assertChunks(4, 4);
        device.flush();
        write(0, 8 * CHUNK, 'b');
        assertChunks(8, 0);
    }

    @Test
    void zerosOverZerosAreNotEvenARecord() throws IOException {
        write(40 * CHUNK, 8 * CHUNK, 0);
        write(50 * CHUNK + 512, 4096, 0);
        write(SIZE - 100, 100, 0);
        assertChunks(0, 0);
        assertThat(device.stats().journalRecords()).isZero();
    }

    @Test
    void requestIsSplitAtChunkEdges() throws IOException {
        Arrays.fill(model, 0, 6 * CHUNK, (byte) 'a');
        Arrays.fill(model, CHUNK, 3 * CHUNK, (byte) 0);
        Arrays.fill(model, 4 * CHUNK + 10, 5 * CHUNK, (byte) 0);
        device.write(0, TestDevices.direct(model, 0, 6 * CHUNK));
        assertChunks(4, 2);
    }

    @Test
    void zerosForAPartOfAChunkWithDataAreWritten() throws IOException {
        write(CHUNK + 4096, 4096, 0);
        assertChunks(1, 0);
        write(CHUNK, CHUNK, 'a');
        long holes = file.count(Call.PUNCH);
        write(CHUNK, CHUNK - 512, 0);
        assertChunks(1, 0);
        assertThat(file.count(Call.PUNCH)).isEqualTo(holes);
    }

    @Test
    void lastChunkIsWholeWhereTheDeviceEnds() throws IOException {
        write((CHUNKS - 1) * CHUNK, CHUNK - 5000, 'a');
        write((CHUNKS - 1) * CHUNK, CHUNK - 5000, 0);
        assertChunks(0, 1);
    }

    @Test
    void oneByteIsEnoughToBeData() throws IOException {
        for (int at : new int[] {0, 7, 4095, CHUNK / 2, CHUNK - 1}) {
            byte[] chunk = new byte[CHUNK];
            chunk[at] = 1;
            System.arraycopy(chunk, 0, model, 0, CHUNK);
            device.write(0, TestDevices.direct(chunk, 0, CHUNK));
            assertThat(TestDevices.read(device, 0, CHUNK)).as("byte %d", at).isEqualTo(chunk);
        }
        assertChunks(1, 0);
    }

    @Test
    void bufferThatIsLongerThanItsLimitIsLeftAlone() throws IOException {
        ByteBuffer src = ByteBuffer.allocateDirect(4 * CHUNK);
        src.put(3 * CHUNK, (byte) 'x').limit(3 * CHUNK).position(CHUNK);
        device.write(0, src);
        Arrays.fill(model, 0, 2 * CHUNK, (byte) 0);
        assertThat(src.position()).isEqualTo(src.limit()).isEqualTo(3 * CHUNK);
        assertChunks(0, 2);
    }

    @Test
    void isAllLooksAtNothingElse() {
        ByteBuffer bytes = ByteBuffer.allocateDirect(200_000).put(99, (byte) 1).put(199_000, (byte) 1);
        assertThat(Zeros.isAll(bytes, 100, 198_900)).isTrue();
        assertThat(Zeros.isAll(bytes, 99, 10)).isFalse();
        assertThat(Zeros.isAll(bytes, 100, 198_901)).isFalse();
        assertThat(Zeros.isAll(bytes, 99, 0)).isTrue();
        assertThat(bytes.position()).isZero();
        assertThat(bytes.limit()).isEqualTo(200_000);
    }

    /** A collection is a disk that stalls. On a file of its own: the one in memory allocates. */
    @Test
    void detectionAllocatesNothing(@TempDir Path directory) throws IOException {
        Path image = directory.resolve("vm.cow");
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(SIZE), CHUNK, "ucow"));
        ByteBuffer zeros = ByteBuffer.allocateDirect(8 * CHUNK);
        ByteBuffer mixed =
                ByteBuffer.allocateDirect(8 * CHUNK).put(CHUNK, (byte) 'a').put(8 * CHUNK - 1, (byte) 'b');
        var memory = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (CowDevice disk = Images.open(image, new OpenOptions(false, CacheMode.WRITEBACK, true))) {
            rewrite(disk, mixed, zeros, 2_000);
            long before = memory.getCurrentThreadAllocatedBytes();
            rewrite(disk, mixed, zeros, 5_000);
            long allocated = memory.getCurrentThreadAllocatedBytes() - before;
            assertThat(allocated).as("bytes for 10000 requests").isLessThan(10_000);
        }
    }

    private static void rewrite(CowDevice disk, ByteBuffer mixed, ByteBuffer zeros, int times) throws IOException {
        for (int i = 0; i < times; i++) {
            disk.write(0, mixed.clear());
            disk.write(40 * CHUNK, zeros.clear());
        }
    }

    private void assertChunks(long altered, long zero) {
        assertThat(device.stats().alteredChunks()).as("altered chunks").isEqualTo(altered);
        assertThat(device.stats().zeroChunks()).as("zero chunks").isEqualTo(zero);
    }

    private void write(int offset, int length, int value) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) value);
        device.write(offset, TestDevices.direct(model, offset, length));
    }
}
