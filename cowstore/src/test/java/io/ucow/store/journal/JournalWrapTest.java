package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.Compression;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** The ring at its edges: full, wrapping round, and full of what earlier sessions left. */
class JournalWrapTest {
    private static final int CAPACITY = 64;
    private static final long OFFSET = 64 << 10;
    private static final int CHUNK = 4096;
    private static final int CHUNKS = 30;
    private static final UUID STORE = new UUID(7, 9);
    private static final UcowFormat FORMAT = new UcowFormat();

    private final SparseFile file = new SparseFile();

    @Test
    void ringTakesRemapsUpToTheReserveAndBarriersToTheEnd() throws IOException {
        Journal journal = new Journal(file, superblock(), 1000, 1000, -1);
        assertThat(journal.length()).isZero();
        for (int i = 0; i < CAPACITY - 16 - 8; i++) {
            assertThat(journal.hasRoom(8)).isTrue();
            assertThat(journal.append(i, 1, RemapEntry.ZERO, 8)).isEqualTo(1000 + i);
        }
        assertThat(journal.hasRoom(8)).isFalse();
        assertThat(journal.append(0, 1, RemapEntry.ZERO, 8)).isEqualTo(Journal.FULL);
        for (int i = 0; i < 8; i++) {
            assertThat(journal.append(i, 1, RemapEntry.ZERO, 0)).isNotEqualTo(Journal.FULL);
        }
        assertThat(journal.append(0, 1, RemapEntry.ZERO, 0)).isEqualTo(Journal.FULL);
        for (int i = 0; i < 16; i++) {
            assertThat(journal.barrier(1000)).isTrue();
        }
        assertThat(journal.barrier(1000)).isFalse();
        assertThat(journal.length()).isEqualTo(CAPACITY);
        assertThat(journal.next()).isEqualTo(1000 + CAPACITY);
        assertThat(journal.lastRemap()).isEqualTo(1000 + CAPACITY - 17);
    }

    @Test
    void recordsGoRoundAsTheHeadAdvances() throws IOException {
        Journal journal = new Journal(file, superblock(), 0, 0, -1);
        for (long seq = 0; seq < 10L * CAPACITY; seq++) {
            assertThat(journal.append(seq, 1, RemapEntry.slot(seq), 0)).isEqualTo(seq);
            assertThat(isRecordAt(seq)).isTrue();
            assertThat(file.size()).isLessThanOrEqualTo(OFFSET + CAPACITY * JournalRecord.SIZE);
            if (seq % 7 == 0) {
                journal.advanceHead(journal.next());
            }
        }
        assertThat(isRecordAt(0)).isFalse();
        assertThat(isRecordAt(10L * CAPACITY - 1)).isTrue();
    }

    @Test
    void holeAtTheHeadOrWithinIsSteppedOver() throws IOException {
        UcowFormat.create(file, geometry(), null, StoreOptions.NONE, CAPACITY, STORE);
        CowDevice device = open(TestDevices.BOOT);
        for (int chunk = 0; chunk < 6; chunk++) {
            put(device, chunk, 'a' + chunk);
        }
        Superblock now = superblockOf(file);
        for (long hole : new long[] {0, 3}) {
            long at = now.journalOffset() + (now.journalHead() + hole) % CAPACITY * JournalRecord.SIZE;
            file.write(ByteBuffer.allocateDirect(JournalRecord.SIZE), at);
        }
        CowDevice next = open(TestDevices.BOOT);
        assertThat(letters(next)).startsWith("\0bc\0ef\0");
    }

    /** Every lap leaves valid records behind; none of them may ever come back. */
    @Test
    void nothingOfAnEarlierLapOrSessionComesBack() throws IOException {
        Random random = new Random(4);
        UcowFormat.create(file, geometry(), null, StoreOptions.NONE, CAPACITY, STORE);
        byte[] model = new byte[CHUNKS];
        byte[] flushed = model.clone();
        UUID boot = TestDevices.BOOT;
        CowDevice device = open(boot);
        for (int i = 0; i < 1500; i++) {
            int chunk = random.nextInt(CHUNKS);
            switch (random.nextInt(12)) {
                case 0 -> {
                    device.flush();
                    flushed = model.clone();
                }
                case 1 -> {
                    // Killed, and continued in the same boot.
                    device = open(boot);
                    assertThat(letters(device)).isEqualTo(text(model));
                }
                case 2 -> {
                    // The machine goes down in good order, but the daemon was killed: all sectors are on disk.
                    if (random.nextInt(4) == 0) {
                        device.flush();
                        flushed = model.clone();
                        boot = new UUID(i, i);
                        device = open(boot);
                        assertThat(letters(device)).isEqualTo(text(flushed));
                    }
                }
                case 3 -> {
                    if (random.nextInt(8) == 0) {
                        device.close();
                        device = open(boot);
                    }
                }
                case 4, 5, 6, 7 -> {
                    device.discard((long) chunk * CHUNK, CHUNK);
                    model[chunk] = 0;
                }
                default -> {
                    model[chunk] = (byte) ('a' + random.nextInt(26));
                    put(device, chunk, model[chunk]);
                }
            }
        }
        assertThat(device.stats().checkpoints()).isPositive();
        device.close();
        assertThat(letters(open(boot))).isEqualTo(text(model));
    }

    private static Geometry geometry() {
        return new Geometry(CHUNKS * CHUNK, 12);
    }

    private static Superblock superblock() {
        return new Superblock(
                0, 1, geometry(), 0, OFFSET, CAPACITY, 0, 1 << 20, STORE, Superblock.CLEAN, null, 0, Compression.NONE);
    }

    private static Superblock superblockOf(SparseFile file) throws IOException {
        ByteBuffer head = ByteBuffer.allocateDirect(8192).order(ByteOrder.LITTLE_ENDIAN);
        file.read(head, 0);
        boolean second =
                Superblock.isIntact(head, 4096) && Superblock.generation(head, 4096) > Superblock.generation(head, 0);
        return Superblock.decode(head, second ? 4096 : 0, "x");
    }

    private boolean isRecordAt(long seq) {
        ByteBuffer record = ByteBuffer.allocateDirect(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.read(record, OFFSET + seq % CAPACITY * JournalRecord.SIZE);
        return JournalRecord.isValid(record, 0, JournalRecord.salted(Superblock.bytes(STORE)), seq);
    }

    private CowDevice open(UUID boot) throws IOException {
        return TestDevices.open(FORMAT, file, TestDevices.origin(new byte[CHUNKS * CHUNK]), boot);
    }

    private static void put(CowDevice device, int chunk, int letter) throws IOException {
        byte[] bytes = new byte[CHUNK];
        Arrays.fill(bytes, (byte) letter);
        device.write((long) chunk * CHUNK, TestDevices.direct(bytes, 0, CHUNK));
    }

    private static String letters(CowDevice device) throws IOException {
        byte[] all = TestDevices.read(device, 0, CHUNKS * CHUNK);
        byte[] firsts = new byte[CHUNKS];
        for (int i = 0; i < CHUNKS; i++) {
            firsts[i] = all[i * CHUNK];
        }
        return text(firsts);
    }

    private static String text(byte[] letters) {
        return new String(letters, StandardCharsets.US_ASCII);
    }
}
