package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.HookedFile.Call;
import io.ucow.store.journal.UcowFormat;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the disk changes behind a store's back is noticed, and nothing else is. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ChecksumsTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int BLOCK = 4096;
    private static final int SIZE = 8 * CHUNK;
    /** Beyond superblocks and journal. */
    private static final long DATA_START = (4 << 20) + (64 << 10);

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final UcowFormat format = new UcowFormat();
    private final byte[] model = new byte[SIZE];
    private CowDevice device;

    @BeforeEach
    void create() throws IOException {
        format.create(file, SIZE, null, StoreOptions.ofChunk(1 << SHIFT).withChecksums(true));
        new Random(5).nextBytes(model);
        open();
        device.write(0, TestDevices.direct(model, 0, SIZE));
    }

    @AfterEach
    void close() throws IOException {
        device.close();
    }

    private void open() throws IOException {
        device = TestDevices.open(format, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
    }

    private void reopen() throws IOException {
        device.close();
        open();
    }

    @Test
    void flippedBitFailsItsBlockAlone() throws IOException {
        reopen();
        flip(CHUNK + BLOCK + 5);
        assertDamaged(CHUNK + BLOCK, BLOCK, CHUNK + BLOCK);
        assertDamaged(CHUNK + BLOCK + 1000, 512, CHUNK + BLOCK);
        assertDamaged(CHUNK + 77, 2 * BLOCK, CHUNK + BLOCK);
        assertDamaged(0, SIZE, CHUNK + BLOCK);
        assertHolds(0, CHUNK + BLOCK);
        assertHolds(CHUNK + 2 * BLOCK, SIZE - CHUNK - 2 * BLOCK);
        assertThat(device.stats().damagedReads()).isEqualTo(4);
    }

    @Test
    void aBitThatFlipsBeforeAnyCheckpointIsNoticed() throws IOException {
        flip(3 * CHUNK);
        assertDamaged(3 * CHUNK, 1, 3 * CHUNK);
    }

    /** Else what is left of the damage would have the right checksum from then on. */
    @Test
    void aPartOfADamagedBlockCannotBeWritten() throws IOException {
        flip(CHUNK + BLOCK + 5);
        for (int within : new int[] {0, 512, BLOCK - 512}) {
            long offset = (long) CHUNK + BLOCK + within;
            assertThatThrownBy(() -> device.write(offset, ByteBuffer.allocateDirect(512)))
                    .isInstanceOf(DamagedBlockException.class)
                    .hasMessageContaining("0x9000 of the device");
            assertThatThrownBy(() -> device.discard(offset, 512)).isInstanceOf(DamagedBlockException.class);
        }
        // Nor as the end of a longer write, of which nothing is done.
        assertThatThrownBy(() -> device.write(CHUNK, ByteBuffer.allocateDirect(BLOCK + 512)))
                .isInstanceOf(DamagedBlockException.class);
        assertHolds(CHUNK, BLOCK);
    }

    @Test
    void wholeBlockWrittenIsSoundAgain() throws IOException {
        flip(CHUNK + BLOCK + 5);
        write(CHUNK + BLOCK, BLOCK);
        assertHolds(0, SIZE);
        flip(2 * CHUNK + 5);
        device.discard(2 * CHUNK, BLOCK);
        Arrays.fill(model, 2 * CHUNK, 2 * CHUNK + BLOCK, (byte) 0);
        assertHolds(0, SIZE);
    }

    @Test
    void writesOfPartsKeepTheRestUnderItsChecksum() throws IOException {
        write(BLOCK + 100, 3 * BLOCK);
        write(5 * CHUNK - 700, 1400);
        device.discard(6 * CHUNK + 50, BLOCK);
        Arrays.fill(model, 6 * CHUNK + 50, 6 * CHUNK + 50 + BLOCK, (byte) 0);
        reopen();
        assertHolds(0, SIZE);
        for (long offset : new long[] {BLOCK, 4 * BLOCK, 5 * CHUNK - 1, 5 * CHUNK, 6 * CHUNK, 6 * CHUNK + BLOCK}) {
            flip(offset);
            assertDamaged(offset & -BLOCK, BLOCK, offset & -BLOCK);
            flip(offset);
        }
        assertHolds(0, SIZE);
    }

    @Test
    void checksumsOutliveAKilledSessionThatOverwroteNothing() throws IOException {
        reopen();
        open(); // as if the other had been killed
        flip(4 * CHUNK);
        assertDamaged(4 * CHUNK, BLOCK, 4 * CHUNK);
    }

    @Test
    void whatAKilledSessionOverwroteIsUnknownUntilItIsScrubbed() throws IOException {
        reopen();
        write(0, BLOCK);
        open();
        assertHolds(0, SIZE);
        flip(4 * CHUNK);
        flip(4 * CHUNK + 1);
        byte[] damaged = TestDevices.read(device, 4 * CHUNK, 2);
        assertThat(damaged[0]).as("nobody knows").isNotEqualTo(model[4 * CHUNK]);
        flip(4 * CHUNK);
        flip(4 * CHUNK + 1);
        assertThat(device.scrub(0, new Found())).isEqualTo(new ScrubReport(SIZE, SIZE, 0));
        reopen();
        flip(4 * CHUNK);
        assertDamaged(4 * CHUNK, BLOCK, 4 * CHUNK);
    }

    @Test
    void scrubNamesEachDamagedRangeOnce() throws IOException {
        reopen();
        for (int i = 0; i < 3; i++) {
            flip(CHUNK - BLOCK + i * BLOCK + 9);
        }
        flip(7 * CHUNK + 9);
        Found found = new Found();
        assertThat(device.scrub(0, found)).isEqualTo(new ScrubReport(SIZE, 0, 4 * BLOCK));
        assertThat(found.ranges).containsExactly((long) CHUNK - BLOCK, 3L * BLOCK, 7L * CHUNK, (long) BLOCK);
        assertThat(found.checked).isEqualTo(SIZE);
    }

    @Test
    void scrubGoesOnAfterAnErrorOfTheDisk() throws IOException {
        long broken = storeOffset(2 * CHUNK);
        file.hook((call, offset, length) -> {
            if (call == Call.READ && offset == broken) {
                throw new IOException("planted");
            }
        });
        Found found = new Found();
        assertThat(device.scrub(0, found).damagedBytes()).isEqualTo(CHUNK);
        assertThat(found.ranges).containsExactly(2L * CHUNK, (long) CHUNK);
        file.hook((call, offset, length) -> {});
    }

    @Test
    void damageDoesNotMoveToAnotherSlot() throws IOException {
        flip(5 * CHUNK);
        assertThatThrownBy(() -> TestDevices.move(device, 5)).isInstanceOf(DamagedBlockException.class);
        assertThat(TestDevices.move(device, 4)).isEqualTo(1);
        assertHolds(4 * CHUNK, CHUNK);
        flip(4 * CHUNK);
        assertDamaged(4 * CHUNK, BLOCK, 4 * CHUNK);
    }

    /** The reader finds new bytes with the old checksum, and looks again when the write is done. */
    @Test
    void readDuringAnOverwriteIsNoDamage() throws Exception {
        reopen();
        Gate gate = new Gate();
        long at = storeOffset(CHUNK);
        byte[] before = model.clone();
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset == at) {
                // Half of it is there.
                disk.write(ByteBuffer.allocateDirect(BLOCK), at);
                gate.pass();
            }
        });
        Crew.Member writer = Crew.start(() -> write(CHUNK, CHUNK));
        gate.awaitReached();
        long reads = file.count(Call.READ);
        byte[][] read = new byte[1][];
        Crew.Member reader = Crew.start(() -> read[0] = TestDevices.read(device, CHUNK, BLOCK));
        Crew.awaitTrue(() -> file.count(Call.READ) > reads);
        reader.awaitBlocked();
        gate.open();
        writer.join();
        reader.join();
        assertThat(read[0]).isEqualTo(Arrays.copyOfRange(model, CHUNK, CHUNK + BLOCK));
        assertThat(model).isNotEqualTo(before);
        assertThat(device.stats().damagedReads()).isZero();
    }

    @Test
    void manyWhoOverwriteForTheFirstTimeShareASync() throws Exception {
        reopen();
        long before = file.count(Call.SYNC);
        List<Crew.Member> crew = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            int chunk = i;
            crew.add(Crew.start(() -> device.write((long) chunk * CHUNK, ByteBuffer.allocateDirect(BLOCK))));
        }
        for (Crew.Member member : crew) {
            member.join();
        }
        assertThat(file.count(Call.SYNC) - before).isEqualTo(1);
        device.write(0, ByteBuffer.allocateDirect(BLOCK));
        assertThat(file.count(Call.SYNC) - before).isEqualTo(1);
    }

    /** What cannot be announced is not written: power loss would make it unreadable. */
    @Test
    void overwriteThatCannotBeAnnouncedIsNotDone() throws IOException {
        reopen();
        file.hook((call, offset, length) -> {
            if (call == Call.SYNC) {
                throw new IOException("planted");
            }
        });
        assertThatThrownBy(() -> device.write(0, ByteBuffer.allocateDirect(BLOCK)))
                .hasMessageContaining("planted");
        assertHolds(0, SIZE);
        file.hook((call, offset, length) -> {});
        assertThatThrownBy(() -> device.close()).isInstanceOf(IOException.class);
        open();
        assertHolds(0, SIZE);
    }

    @Test
    void overwriteThatFailsHalfWayLeavesNoChecksum() throws IOException {
        reopen();
        write(CHUNK, 1);
        long at = storeOffset(2 * CHUNK);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset == at) {
                disk.write(ByteBuffer.allocateDirect(BLOCK), at);
                throw new IOException("planted");
            }
        });
        assertThatThrownBy(() -> device.write(2 * CHUNK, ByteBuffer.allocateDirect(CHUNK)))
                .hasMessageContaining("planted");
        file.hook((call, offset, length) -> {});
        Arrays.fill(model, 2 * CHUNK, 2 * CHUNK + BLOCK, (byte) 0);
        assertHolds(0, SIZE);
    }

    @Test
    void aFormatWithoutThemSaysSo() throws IOException {
        SparseFile plain = new SparseFile();
        format.create(plain, SIZE, null, StoreOptions.ofChunk(1 << SHIFT));
        try (CowDevice other = TestDevices.open(format, plain, TestDevices.origin(new byte[0]), TestDevices.BOOT)) {
            assertThatThrownBy(() -> other.scrub(0, new Found()))
                    .isInstanceOf(UnsupportedFormatException.class)
                    .hasMessageContaining("ucow create --checksums");
        }
    }

    private static final class Found implements ScrubListener {
        final List<Long> ranges = new ArrayList<>();
        long checked;

        @Override
        public void progress(long checkedBytes, long totalBytes) {
            assertThat(checkedBytes).isBetween(checked, totalBytes);
            checked = checkedBytes;
        }

        @Override
        public void damaged(long guestOffset, long lengthBytes) {
            ranges.add(guestOffset);
            ranges.add(lengthBytes);
        }
    }

    private void write(int offset, int length) throws IOException {
        for (int i = offset; i < offset + length; i++) {
            model[i] ^= 0x55;
        }
        device.write(offset, TestDevices.direct(model, offset, length));
    }

    private void flip(long guestOffset) throws IOException {
        long at = storeOffset(guestOffset);
        ByteBuffer one = ByteBuffer.allocateDirect(1);
        disk.read(one, at);
        one.put(0, (byte) (one.get(0) ^ 0x10));
        disk.write(one.clear(), at);
    }

    private long storeOffset(long guestOffset) throws IOException {
        long[] found = new long[1];
        device.forEachExtent(extent -> {
            long within = guestOffset - extent.guestOffset();
            if (within >= 0 && within < extent.lengthBytes() && extent.source() instanceof ChunkSource.Slot slot) {
                found[0] = slot.storeOffset() + within;
            }
        });
        assertThat(found[0]).isGreaterThanOrEqualTo(DATA_START);
        return found[0];
    }

    private void assertHolds(int offset, int length) throws IOException {
        assertThat(TestDevices.read(device, offset, length))
                .isEqualTo(Arrays.copyOfRange(model, offset, offset + length));
    }

    private void assertDamaged(long offset, int length, long block) {
        assertThatThrownBy(() -> TestDevices.read(device, offset, length))
                .isInstanceOf(DamagedBlockException.class)
                .hasMessageContaining("at 0x" + Long.toHexString(block) + " of the device")
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EIO));
    }
}
