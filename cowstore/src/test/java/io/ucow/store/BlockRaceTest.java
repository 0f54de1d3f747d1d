package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two at one chunk of which some blocks are missing, each interleaving forced by a thread held in its I/O. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BlockRaceTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int BLOCK = 4096;
    /** Beyond superblocks and journal. */
    private static final long DATA_START = (4 << 20) + (64 << 10);

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final byte[] model = new byte[2 * CHUNK];
    private final Gate gate = new Gate();
    private CowDevice device;

    @BeforeEach
    void open() throws IOException {
        Arrays.fill(model, (byte) 'o');
        UcowFormat format = new UcowFormat();
        format.create(file, 2 * CHUNK, null, StoreOptions.ofChunk(1 << SHIFT));
        device = TestDevices.open(format, file, TestDevices.origin(model.clone()), TestDevices.BOOT);
    }

    @AfterEach
    void assertModel() throws IOException {
        file.hook((call, offset, length) -> {});
        gate.open();
        assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        device.close();
        assertThat(new UcowFormat().check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void firstWritersOfDifferentBlocksShareTheSlot() throws Exception {
        holdNextDataWrite();
        Crew.Member first = write(BLOCK, BLOCK, 'a');
        gate.awaitReached();
        Crew.Member second = write(3 * BLOCK, BLOCK, 'b');
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        first.join();
        second.join();
        assertThat(device.stats().alteredChunks()).isEqualTo(1);
    }

    /** Had the one who fills blocks 1 and 2 written the rest of block 1 as it found it, the 'b' would be lost. */
    @Test
    void writeInPlaceDuringAFillOfTheNextBlockIsKept() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        holdNextDataWrite();
        Crew.Member fill = write(BLOCK + 2048, BLOCK, 'f');
        gate.awaitReached();
        write(BLOCK, 2048, 'b').join();
        assertThat(device.stats().waits()).as("in place").isZero();
        gate.open();
        fill.join();
    }

    @Test
    void fillDuringAWriteInPlaceIsKept() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        holdNextDataWrite();
        Crew.Member inPlace = write(BLOCK, 2048, 'b');
        gate.awaitReached();
        write(BLOCK + 2048, BLOCK, 'f').join();
        gate.open();
        inPlace.join();
    }

    @Test
    void readDuringAFillGetsOldBytesOfTheBlockWithoutWaiting() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        byte[] old = model.clone();
        Gate synced = new Gate();
        AtomicBoolean first = new AtomicBoolean(true);
        // Held between the data, which is in the slot already, and the record.
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset < DATA_START && first.getAndSet(false)) {
                synced.pass();
            }
        });
        Crew.Member fill = write(2 * BLOCK, 2 * BLOCK, 'f');
        synced.awaitReached();
        assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(old);
        synced.open();
        fill.join();
        assertThat(device.stats().waits()).isZero();
    }

    @Test
    void discardAfterAFillBeganWins() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        holdNextDataWrite();
        Crew.Member fill = write(2 * BLOCK, BLOCK, 'f');
        gate.awaitReached();
        Arrays.fill(model, 0, CHUNK, (byte) 0);
        Crew.Member discard = Crew.start(() -> device.discard(0, CHUNK));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        fill.join();
        discard.join();
        assertThat(device.stats().zeroChunks()).isEqualTo(1);
    }

    @Test
    void fillAfterADiscardBeganMergesIntoZeros() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && first.getAndSet(false)) {
                gate.pass();
            }
        });
        Arrays.fill(model, 0, CHUNK, (byte) 0);
        Crew.Member discard = Crew.start(() -> device.discard(0, CHUNK));
        gate.awaitReached();
        Crew.Member fill = write(2 * BLOCK + 5, 10, 'f');
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        discard.join();
        fill.join();
    }

    /** The slot that the late write goes to must not be the one of the chunk's next life, nor anybody else's. */
    @Test
    void writeInPlaceThatADiscardOvertookTouchesNobody() throws Exception {
        write(BLOCK, BLOCK, 'a').join();
        holdNextDataWrite();
        byte[] late = new byte[100];
        Crew.Member inPlace = Crew.start(() -> device.write(BLOCK, TestDevices.direct(late, 0, 100)));
        gate.awaitReached();
        device.discard(0, CHUNK);
        device.flush();
        Arrays.fill(model, 0, CHUNK, (byte) 0);
        write(BLOCK, BLOCK, 'n').join();
        write(CHUNK + BLOCK, BLOCK, 'm').join();
        gate.open();
        inPlace.join();
    }

    @Test
    void partialDiscardDuringAFillZeroesItsBlocksOnly() throws Exception {
        write(0, BLOCK, 'a').join();
        holdNextDataWrite();
        Crew.Member fill = write(2 * BLOCK, BLOCK, 'f');
        gate.awaitReached();
        // Block 0 in place, at once; block 1 when the fill is done.
        Arrays.fill(model, 10, 2 * BLOCK, (byte) 0);
        device.discard(10, BLOCK - 10);
        Crew.Member discard = Crew.start(() -> device.discard(BLOCK, BLOCK));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        fill.join();
        discard.join();
    }

    /** Two that wait for one fill, one of them for the very block: it finds it there and writes in place. */
    @Test
    void secondWriterOfABlockFindsItHeld() throws Exception {
        holdNextDataWrite();
        Crew.Member first = write(BLOCK, 2 * BLOCK, 'a');
        gate.awaitReached();
        Crew.Member second = write(BLOCK + 100, 50, 'b');
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        first.join();
        second.join();
        assertThat(device.stats().journalRecords()).isEqualTo(1);
    }

    private void holdNextDataWrite() {
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= DATA_START && first.getAndSet(false)) {
                gate.pass();
            }
        });
    }

    /** Starts a write of the letter, which the model has at once: the last one started is the one that stays. */
    private Crew.Member write(int offset, int length, int letter) {
        Arrays.fill(model, offset, offset + length, (byte) letter);
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) letter);
        return Crew.start(() -> device.write(offset, TestDevices.direct(bytes, 0, length)));
    }
}
