package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
import org.junit.jupiter.params.provider.ValueSource;

/** A store with a greatest size: a full disk of its own (G5), where the map always finds room. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class MaxSizeTest {
    private static final int CHUNKS = 4096;
    private static final int ROOM = 100;
    /** Checkpoints are many. */
    private static final long RECORDS = 64;

    private static final UcowFormat FORMAT = new UcowFormat();

    private final SparseFile file = new SparseFile();
    private Geometry geometry;
    private int chunk;
    private long maxBytes;
    private byte[] model;
    private CowDevice device;

    private void create(int shift) throws IOException {
        chunk = 1 << shift;
        geometry = new Geometry((long) CHUNKS << shift, shift);
        long dataStart = (64 << 10) + RECORDS * 32 + chunk - 1 & -(long) chunk;
        maxBytes = dataStart + ((PagePool.mostSlots(geometry, 0) + ROOM) << shift);
        UcowFormat.create(file, geometry, null, StoreOptions.NONE.withMaxBytes(maxBytes), RECORDS, new UUID(1, 2));
        model = new byte[CHUNKS << shift];
        open();
    }

    private void open() throws IOException {
        device = TestDevices.open(FORMAT, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
    }

    @Test
    void writesThatNeedRoomFailAndAllElseGoesOn() throws IOException {
        create(15);
        int written = fill();
        assertThat(written).isBetween(ROOM / 2, ROOM);
        write(0, 'b');
        device.flush();
        assertNoSpace(written);
        device.discard(0, 2L * chunk);
        Arrays.fill(model, 0, 2 * chunk, (byte) 0);
        write(CHUNKS - 1, 'c');
        write(CHUNKS - 2, 'd');
        assertNoSpace(CHUNKS - 3);
        assertModelAndSize();
        device.close();
        open();
        assertNoSpace(CHUNKS - 3);
        assertModelAndSize();
        device.close();
        assertThat(FORMAT.check(file, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    /** Zero chunks take no slots, but pages of the map: all of them, time and again, while chunks fill the rest. */
    @ParameterizedTest
    @ValueSource(ints = {12, 15})
    void mapNeverLacksRoom(int shift) throws IOException {
        create(shift);
        Random random = new Random(shift);
        for (int round = 0; round < 3; round++) {
            fill();
            for (int i = 0; i < 1500; i++) {
                int at = random.nextInt(CHUNKS);
                device.discard((long) at * chunk, chunk);
                Arrays.fill(model, at * chunk, (at + 1) * chunk, (byte) 0);
                if (random.nextBoolean()) {
                    tryWrite(random.nextInt(CHUNKS), 'a' + round);
                }
            }
            device.flush();
            assertModelAndSize();
            device.close();
            open();
        }
        assertModelAndSize();
        device.close();
        assertThat(FORMAT.check(file, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void tooLittleIsRefusedWithTheLeastThereMayBe() throws IOException {
        Geometry large = new Geometry(1L << 40, 15);
        long least = (64 << 10) + (4 << 20) + ((PagePool.mostSlots(large, 0) + 1) << 15);
        assertThatThrownBy(() -> FORMAT.create(
                        file,
                        large.sizeBytes(),
                        null,
                        StoreOptions.ofChunk(large.chunkSize()).withMaxBytes(least - 1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("max size " + (least - 1) + " is less than " + least);
        FORMAT.create(
                file,
                large.sizeBytes(),
                null,
                StoreOptions.ofChunk(large.chunkSize()).withMaxBytes(least));
        assertThat(Recovery.readSuperblock(file).maxBytes()).isEqualTo(least);
    }

    @Test
    void infoSaysSo() throws IOException {
        create(12);
        assertThat(device.info().details()).containsEntry("max size", Long.toString(maxBytes));
    }

    /** @return how many chunks found room */
    private int fill() throws IOException {
        int written = 0;
        while (tryWrite(written, 'f')) {
            written++;
        }
        return written;
    }

    private boolean tryWrite(int at, int letter) throws IOException {
        try {
            write(at, letter);
            return true;
        } catch (IOException e) {
            assertThat(Errno.of(e)).as("%s", e).isEqualTo(Errno.ENOSPC);
            return false;
        }
    }

    private void assertNoSpace(int at) throws IOException {
        assertThat(tryWrite(at, 'x')).isFalse();
    }

    private void write(int at, int letter) throws IOException {
        byte[] bytes = new byte[chunk];
        Arrays.fill(bytes, (byte) letter);
        device.write((long) at * chunk, TestDevices.direct(bytes, 0, chunk));
        System.arraycopy(bytes, 0, model, at * chunk, chunk);
    }

    private void assertModelAndSize() throws IOException {
        assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                .isEqualTo(-1);
        assertThat(file.size()).isLessThanOrEqualTo(maxBytes);
    }
}
