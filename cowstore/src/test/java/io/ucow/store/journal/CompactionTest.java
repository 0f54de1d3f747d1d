package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CompactReport;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** How short a file becomes, and that the device holds what it held. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CompactionTest {
    /** Checkpoints are many. */
    private static final long RECORDS = 64;

    private static final UcowFormat FORMAT = new UcowFormat();

    private final SparseFile file = new SparseFile();
    private int chunk;
    private long dataStart;
    private byte[] base;
    private byte[] model;
    private CowDevice device;

    private void create(int shift, int chunks, long maxSlots) throws IOException {
        chunk = 1 << shift;
        Geometry geometry = new Geometry((long) chunks << shift, shift);
        dataStart = (64 << 10) + RECORDS * 32 + chunk - 1 & -(long) chunk;
        long maxBytes = maxSlots == 0 ? 0 : dataStart + ((PagePool.mostSlots(geometry, 0) + maxSlots) << shift);
        UcowFormat.create(file, geometry, null, StoreOptions.NONE.withMaxBytes(maxBytes), RECORDS, new UUID(1, 2));
        base = new byte[chunks << shift];
        new Random(shift).nextBytes(base);
        model = base.clone();
        open();
    }

    private void open() throws IOException {
        device = TestDevices.open(FORMAT, file, TestDevices.origin(base), TestDevices.BOOT);
    }

    private void closeAndCheck() throws IOException {
        device.close();
        assertThat(FORMAT.check(file, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
        open();
        assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                .isEqualTo(-1);
        device.close();
    }

    private void write(long offset, int length, int letter) throws IOException {
        Arrays.fill(model, (int) offset, (int) offset + length, (byte) letter);
        device.write(offset, TestDevices.direct(model, (int) offset, length));
    }

    private void discard(long offset, int length) throws IOException {
        Arrays.fill(model, (int) offset, (int) offset + length, (byte) 0);
        device.discard(offset, length);
    }

    @Test
    void whatIsLeftAtTheEndMovesToTheFront() throws IOException {
        create(15, 300, 0);
        for (int i = 0; i < 300; i++) {
            write((long) i * chunk, chunk, 'a' + i % 26);
        }
        discard(0, 290 * chunk);
        long before = file.size();
        CompactReport report = TestDevices.compact(device);
        assertThat(report.movedBytes()).isEqualTo(10L * chunk);
        assertThat(report.sizeBefore()).isEqualTo(before);
        assertThat(report.sizeAfter()).isEqualTo(file.size());
        // Ten chunks; the map's two pages.
        assertThat(file.size()).isLessThanOrEqualTo(dataStart + 11L * chunk);
        assertThat(report.allocatedAfter()).isEqualTo(file.allocatedBytes()).isLessThan(report.allocatedBefore());
        CompactReport again = TestDevices.compact(device);
        assertThat(again.movedBytes()).isZero();
        assertThat(again.sizeAfter()).isEqualTo(again.sizeBefore());
        closeAndCheck();
    }

    @Test
    void whatIsDiscardedAltogetherLeavesNothing() throws IOException {
        create(12, 1000, 0);
        write(0, model.length, 'x');
        discard(0, model.length);
        TestDevices.compact(device);
        // The map, which says that all is zero.
        assertThat(file.size()).isLessThanOrEqualTo(dataStart + 4L * chunk);
        closeAndCheck();
    }

    @Test
    void freeEndGoesWhenTheImageIsClosed() throws IOException {
        create(15, 300, 0);
        write(0, model.length, 'x');
        discard(10L * chunk, model.length - 10 * chunk);
        device.close();
        assertThat(file.size()).isLessThan(dataStart + 400L * chunk);
        long allocated = file.allocatedBytes();
        open();
        TestDevices.compact(device);
        device.close();
        assertThat(file.size()).isLessThanOrEqualTo(dataStart + 11L * chunk);
        assertThat(file.allocatedBytes()).isLessThanOrEqualTo(allocated + chunk);
        open();
        closeAndCheck();
    }

    @ParameterizedTest(name = "chunk 2^{0}, seed {1}")
    @CsvSource({"12, 1", "12, 2", "13, 3", "15, 4", "15, 5", "16, 6", "18, 7"})
    void anyImageBecomesAsShortAsItsData(int shift, int seed) throws IOException {
        int chunks = shift < 15 ? 1500 : (200 << 15) >> shift;
        create(shift, chunks, 0);
        Random random = new Random(seed);
        for (int round = 0; round < 4; round++) {
            for (int i = 0; i < 400; i++) {
                int offset = random.nextInt(model.length);
                int length =
                        Math.min(model.length - offset, 1 + random.nextInt(random.nextBoolean() ? 5000 : 6 * chunk));
                if (random.nextInt(round % 2 == 0 ? 3 : 2) == 0) {
                    discard(offset & -chunk, Math.min(model.length - (offset & -chunk), 12 * chunk));
                } else {
                    write(offset, length, random.nextInt(8) == 0 ? 0 : 'a' + i % 26);
                }
            }
            if (random.nextBoolean()) {
                device.flush();
            }
            TestDevices.compact(device);
            // The map takes two or three pages, the last checkpoint's next to those before; a slot is never shared.
            long slots = device.stats().alteredChunks() + (shift < 15 ? 8 : 2);
            assertThat(file.size()).isLessThanOrEqualTo(dataStart + slots * chunk);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                    .isEqualTo(-1);
        }
        closeAndCheck();
    }

    @ParameterizedTest
    @CsvSource({"12", "15"})
    void storeAtItsMaxSizeIsCompacted(int shift) throws IOException {
        create(shift, 2000, 100);
        int written = fill();
        discard(0, (written - 20) * chunk);
        CompactReport report = TestDevices.compact(device);
        assertThat(report.sizeAfter()).isLessThan(report.sizeBefore() - 60L * chunk);
        assertThat(fill()).as("the room is there again").isGreaterThan(60);
        TestDevices.compact(device);
        closeAndCheck();
    }

    /** @return how many chunks were written before there was no room */
    private int fill() throws IOException {
        for (int i = 0; ; i++) {
            byte[] before = Arrays.copyOfRange(model, i * chunk, (i + 1) * chunk);
            try {
                write((long) i * chunk, chunk, 'f');
            } catch (IOException e) {
                assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC);
                System.arraycopy(before, 0, model, i * chunk, chunk);
                return i;
            }
        }
    }

    /** A disk with room for one chunk: what was moved makes room for the next. */
    @Test
    void littleRoomIsEnough() throws IOException {
        create(15, 300, 0);
        write(0, model.length, 'x');
        discard(0, 200 * chunk);
        device.flush();
        TestDevices.move(device, 299);
        file.limitAllocationTo(file.allocatedBytes() + chunk);
        TestDevices.compact(device);
        file.limitAllocationTo(Long.MAX_VALUE);
        assertThat(file.size()).isLessThanOrEqualTo(dataStart + 101L * chunk);
        closeAndCheck();
    }

    @Test
    void fullDiskIsAnErrorThatCostsNothing() throws IOException {
        create(15, 300, 0);
        write(0, model.length, 'x');
        discard(0, 200 * chunk);
        // What is free is free already, and all of it is somebody else's.
        TestDevices.move(device, 0);
        device.close();
        open();
        file.fillDisk();
        assertThatThrownBy(() -> TestDevices.compact(device))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));
        assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                .isEqualTo(-1);
        file.limitAllocationTo(Long.MAX_VALUE);
        closeAndCheck();
    }

    @Test
    void readOnlyImageIsRefused() throws IOException {
        create(12, 10, 0);
        device.close();
        device = TestDevices.openReadOnly(FORMAT, file, TestDevices.origin(base), TestDevices.BOOT);
        assertThatThrownBy(() -> TestDevices.compact(device))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EROFS));
        device.close();
    }
}
