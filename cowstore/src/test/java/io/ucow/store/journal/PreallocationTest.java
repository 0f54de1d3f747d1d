package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Stores for which all space was set aside, on a disk that others have filled since. */
class PreallocationTest {
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final Path IMAGE = Path.of("x");
    private static final int CHUNK = 1 << 15;
    private static final int CHUNKS = 300;
    private static final Geometry GEOMETRY = new Geometry((long) CHUNKS * CHUNK, 15);

    private final SparseFile file = new SparseFile();
    private final byte[] model = new byte[CHUNKS * CHUNK];

    private void create() throws IOException {
        create(false);
    }

    private void create(boolean checksums) throws IOException {
        UcowFormat.create(
                file,
                GEOMETRY,
                null,
                StoreOptions.NONE.withChecksums(checksums).withReserved(true),
                SmallStore.RECORDS,
                UUID.randomUUID());
        file.fillDisk();
    }

    private CowDevice open() throws IOException {
        return TestDevices.open(FORMAT, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
    }

    private void write(CowDevice device, int offset, int length, int letter) throws IOException {
        Arrays.fill(model, offset, offset + length, (byte) letter);
        device.write(offset, TestDevices.direct(model, offset, length));
    }

    private void zero(CowDevice device, int offset, int length) throws IOException {
        device.discard(offset, length);
        Arrays.fill(model, offset, offset + length, (byte) 0);
    }

    private void assertModel(CowDevice device) throws IOException {
        assertThat(Arrays.mismatch(TestDevices.read(device, 0, model.length), model))
                .isEqualTo(-1);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void allOfItCanBeWrittenTimeAndAgainOnAFullDisk(boolean checksums) throws IOException {
        create(checksums);
        long taken = file.allocatedBytes();
        long length = file.size();
        Random random = new Random(5);
        for (int round = 0; round < 3; round++) {
            try (CowDevice device = open()) {
                for (int chunk = 0; chunk < CHUNKS; chunk++) {
                    write(device, chunk * CHUNK, CHUNK, 'a' + round);
                }
                for (int i = 0; i < 2000; i++) {
                    int at = random.nextInt(CHUNKS) * CHUNK;
                    int within = random.nextInt(4) * 8192;
                    zero(device, at + (i % 3 == 0 ? 0 : within), i % 3 == 0 ? CHUNK : 8192);
                    write(device, at + within, 8192, random.nextInt(100));
                }
                device.flush();
                assertModel(device);
            }
            assertThat(file.allocatedBytes()).isEqualTo(taken);
            assertThat(file.size()).isEqualTo(length);
        }
        assertThat(FORMAT.check(file, IMAGE, TestDevices.BOOT).corruptions()).isEmpty();
        assertThat(FORMAT.check(file, IMAGE, TestDevices.BOOT).leakedBytes()).isZero();
    }

    @Test
    void aDiskWithoutThatMuchRoomIsToldOf() throws IOException {
        file.limitAllocationTo(GEOMETRY.sizeBytes());
        assertThatThrownBy(this::create)
                .isInstanceOf(StoreFullException.class)
                .hasMessageMatching(
                        ".*: all that it can take is \\d{8} bytes, and its file system has \\d+ free; make room, .*"
                                + "without --preallocate");
    }

    @Test
    void itCannotGrow() throws IOException {
        create();
        assertThatThrownBy(
                        () -> FORMAT.resize(file, IMAGE, TestDevices.BOOT, null, GEOMETRY.sizeBytes() + CHUNK, false))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("set aside for the size that it has");
    }

    @Test
    void whatIsRepairedHasAllItsSpace() throws IOException {
        create();
        try (CowDevice device = open()) {
            write(device, 3 * CHUNK, CHUNK, 'r');
        }
        file.limitAllocationTo(Long.MAX_VALUE);
        long root = Recovery.readSuperblock(file).rootPage();
        file.write(ByteBuffer.allocateDirect(8).putLong(0, -1), (root << 12) + 40);
        assertThat(FORMAT.repair(file, IMAGE, TestDevices.BOOT, content -> IMAGE)
                        .lost())
                .isEmpty();
        file.fillDisk();
        try (CowDevice device = open()) {
            assertModel(device);
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                write(device, chunk * CHUNK, CHUNK, 's');
            }
            device.flush();
            assertModel(device);
        }
        assertThat(Recovery.readSuperblock(file).isReserved()).isTrue();
    }

    @Test
    void infoSaysSo() throws IOException {
        create();
        try (CowDevice device = open()) {
            assertThat(device.info().details()).containsEntry("preallocation", "full");
        }
    }
}
