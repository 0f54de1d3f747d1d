package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Interleavings that matter, each forced by a thread that is held in the middle of its I/O. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class RaceTest {
    private static final int SHIFT = 12;
    private static final int CHUNK = 1 << SHIFT;
    private static final int CHUNKS = 8;
    private static final byte OLD = 'o';
    /** Beyond superblocks and journal. */
    private static final long DATA_START = (4 << 20) + (64 << 10);

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final HeldOrigin origin = new HeldOrigin();
    private CowDevice device;

    /** A base of one letter; reads of the chosen chunk stop at the gate. */
    private static final class HeldOrigin implements Origin {
        final Gate gate = new Gate();
        volatile long heldChunk = -1;

        @Override
        public long sizeBytes() {
            return CHUNKS * CHUNK;
        }

        @Override
        public void read(ByteBuffer dst, long offset) throws IOException {
            if (offset >>> SHIFT == heldChunk
                    && Thread.currentThread().getName().equals("crew")) {
                gate.pass();
            }
            while (dst.hasRemaining()) {
                dst.put(OLD);
            }
        }

        @Override
        public void close() {}
    }

    @BeforeEach
    void open() throws IOException {
        UcowFormat format = new UcowFormat();
        format.create(file, CHUNKS * CHUNK, null, StoreOptions.ofChunk(1 << SHIFT));
        device = TestDevices.open(format, file, origin, TestDevices.BOOT);
    }

    @AfterEach
    void close() throws IOException {
        file.hook((call, offset, length) -> {});
        origin.gate.open();
        device.close();
        assertThat(new UcowFormat().check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void secondFirstWriterWaitsAndBothSurvive() throws Exception {
        origin.heldChunk = 0;
        Crew.Member first = Crew.start(() -> write(0, 512, 'a'));
        origin.gate.awaitReached();
        Crew.Member second = Crew.start(() -> write(1024, 512, 'b'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        assertThat(first.isDone() || second.isDone()).isFalse();
        origin.gate.open();
        first.join();
        second.join();
        byte[] expected = chunkOf(OLD);
        Arrays.fill(expected, 0, 512, (byte) 'a');
        Arrays.fill(expected, 1024, 1536, (byte) 'b');
        assertThat(read(0)).isEqualTo(expected);
        assertThat(device.stats().copies()).isEqualTo(1);
        assertThat(device.stats().waits()).isEqualTo(1);
    }

    @Test
    void wholeChunkWriteDuringCopyUpIsNotUndoneByTheCopy() throws Exception {
        origin.heldChunk = 0;
        Crew.Member partial = Crew.start(() -> write(0, 512, 'a'));
        origin.gate.awaitReached();
        Crew.Member whole = Crew.start(() -> write(0, CHUNK, 'w'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        origin.gate.open();
        partial.join();
        whole.join();
        assertThat(read(0)).isEqualTo(chunkOf('w'));
    }

    @Test
    void copyUpDuringWholeChunkWriteMergesIntoTheNewBytes() throws Exception {
        Gate gate = new Gate();
        holdFirst(Call.WRITE, gate);
        Crew.Member whole = Crew.start(() -> write(0, CHUNK, 'w'));
        gate.awaitReached();
        Crew.Member partial = Crew.start(() -> write(0, 512, 'a'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        whole.join();
        partial.join();
        byte[] expected = chunkOf('w');
        Arrays.fill(expected, 0, 512, (byte) 'a');
        assertThat(read(0)).isEqualTo(expected);
    }

    @Test
    void otherChunksGoOnWhileOneCopyIsHeld() throws Exception {
        origin.heldChunk = 3;
        Crew.Member held = Crew.start(() -> write(3 * CHUNK + 7, 512, 'a'));
        origin.gate.awaitReached();
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
            if (chunk != 3) {
                write(chunk * CHUNK + 1, 100, 'b');
                write(chunk * CHUNK + 2, 10, 'c');
            }
        }
        device.discard(4 * CHUNK, 2 * CHUNK);
        device.flush();
        assertThat(read(4)).isEqualTo(chunkOf(0));
        assertThat(device.stats().waits()).isZero();
        assertThat(held.isDone()).isFalse();
        origin.gate.open();
        held.join();
    }

    @Test
    void readDuringCopyUpGetsOldBytesWithoutWaiting() throws Exception {
        origin.heldChunk = 0;
        Crew.Member writer = Crew.start(() -> write(0, 512, 'a'));
        origin.gate.awaitReached();
        assertThat(read(0)).isEqualTo(chunkOf(OLD));
        Gate published = new Gate();
        holdFirst(Call.WRITE, published);
        origin.gate.open();
        published.awaitReached();
        assertThat(read(0)).isEqualTo(chunkOf(OLD));
        published.open();
        writer.join();
        assertThat(device.stats().waits()).isZero();
        assertThat(read(0)[0]).isEqualTo((byte) 'a');
    }

    @Test
    void discardAfterCopyUpBeganWins() throws Exception {
        origin.heldChunk = 2;
        Crew.Member writer = Crew.start(() -> write(2 * CHUNK, 512, 'a'));
        origin.gate.awaitReached();
        Crew.Member discard = Crew.start(() -> device.discard(CHUNK, 3 * CHUNK));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        origin.gate.open();
        writer.join();
        discard.join();
        assertThat(read(1)).isEqualTo(chunkOf(0));
        assertThat(read(2)).isEqualTo(chunkOf(0));
        assertThat(read(3)).isEqualTo(chunkOf(0));
    }

    @Test
    void copyUpAfterDiscardBeganMergesIntoZeros() throws Exception {
        Gate gate = new Gate();
        holdFirst(Call.WRITE, gate);
        Crew.Member discard = Crew.start(() -> device.discard(CHUNK, 3 * CHUNK));
        gate.awaitReached();
        Crew.Member writer = Crew.start(() -> write(2 * CHUNK, 512, 'a'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        discard.join();
        writer.join();
        byte[] expected = chunkOf(0);
        Arrays.fill(expected, 0, 512, (byte) 'a');
        assertThat(read(1)).isEqualTo(chunkOf(0));
        assertThat(read(2)).isEqualTo(expected);
    }

    @Test
    void partialDiscardDuringCopyUpKeepsTheWrite() throws Exception {
        origin.heldChunk = 0;
        Crew.Member writer = Crew.start(() -> write(0, 512, 'a'));
        origin.gate.awaitReached();
        Crew.Member discard = Crew.start(() -> device.discard(512, 512));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        origin.gate.open();
        writer.join();
        discard.join();
        byte[] expected = chunkOf(OLD);
        Arrays.fill(expected, 0, 512, (byte) 'a');
        Arrays.fill(expected, 512, 1024, (byte) 0);
        assertThat(read(0)).isEqualTo(expected);
    }

    @Test
    void overlappingDiscardsOfManyChunksDoNotDeadlock() throws Exception {
        origin.heldChunk = 4;
        Crew.Member writer = Crew.start(() -> write(4 * CHUNK, 512, 'a'));
        origin.gate.awaitReached();
        Crew.Member low = Crew.start(() -> device.discard(0, 6 * CHUNK));
        Crew.Member high = Crew.start(() -> device.discard(2 * CHUNK, 6 * CHUNK));
        low.awaitBlocked();
        high.awaitBlocked();
        origin.gate.open();
        writer.join();
        low.join();
        high.join();
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
            assertThat(read(chunk)).isEqualTo(chunkOf(0));
        }
    }

    @Test
    void slotUnderAReaderIsNeitherPunchedNorReused() throws Exception {
        write(0, CHUNK, 'a');
        Gate gate = new Gate();
        AtomicBoolean readerInside = new AtomicBoolean(true);
        AtomicBoolean touchedEarly = new AtomicBoolean();
        file.hook((call, offset, length) -> {
            if (call == Call.READ && offset == DATA_START) {
                gate.pass();
                readerInside.set(false);
            } else if (offset == DATA_START && readerInside.get()) {
                touchedEarly.set(true);
            }
        });
        byte[][] seen = new byte[1][];
        Crew.Member reader = Crew.start(() -> seen[0] = read(0));
        gate.awaitReached();
        device.discard(0, CHUNK);
        device.flush();
        disk.fillDisk();
        // The disk is full: only the slot that the reader is in could serve this.
        Crew.Member writer = Crew.start(() -> write(CHUNK, CHUNK, 'b'));
        writer.awaitBlocked();
        assertThat(reader.isDone()).isFalse();
        assertThat(read(1)).isEqualTo(chunkOf(OLD));
        gate.open();
        reader.join();
        writer.join();
        assertThat(seen[0]).isEqualTo(chunkOf('a'));
        assertThat(touchedEarly).isFalse();
        assertThat(read(0)).isEqualTo(chunkOf(0));
        assertThat(read(1)).isEqualTo(chunkOf('b'));
        disk.limitAllocationTo(Long.MAX_VALUE);
    }

    @Test
    void slotUnderAWriterIsNotReused() throws Exception {
        write(0, CHUNK, 'a');
        Gate gate = new Gate();
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= DATA_START && first.getAndSet(false)) {
                gate.pass();
            }
        });
        Crew.Member late = Crew.start(() -> write(0, CHUNK, 'l'));
        gate.awaitReached();
        device.discard(0, CHUNK);
        device.flush();
        disk.fillDisk();
        Crew.Member writer = Crew.start(() -> write(CHUNK, CHUNK, 'b'));
        writer.awaitBlocked();
        gate.open();
        late.join();
        writer.join();
        assertThat(read(0)).isEqualTo(chunkOf(0));
        assertThat(read(1)).isEqualTo(chunkOf('b'));
        disk.limitAllocationTo(Long.MAX_VALUE);
    }

    @Test
    void flushesThatArriveDuringOneShareTheNext() throws Exception {
        write(0, 1, 'a');
        Gate gate = new Gate();
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.SYNC && first.getAndSet(false)) {
                gate.pass();
            }
        });
        long before = file.count(Call.SYNC);
        Crew.Member running = Crew.start(device::flush);
        gate.awaitReached();
        List<Crew.Member> waiting = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            int chunk = i % CHUNKS;
            waiting.add(Crew.start(() -> {
                write(chunk * CHUNK, 1, 'f');
                device.flush();
            }));
        }
        for (Crew.Member member : waiting) {
            member.awaitBlocked();
        }
        gate.open();
        running.join();
        for (Crew.Member member : waiting) {
            member.join();
        }
        // Two for the first flush's barrier, two for all the others together.
        assertThat(file.count(Call.SYNC) - before).isEqualTo(4);
        assertThat(device.stats().flushes()).isEqualTo(21);
    }

    @Test
    void failedCopyUpLetsTheNextWriterTry() throws Exception {
        Gate gate = new Gate();
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= DATA_START && first.getAndSet(false)) {
                gate.pass();
                throw new NativeException("pwrite", Errno.EIO);
            }
        });
        Crew.Member failing = Crew.start(() -> write(0, 512, 'a'));
        gate.awaitReached();
        Crew.Member next = Crew.start(() -> write(512, 512, 'b'));
        Crew.awaitTrue(() -> device.stats().waits() == 1);
        gate.open();
        assertThatThrownBy(failing::join).isInstanceOf(NativeException.class);
        next.join();
        byte[] expected = chunkOf(OLD);
        Arrays.fill(expected, 512, 1024, (byte) 'b');
        assertThat(read(0)).isEqualTo(expected);
    }

    /** Holds the first call of one kind at a gate, and no later one. */
    private void holdFirst(Call held, Gate gate) {
        AtomicBoolean first = new AtomicBoolean(true);
        file.hook((call, offset, length) -> {
            if (call == held && first.getAndSet(false)) {
                gate.pass();
            }
        });
    }

    private void write(int offset, int length, int letter) throws IOException {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) letter);
        device.write(offset, TestDevices.direct(bytes, 0, length));
    }

    private byte[] read(int chunk) throws IOException {
        return TestDevices.read(device, (long) chunk * CHUNK, CHUNK);
    }

    private static byte[] chunkOf(int letter) {
        byte[] bytes = new byte[CHUNK];
        Arrays.fill(bytes, (byte) letter);
        return bytes;
    }
}
