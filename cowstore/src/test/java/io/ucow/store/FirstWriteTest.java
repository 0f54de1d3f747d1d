package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a first write costs in calls to the file, and that runs of chunks share them. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FirstWriteTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int BLOCK = 4096;
    private static final int CHUNKS = 100;
    /** The device ends within its last chunk. */
    private static final int SIZE = CHUNKS * CHUNK - 5000;

    private final byte[] model = new byte[SIZE];
    private final HookedFile file = new HookedFile(new SparseFile());
    private CowDevice device;
    private long bytesWritten;
    private int originReads;

    private final class CountedOrigin implements Origin {
        private final Origin origin;

        CountedOrigin(byte[] bytes) {
            origin = TestDevices.origin(bytes);
        }

        @Override
        public long sizeBytes() {
            return origin.sizeBytes();
        }

        @Override
        public void read(ByteBuffer dst, long offset) throws IOException {
            originReads++;
            origin.read(dst, offset);
        }

        @Override
        public void close() {}
    }

    @BeforeEach
    void open() throws IOException {
        Arrays.fill(model, (byte) 'o');
        UcowFormat format = new UcowFormat();
        format.create(file, SIZE, null, StoreOptions.ofChunk(1 << SHIFT));
        file.hook((call, offset, length) -> bytesWritten += call == Call.WRITE ? length : 0);
        device = TestDevices.open(format, file, new CountedOrigin(model.clone()), TestDevices.BOOT);
    }

    @AfterEach
    void assertModel() throws IOException {
        assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        device.close();
    }

    @Test
    void wholeChunksThatLieTogetherAreOneWriteAndOneRecord() throws IOException {
        assertThat(writesOf(() -> write(0, 32 * CHUNK, 'a'))).isEqualTo(2);
        assertThat(device.stats().journalRecords()).isEqualTo(1);
        assertThat(device.stats().copies()).isEqualTo(32);
        assertThat(writesOf(() -> write(0, 32 * CHUNK, 'b'))).isEqualTo(1);
    }

    @Test
    void runEndsWhereAChunkHasASlot() throws IOException {
        write(4 * CHUNK, CHUNK, 's');
        device.discard(8 * CHUNK, CHUNK);
        Arrays.fill(model, 8 * CHUNK, 9 * CHUNK, (byte) 0);
        // Two before the slot, the slot itself, and the rest with the zero chunk in its midst.
        assertThat(writesOf(() -> write(2 * CHUNK, 10 * CHUNK, 'a'))).isEqualTo(2 + 1 + 2);
    }

    @Test
    void blockIsOneWriteAndOneRecordAndReadsNothing() throws IOException {
        assertThat(writesOf(() -> write(7 * CHUNK + 2 * BLOCK, BLOCK, 'a'))).isEqualTo(2);
        assertThat(bytesWritten).isEqualTo(BLOCK + 32);
        assertThat(writesOf(() -> write(7 * CHUNK + 4 * BLOCK, 2 * BLOCK, 'b'))).isEqualTo(2);
        assertThat(bytesWritten).isEqualTo(2 * BLOCK + 32);
        assertThat(originReads).isZero();
        // In place: no record.
        assertThat(writesOf(() -> write(7 * CHUNK + 2 * BLOCK + 5, 100, 'c'))).isEqualTo(1);
        assertThat(device.stats().alteredChunks()).isEqualTo(1);
        assertThat(device.stats().journalRecords()).isEqualTo(2);
    }

    @Test
    void blocksAtTheEndsOfAWriteAreMergedAndNoOthers() throws IOException {
        assertThat(writesOf(() -> write(BLOCK + 10, 2 * BLOCK, 'a'))).isEqualTo(2);
        assertThat(bytesWritten).isEqualTo(3 * BLOCK + 32);
        assertThat(originReads).isEqualTo(2);
        // The first of these has been written, so that nothing of it but the write's own bytes is touched.
        assertThat(writesOf(() -> write(3 * BLOCK + 100, BLOCK, 'b'))).isEqualTo(2);
        assertThat(bytesWritten).isEqualTo(2 * BLOCK - 100 + 32);
        assertThat(originReads).isEqualTo(3);
    }

    @Test
    void wholeChunkWriteFillsThePartialSlotInPlace() throws IOException {
        write(BLOCK, 1, 'a');
        long size = file.size();
        assertThat(writesOf(() -> write(0, CHUNK, 'b'))).isEqualTo(2);
        assertThat(file.size() - size).isLessThan(CHUNK);
        assertThat(writesOf(() -> write(0, CHUNK, 'c'))).isEqualTo(1);
    }

    @Test
    void missingBlocksThatAreZeroedStayZero() throws IOException {
        write(BLOCK, BLOCK, 'a');
        zero(2 * BLOCK + 7, BLOCK);
        zero(BLOCK + 5, 20);
        zero(5 * BLOCK, 3 * BLOCK);
        zero(CHUNK + 3 * BLOCK - 1, 2);
        assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        write(3 * BLOCK, 1, 'b');
    }

    @Test
    void zeroChunkMovesToItsSlotAsAWhole() throws IOException {
        write(BLOCK, 1, 'a');
        zero(0, CHUNK);
        write(2 * BLOCK, 1, 'b');
        assertThat(writesOf(() -> write(5 * BLOCK, 1, 'c'))).isEqualTo(1);
    }

    @Test
    void lastBlockOfTheDeviceMayBeShort() throws IOException {
        write(SIZE - 1, 1, 'a');
        write(SIZE - BLOCK, BLOCK, 'b');
        write((CHUNKS - 1) * CHUNK, SIZE - (CHUNKS - 1) * CHUNK, 'c');
    }

    @Test
    void shortLastChunkIsNoPartOfTheRun() throws IOException {
        assertThat(writesOf(() -> write(0, SIZE, 'a'))).isEqualTo(2 + 2);
        write(0, SIZE, 'b');
    }

    private interface Step {
        void run() throws IOException;
    }

    private long writesOf(Step step) throws IOException {
        long before = file.count(Call.WRITE);
        bytesWritten = 0;
        step.run();
        return file.count(Call.WRITE) - before;
    }

    private void zero(int offset, int length) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) 0);
        device.discard(offset, length);
    }

    private void write(int offset, int length, int letter) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) letter);
        device.write(offset, TestDevices.direct(model, offset, length));
    }
}
