package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.GracePeriod;
import io.ucow.store.HookedFile;
import io.ucow.store.HookedFile.Call;
import io.ucow.store.Origin;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;
import java.util.concurrent.FutureTask;
import java.util.concurrent.atomic.AtomicInteger;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** G5: a full or failing disk under the store. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class FailingDiskTest {
    private static final int CHUNK = 4096;
    private static final int CHUNKS = 400;
    private static final UcowFormat FORMAT = new UcowFormat();

    private final SparseFile disk = new SparseFile();
    private final HookedFile file = new HookedFile(disk);
    private final byte[] base = filled(CHUNKS * CHUNK, 'o');
    private CowDevice device;

    @Test
    void firstWriteOnAFullDiskFailsAloneAndLeavesOldBytes() throws IOException {
        create(1024);
        write(0, CHUNK, 'a');
        disk.fillDisk();
        assertNoSpace(() -> write(CHUNK, CHUNK, 'b'));
        assertNoSpace(() -> write(2 * CHUNK + 10, 100, 'b'));
        assertThat(letters(1, 2)).isEqualTo("oo");
        write(17, 100, 'c');
        device.flush();
        assertThat(TestDevices.read(device, 16, 3)).containsExactly('a', 'c', 'c');
        disk.limitAllocationTo(Long.MAX_VALUE);
        write(CHUNK, CHUNK, 'b');
        assertThat(letters(0, 1, 2)).isEqualTo("abo");
        reopenAndCheck("abo");
    }

    @Test
    void writeThatFailsHalfwayThroughASlotGivesItBack() throws IOException {
        create(1024, 16);
        // Room for one block of the sixteen that a slot has.
        disk.limitAllocationTo(disk.allocatedBytes() + 4096);
        for (int i = 0; i < 10; i++) {
            assertNoSpace(() -> write(0, 4 * CHUNK, 'a'));
        }
        disk.limitAllocationTo(disk.allocatedBytes() + (64 << 10));
        write(0, 4 * CHUNK, 'a');
        assertThat(letters(0, 1, 3, 4)).isEqualTo("aaao");
    }

    @Test
    void runThatFindsNoRoomGivesAllOfItBack() throws IOException {
        create(1024);
        disk.limitAllocationTo(disk.allocatedBytes() + 3 * CHUNK);
        for (int i = 0; i < 3; i++) {
            assertNoSpace(() -> write(0, 8 * CHUNK, 'a'));
        }
        assertThat(letters(0, 1, 2, 3, 7)).isEqualTo("ooooo");
        write(0, 3 * CHUNK, 'b');
        assertThat(letters(0, 1, 2, 3, 7)).isEqualTo("bbboo");
        reopenAndCheck("bbbo");
    }

    @Test
    void runReusesWhatWasDiscarded() throws IOException {
        create(1024);
        write(0, 4 * CHUNK, 'a');
        disk.fillDisk();
        device.discard(0, 4 * CHUNK);
        write(5 * CHUNK, 4 * CHUNK, 'b');
        assertThat(letters(0, 3, 4, 5, 8, 9)).isEqualTo("\0\0obbo");
        disk.limitAllocationTo(Long.MAX_VALUE);
        reopenAndCheck("\0\0\0\0obbbbo");
    }

    /** Space that another thread is giving back is waited for: it is nobody's, and no longer on the list of what is freed. */
    @Test
    void spaceThatIsBeingGivenBackServesNewWrites() throws Exception {
        create(1024);
        write(0, 4 * CHUNK, 'a');
        disk.fillDisk();
        device.discard(0, 4 * CHUNK);
        FutureTask<Void> write = new FutureTask<>(() -> {
            write(20 * CHUNK, CHUNK, 'c');
            return null;
        });
        Thread writer = new Thread(write, "writer");
        file.hook((call, offset, length) -> {
            if (call == Call.PUNCH && writer.getState() == Thread.State.NEW) {
                writer.start();
                while (writer.isAlive() && writer.getState() != Thread.State.WAITING) {
                    Thread.onSpinWait();
                }
            }
        });
        write(10 * CHUNK, CHUNK, 'b');
        write.get();
        assertThat(letters(0, 10, 20)).isEqualTo("\0bc");
    }

    @Test
    void blocksThatFindNoRoomLeaveTheirSlotAsItWas() throws IOException {
        create(1024, 15);
        write(0, 4096, 'a');
        disk.fillDisk();
        for (int i = 0; i < 3; i++) {
            assertNoSpace(() -> write(4096, 4096, 'b'));
            assertNoSpace(() -> write(100, 8192, 'b'));
        }
        device.discard(0, 50);
        byte[] start = TestDevices.read(device, 0, 3 * 4096);
        assertThat(start[49]).isZero();
        assertThat(start[50]).isEqualTo((byte) 'a');
        assertThat(start[4096]).isEqualTo((byte) 'o');
        disk.limitAllocationTo(Long.MAX_VALUE);
        write(4096, 4096, 'c');
        assertThat(TestDevices.read(device, 4095 + 4096, 2)).containsExactly('c', 'o');
        reopenAndCheck("\0c");
    }

    /** The slot is the chunk's: it is not taken back with the commit that failed. */
    @Test
    void journalWithoutRoomForBlocksLeavesTheirSlotAsItWas() throws IOException {
        create(64, 15);
        write(0, 4096, 'a');
        fillJournal(1 << 15);
        // The block has room, the page of the map behind it has not.
        disk.limitAllocationTo(disk.allocatedBytes() + 4096);
        for (int i = 0; i < 3; i++) {
            assertNoSpace(() -> write(4096, 4096, 'b'));
        }
        disk.limitAllocationTo(Long.MAX_VALUE);
        write(45 << 15, 1 << 15, 'x');
        assertThat(TestDevices.read(device, 4095, 2)).containsExactly('a', 'o');
        write(4096, 4096, 'c');
        write(46 << 15, 1 << 15, 'x');
        reopenAndCheck("acoooooo");
    }

    @Test
    void discardMakesRoomWithoutAnExplicitFlush() throws IOException {
        create(1024);
        write(0, 4 * CHUNK, 'a');
        device.flush();
        disk.fillDisk();
        assertNoSpace(() -> write(5 * CHUNK, CHUNK, 'b'));
        device.discard(0, 2 * CHUNK);
        write(5 * CHUNK, CHUNK, 'b');
        write(6 * CHUNK, 10, 'c');
        assertNoSpace(() -> write(7 * CHUNK, CHUNK, 'd'));
        assertThat(letters(0, 1, 2, 5, 6, 7)).isEqualTo("\0\0abco");
        reopenAndCheck("\0\0aaobco");
    }

    @Test
    void discardedSpaceOfARecoveredStoreServesNewWrites() throws IOException {
        create(1024);
        write(0, 4 * CHUNK, 'a');
        device.discard(0, 2 * CHUNK);
        // The daemon dies here and comes back on a full disk.
        disk.fillDisk();
        open(TestDevices.BOOT);
        write(5 * CHUNK, CHUNK, 'b');
        write(6 * CHUNK, CHUNK, 'c');
        assertNoSpace(() -> write(7 * CHUNK, CHUNK, 'd'));
        assertThat(letters(0, 1, 2, 5, 6, 7)).isEqualTo("\0\0abco");
    }

    @Test
    void fullJournalOnAFullDiskIsAnErrorAndNotAHang() throws IOException {
        create(64);
        fillJournal();
        disk.fillDisk();
        assertNoSpace(() -> write(300 * CHUNK, CHUNK, 'z'));
        write(0, 10, 'i');
        device.flush();
        assertThat(letters(0, 1, 300)).isEqualTo("iao");
        disk.limitAllocationTo(Long.MAX_VALUE);
        write(300 * CHUNK, CHUNK, 'z');
        assertThat(letters(0, 1, 300)).isEqualTo("iaz");
        reopenAndCheck("iaaaa");
    }

    @Test
    void noRoomForACheckpointIsStoreFull() throws IOException {
        create(64);
        fillJournal();
        // The slot itself has room, the page of the map behind it has not.
        disk.limitAllocationTo(disk.allocatedBytes() + CHUNK);
        for (int i = 0; i < 5; i++) {
            assertThatThrownBy(() -> write(300 * CHUNK, CHUNK, 'z'))
                    .isInstanceOf(StoreFullException.class)
                    .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));
        }
        assertThat(letters(300)).isEqualTo("o");
        disk.limitAllocationTo(Long.MAX_VALUE);
        write(300 * CHUNK, CHUNK, 'z');
        reopenAndCheck("aaaaa");
    }

    @Test
    void discardsGoOnThoughJournalAndDiskAreFull() throws IOException {
        create(64);
        fillJournal();
        disk.fillDisk();
        assertThatThrownBy(() -> write(300 * CHUNK, CHUNK, 'z')).isInstanceOf(IOException.class);
        int altered = (int) device.stats().alteredChunks();
        for (int i = 0; i < altered; i++) {
            device.discard((long) i * CHUNK, CHUNK);
        }
        assertThat(letters(0, altered - 1)).isEqualTo("\0\0");
        write(300 * CHUNK, CHUNK, 'z');
        assertThat(letters(300)).isEqualTo("z");
        disk.limitAllocationTo(Long.MAX_VALUE);
        reopenAndCheck("\0\0");
    }

    @Test
    void discardsAndFlushesInTurnGoOnThoughJournalAndDiskAreFull() throws IOException {
        create(64);
        fillJournal();
        disk.fillDisk();
        int altered = (int) device.stats().alteredChunks();
        for (int i = 0; i < altered; i++) {
            device.discard((long) i * CHUNK, CHUNK);
            device.flush();
        }
        write(300 * CHUNK, CHUNK, 'z');
        assertThat(letters(0, altered - 1, 300)).isEqualTo("\0\0z");
    }

    @Test
    void closeOnAFullDiskLeavesARecoverableStore() throws IOException {
        create(1024);
        write(0, 3 * CHUNK, 'a');
        device.discard(CHUNK, CHUNK);
        disk.fillDisk();
        // Chunk 1's old slot would serve the map; take it away.
        assertThat(device.stats().checkpoints()).isEqualTo(1);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= 1 << 20) {
                throw noSpace();
            }
        });
        device.close();
        file.hook((call, offset, length) -> {});
        assertThat(FORMAT.check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
        disk.limitAllocationTo(Long.MAX_VALUE);
        open(TestDevices.NEXT_BOOT);
        assertThat(letters(0, 1, 2, 3)).isEqualTo("a\0ao");
        reopenAndCheck("a\0ao");
    }

    @Test
    void afterAFailedSyncChangesAreRefusedAndReadsGoOn() throws IOException {
        create(1024);
        write(0, CHUNK, 'a');
        device.flush();
        write(CHUNK, CHUNK, 'b');
        failNextSync(1);
        assertErrno(Errno.EIO, device::flush);
        assertErrno(Errno.EIO, device::flush);
        assertErrno(Errno.EIO, () -> write(0, 1, 'x'));
        assertErrno(Errno.EIO, () -> write(2 * CHUNK, 1, 'x'));
        assertErrno(Errno.EIO, () -> device.discard(0, CHUNK));
        assertErrno(Errno.EIO, () -> device.discard(1, 10));
        assertThat(letters(0, 1, 2)).isEqualTo("abo");
        assertErrno(Errno.EIO, device::close);
        device.close();
        open(TestDevices.BOOT);
        assertThat(letters(0, 1, 2)).isEqualTo("abo");
        write(2 * CHUNK, CHUNK, 'c');
        device.flush();
        reopenAndCheck("abc");
    }

    @Test
    void syncAfterTheBarrierCountsToo() throws IOException {
        create(1024);
        write(0, CHUNK, 'a');
        failNextSync(2);
        assertErrno(Errno.EIO, device::flush);
        assertErrno(Errno.EIO, () -> write(0, 1, 'x'));
    }

    @Test
    void failedSyncOfACheckpointStopsTheStore() throws IOException {
        for (int nth = 1; nth <= 2; nth++) {
            file.hook((call, offset, length) -> {});
            disk.truncate(0);
            create(64);
            write(0, CHUNK, 'a');
            device.flush();
            failNextSync(nth);
            assertErrno(Errno.EIO, () -> writeEach(100, 'b'));
            assertErrno(Errno.EIO, () -> write(0, 1, 'x'));
            assertThat(letters(0, 1, 99)).isEqualTo("bbo");
            assertErrno(Errno.EIO, device::close);
            open(TestDevices.BOOT);
            assertThat(letters(0, 1, 99)).isEqualTo("bbo");
            reopenAndCheck("bbb");
        }
    }

    @Test
    void slotThatCannotBePunchedIsFreeLikeTheRest() throws IOException {
        create(1024);
        write(0, 5 * CHUNK, 'a');
        device.flush();
        long end = disk.size();
        // Slots of chunks 0, 2 and 4: three runs.
        for (int chunk = 0; chunk < 5; chunk += 2) {
            device.discard((long) chunk * CHUNK, CHUNK);
        }
        AtomicInteger left = new AtomicInteger(1);
        file.hook((call, offset, length) -> {
            if (call == Call.PUNCH && left.getAndDecrement() > 0) {
                throw new NativeException("fallocate", Errno.EIO);
            }
        });
        // Not one more block, so that the freed slots are all there is.
        disk.limitAllocationTo(disk.allocatedBytes());
        write(10 * CHUNK, 3 * CHUNK, 'b');
        assertThat(file.count(Call.PUNCH)).isGreaterThanOrEqualTo(3);
        assertThat(disk.size()).isEqualTo(end);
        assertThat(letters(0, 1, 2, 3, 4, 10, 11, 12)).isEqualTo("\0a\0a\0bbb");
        disk.limitAllocationTo(Long.MAX_VALUE);
        reopenAndCheck("\0a\0a\0ooooobbb");
    }

    /** What a bug in the maintenance thread left half done must not reach the disk. */
    @Test
    void bugInMaintenanceStopsTheStore() throws IOException {
        create(1024);
        device.close();
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, TestDevices.BOOT, readers, true);
        device = TestDevices.over(FORMAT.open(file, Path.of("x"), context), TestDevices.origin(base), readers);
        write(0, 2 * CHUNK, 'a');
        file.hook((call, offset, length) -> {
            if (call == Call.PUNCH) {
                throw new IllegalStateException("a bug");
            }
        });
        device.discard(0, CHUNK);
        assertThatThrownBy(() -> {
                    // The thread gives the slot back after this flush; then, and not before, changes are refused.
                    device.flush();
                    while (true) {
                        write(CHUNK, 1, 'a');
                    }
                })
                .isInstanceOf(IOException.class)
                .hasMessageContaining("changes are refused until it is reopened")
                .hasRootCauseMessage("a bug");
        assertErrno(Errno.EIO, device::flush);
        assertThat(letters(0, 1)).isEqualTo("\0a");
        file.hook((call, offset, length) -> {});
        assertErrno(Errno.EIO, device::close);
        open(TestDevices.BOOT);
        reopenAndCheck("\0a");
    }

    @Test
    void failedJournalWriteFailsOneRequest() throws IOException {
        create(1024);
        write(0, CHUNK, 'a');
        AtomicInteger left = new AtomicInteger(1);
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset >= 64 << 10 && offset < 96 << 10 && left.getAndDecrement() > 0) {
                throw new NativeException("pwrite", Errno.EIO);
            }
        });
        assertErrno(Errno.EIO, () -> write(CHUNK, CHUNK, 'b'));
        assertThat(letters(0, 1)).isEqualTo("ao");
        write(2 * CHUNK, CHUNK, 'c');
        write(CHUNK, CHUNK, 'd');
        device.flush();
        // The hole in the ring stays there; recovery steps over it.
        open(TestDevices.NEXT_BOOT);
        assertThat(letters(0, 1, 2)).isEqualTo("adc");
        reopenAndCheck("adc");
    }

    @Test
    void failedWriteInPlaceLeavesTheCallersBufferUsable() throws IOException {
        create(1024);
        write(0, CHUNK, 'a');
        file.hook((call, offset, length) -> {
            throw new NativeException("pwrite", Errno.EIO);
        });
        ByteBuffer src = TestDevices.direct(filled(3 * CHUNK, 'b'), 0, 3 * CHUNK);
        assertErrno(Errno.EIO, () -> device.write(10, src));
        assertThat(src.limit()).isEqualTo(3 * CHUNK);
        file.hook((call, offset, length) -> {});
        device.write(10, src.rewind());
        assertThat(letters(0, 1, 2, 3)).isEqualTo("abbb");
    }

    @Test
    void failedSuperblockWriteStopsTheStoreAndLosesNothing() throws IOException {
        create(1024);
        write(0, 2 * CHUNK, 'a');
        file.hook((call, offset, length) -> {
            if (call == Call.WRITE && offset < 64 << 10) {
                throw new NativeException("pwrite", Errno.EIO);
            }
        });
        assertErrno(Errno.EIO, device::close);
        file.hook((call, offset, length) -> {});
        open(TestDevices.BOOT);
        reopenAndCheck("aa");
    }

    @Test
    void baseThatFailsLeavesTheChunkAsItWas() throws IOException {
        create(1024);
        SparseFile other = new SparseFile();
        FORMAT.create(other, CHUNKS * CHUNK, null, StoreOptions.ofChunk(1 << 12));
        AtomicInteger failures = new AtomicInteger(1);
        Origin sound = TestDevices.origin(base);
        try (CowDevice flaky = TestDevices.open(
                FORMAT,
                other,
                new Origin() {
                    @Override
                    public long sizeBytes() {
                        return base.length;
                    }

                    @Override
                    public void read(ByteBuffer dst, long offset) throws IOException {
                        if (failures.getAndDecrement() > 0) {
                            throw new NativeException("pread", Errno.EIO);
                        }
                        sound.read(dst, offset);
                    }

                    @Override
                    public void close() {}
                },
                TestDevices.BOOT)) {
            byte[] one = filled(10, 'n');
            assertErrno(Errno.EIO, () -> flaky.write(5, TestDevices.direct(one, 0, 10)));
            flaky.write(5, TestDevices.direct(one, 0, 10));
            assertThat(TestDevices.read(flaky, 4, 3)).containsExactly('o', 'n', 'n');
            assertThat(flaky.stats().alteredChunks()).isEqualTo(1);
        }
    }

    private void fillJournal() throws IOException {
        fillJournal(CHUNK);
    }

    private void fillJournal(int chunkSize) throws IOException {
        int chunk = 0;
        // The last eighth is for discards and sixteen records for barriers.
        while (device.stats().journalRecords() < device.stats().journalCapacity() * 7 / 8 - 16) {
            write(chunk++ * chunkSize, CHUNK, 'a');
        }
    }

    private void create(long records) throws IOException {
        create(records, 12);
    }

    private void create(long records, int shift) throws IOException {
        UcowFormat.create(disk, new Geometry(CHUNKS * CHUNK, shift), null, StoreOptions.NONE, records, new UUID(7, 9));
        open(TestDevices.BOOT);
    }

    private void open(UUID boot) throws IOException {
        device = TestDevices.open(FORMAT, file, TestDevices.origin(base), boot);
    }

    private void reopenAndCheck(String letters) throws IOException {
        device.close();
        assertThat(FORMAT.check(disk, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
        open(TestDevices.NEXT_BOOT);
        for (int i = 0; i < letters.length(); i++) {
            assertThat(letters(i)).as("chunk %d", i).isEqualTo(letters.substring(i, i + 1));
        }
        device.close();
    }

    private void write(int offset, int length, int letter) throws IOException {
        device.write(offset, TestDevices.direct(filled(length, letter), 0, length));
    }

    /** The first chunks, one record for each. */
    private void writeEach(int chunks, int letter) throws IOException {
        for (int chunk = 0; chunk < chunks; chunk++) {
            write(chunk * CHUNK, CHUNK, letter);
        }
    }

    private static byte[] filled(int length, int letter) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) letter);
        return bytes;
    }

    /** The first letter of each chunk. */
    private String letters(int... chunks) throws IOException {
        StringBuilder letters = new StringBuilder();
        for (int chunk : chunks) {
            letters.append((char) TestDevices.read(device, (long) chunk * CHUNK, 1)[0]);
        }
        return letters.toString();
    }

    private void failNextSync(int nth) {
        AtomicInteger left = new AtomicInteger(nth);
        file.hook((call, offset, length) -> {
            if (call == Call.SYNC && left.decrementAndGet() == 0) {
                throw new NativeException("fdatasync", Errno.EIO);
            }
        });
    }

    private static NativeException noSpace() {
        return new NativeException("pwrite", Errno.ENOSPC);
    }

    private static void assertNoSpace(ThrowingCallable call) {
        assertErrno(Errno.ENOSPC, call);
    }

    private static void assertErrno(int errno, ThrowingCallable call) {
        assertThatThrownBy(call)
                .isInstanceOf(IOException.class)
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(errno));
    }
}
