package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Chunks that move while others are at them, each interleaving forced by a thread held in its I/O. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RelocationTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int BLOCK = 4096;
    private static final int CHUNKS = 6;
    /** Beyond superblocks and journal; the first slot. */
    private static final long DATA_START = (4 << 20) + (64 << 10);

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final byte[] base = new byte[CHUNKS * CHUNK];
    private final byte[] model = new byte[CHUNKS * CHUNK];
    private final Gate gate = new Gate();
    private final UcowFormat format = new UcowFormat();
    private CowDevice device;

    @BeforeEach
    void open() throws IOException {
        Arrays.fill(base, (byte) 'o');
        Arrays.fill(model, (byte) 'o');
        format.create(file, CHUNKS * CHUNK, null, StoreOptions.ofChunk(1 << SHIFT));
        device = TestDevices.open(format, file, TestDevices.origin(base), TestDevices.BOOT);
        write(0, CHUNK, 'a');
        write(CHUNK, CHUNK, 'b');
        write(2 * CHUNK, CHUNK, 'c');
    }

    @AfterEach
    void assertModel() throws IOException {
        file.hook((call, offset, length) -> {});
        gate.open();
        assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        device.close();
        assertThat(format.check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void chunksMoveAndTheirOldSlotsServeOthers() throws IOException {
        assertThat(slots()).containsExactly(0L, 1L, 2L);
        assertThat(TestDevices.move(device, 0, 1, 2, 3)).isEqualTo(3);
        assertThat(slots()).containsExactly(3L, 4L, 5L);
        device.flush();
        write(3 * CHUNK, CHUNK, 'd');
        // The old slots become free with a barrier that covers the move, and the next give-back.
        TestDevices.compact(device);
        assertThat(slots()).containsExactly(0L, 1L, 2L, 3L);
    }

    @Test
    void adjacentChunksAreOneRecord() throws IOException {
        long before = device.stats().journalRecords();
        TestDevices.move(device, 0, 1, 2);
        assertThat(device.stats().journalRecords() - before).isEqualTo(1);
    }

    @Test
    void writeInPlaceUnderWayIsInTheCopy() throws Exception {
        hold(Call.WRITE, DATA_START);
        Crew.Member writer = Crew.start(() -> write(0, 512, 'w'));
        gate.awaitReached();
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        mover.awaitBlocked();
        gate.open();
        writer.join();
        mover.join();
        assertThat(slots()).containsExactly(1L, 2L, 3L);
    }

    @Test
    void writeToAMovingChunkWaitsAndIsNotLost() throws Exception {
        hold(Call.READ, DATA_START);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        gate.awaitReached();
        Crew.Member writer = Crew.start(() -> write(100, 512, 'w'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        mover.join();
        writer.join();
        assertThat(device.stats().copies())
                .as("the write did not move it again")
                .isEqualTo(3);
    }

    @Test
    void writeOverARunWithAMovingChunkWaits() throws Exception {
        hold(Call.READ, DATA_START + CHUNK);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 1));
        gate.awaitReached();
        Crew.Member writer = Crew.start(() -> write(10, 3 * CHUNK - 20, 'w'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        mover.join();
        writer.join();
    }

    @Test
    void readsOfAMovingChunkGoOn() throws Exception {
        hold(Call.WRITE, DATA_START + 3 * CHUNK);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0, 1));
        gate.awaitReached();
        assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        assertThat(device.stats().waits()).isZero();
        gate.open();
        mover.join();
    }

    @Test
    void otherChunksGoOnWhileOneMoves() throws Exception {
        hold(Call.WRITE, DATA_START + 3 * CHUNK);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        gate.awaitReached();
        write(CHUNK + 5, 1000, 'x');
        write(3 * CHUNK + 5, 1000, 'x');
        write(4 * CHUNK, CHUNK, 'y');
        discard(2 * CHUNK, CHUNK);
        device.flush();
        assertThat(device.stats().waits()).isZero();
        assertThat(mover.isDone()).isFalse();
        gate.open();
        mover.join();
    }

    @Test
    void discardOfAMovingChunkWins() throws Exception {
        hold(Call.READ, DATA_START);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0, 1));
        gate.awaitReached();
        Crew.Member discard = Crew.start(() -> discard(0, 3 * CHUNK));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        mover.join();
        discard.join();
        assertThat(slots()).isEmpty();
    }

    @Test
    void holeInAMovingChunkIsNotUndone() throws Exception {
        hold(Call.READ, DATA_START);
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        gate.awaitReached();
        Crew.Member hole = Crew.start(() -> discard(BLOCK, 2 * BLOCK));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        mover.join();
        hole.join();
    }

    @Test
    void holeUnderWayIsInTheCopy() throws Exception {
        hold(Call.PUNCH, DATA_START + BLOCK);
        Crew.Member hole = Crew.start(() -> discard(BLOCK, 2 * BLOCK));
        gate.awaitReached();
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        mover.awaitBlocked();
        gate.open();
        hole.join();
        mover.join();
    }

    @Test
    void chunkThatIsBeingChangedIsPassedOver() throws Exception {
        hold(Call.WRITE, DATA_START + 3 * CHUNK);
        Crew.Member first = Crew.start(() -> write(3 * CHUNK, 512, 'f'));
        gate.awaitReached();
        assertThat(TestDevices.move(device, 3, 3, 2)).isEqualTo(1);
        assertThat(first.isDone()).isFalse();
        assertThat(device.stats().waits()).isZero();
        gate.open();
        first.join();
    }

    /** A reader that came after the writers had gone is in the old slot when the chunk has moved already. */
    @Test
    void oldSlotUnderAReaderIsNeitherPunchedNorReused() throws Exception {
        Gate copying = new Gate();
        AtomicBoolean readerInside = new AtomicBoolean();
        AtomicBoolean touchedEarly = new AtomicBoolean();
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset == DATA_START + 3 * CHUNK) {
                copying.pass();
            } else if (offset == DATA_START && call == Call.READ && length == 100) {
                readerInside.set(true);
                gate.pass();
                readerInside.set(false);
            } else if (offset == DATA_START && call != Call.READ && readerInside.get()) {
                touchedEarly.set(true);
            }
        });
        Crew.Member mover = Crew.start(() -> TestDevices.move(device, 0));
        copying.awaitReached();
        byte[][] seen = new byte[1][];
        Crew.Member reader = Crew.start(() -> seen[0] = TestDevices.read(device, 0, 100));
        gate.awaitReached();
        copying.open();
        mover.join();
        Crew.Member compaction = Crew.start(() -> TestDevices.compact(device));
        compaction.awaitBlocked();
        assertThat(slots()).containsExactly(1L, 2L, 3L);
        assertThat(reader.isDone()).isFalse();
        gate.open();
        reader.join();
        compaction.join();
        assertThat(seen[0]).containsOnly('a');
        assertThat(touchedEarly).isFalse();
        assertThat(slots()).containsExactly(0L, 1L, 2L);
    }

    @Test
    void blocksThatASlotLacksAreNotCopied() throws IOException {
        write(3 * CHUNK + BLOCK, BLOCK, 'p');
        write(3 * CHUNK + 5 * BLOCK, 2 * BLOCK, 'q');
        List<Long> written = new ArrayList<>();
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= DATA_START) {
                written.add(offset);
                written.add(length);
            }
        });
        assertThat(TestDevices.move(device, 3)).isEqualTo(1);
        long slot = DATA_START + 4 * CHUNK;
        assertThat(written).containsExactly(slot + BLOCK, (long) BLOCK, slot + 5 * BLOCK, 2L * BLOCK);
    }

    @Test
    void chunkOfZerosNeedsNoSlot() throws IOException {
        write(CHUNK, CHUNK, 0);
        assertThat(TestDevices.move(device, 0, 1, 2)).isEqualTo(3);
        assertThat(device.stats().zeroChunks()).isEqualTo(1);
        assertThat(slots()).hasSize(2);
    }

    @Test
    void failedCopyLeavesTheChunkWhereItIs() throws IOException {
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= DATA_START && first.getAndSet(false)) {
                throw new NativeException("pwrite", Errno.EIO);
            }
        });
        assertThatThrownBy(() -> TestDevices.move(device, 0, 1)).isInstanceOf(NativeException.class);
        assertThat(slots()).containsExactly(0L, 1L, 2L);
        write(5, 100, 'w');
        assertThat(device.stats().waits()).isZero();
        assertThat(TestDevices.move(device, 0)).isEqualTo(1);
        assertThat(slots()).as("the slot was taken back").containsExactly(1L, 2L, 3L);
    }

    /** Were the record there all the same, recovery would lose what is written to the old slot from then on. */
    @Test
    void recordThatFailedStopsTheStore() throws IOException {
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset < DATA_START) {
                throw new NativeException("pwrite", Errno.EIO);
            }
        });
        assertThatThrownBy(() -> TestDevices.move(device, 0)).isInstanceOf(NativeException.class);
        file.hook((call, offset, length) -> {});
        assertThatThrownBy(() -> device.write(0, TestDevices.direct(new byte[10], 0, 10)))
                .hasMessageContaining("failed earlier");
        assertThat(TestDevices.read(device, 0, model.length)).isEqualTo(model);
        assertThatThrownBy(device::close).hasMessageContaining("failed earlier");
        device = TestDevices.open(format, file, TestDevices.origin(base), TestDevices.BOOT);
    }

    @Test
    void readOnlyDeviceMovesNothing() throws IOException {
        device.close();
        device = TestDevices.openReadOnly(format, file, TestDevices.origin(base), TestDevices.BOOT);
        assertThatThrownBy(() -> TestDevices.move(device, 0))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EROFS));
    }

    /** Holds the first call of one kind at an offset. */
    private void hold(Call held, long at) {
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == held && offset == at && first.getAndSet(false)) {
                gate.pass();
            }
        });
    }

    private void write(int offset, int length, int letter) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) letter);
        device.write(offset, TestDevices.direct(model, offset, length));
    }

    private void discard(int offset, int length) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) 0);
        device.discard(offset, length);
    }

    /** The slots in use, counted from the first. */
    private List<Long> slots() throws IOException {
        List<Long> slots = new ArrayList<>();
        device.forEachExtent(extent -> {
            if (extent.source() instanceof ChunkSource.Slot slot) {
                long first = (slot.storeOffset() - DATA_START) / CHUNK;
                for (long n = 0; n << SHIFT < extent.lengthBytes(); n++) {
                    slots.add(first + n);
                }
            }
        });
        slots.sort(null);
        return slots;
    }
}
