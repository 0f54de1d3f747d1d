package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
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
    private static final int CHUNKS = 100;
    /** The device ends within its last chunk. */
    private static final int SIZE = CHUNKS * CHUNK - 5000;

    private final byte[] model = new byte[SIZE];
    private final HookedFile file = new HookedFile(new SparseFile());
    private CowDevice device;

    @BeforeEach
    void open() throws IOException {
        Arrays.fill(model, (byte) 'o');
        UcowFormat format = new UcowFormat();
        format.create(file, new Geometry(SIZE, SHIFT), null);
        device = TestDevices.open(format, file, TestDevices.origin(model.clone()), TestDevices.BOOT);
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
    void shortLastChunkIsNoPartOfTheRun() throws IOException {
        assertThat(writesOf(() -> write(0, SIZE, 'a'))).isEqualTo(2 + 2);
        write(0, SIZE, 'b');
    }

    private interface Step {
        void run() throws IOException;
    }

    private long writesOf(Step step) throws IOException {
        long before = file.count(Call.WRITE);
        step.run();
        return file.count(Call.WRITE) - before;
    }

    private void write(int offset, int length, int letter) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) letter);
        device.write(offset, TestDevices.direct(model, offset, length));
    }
}
