package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.Origin;
import io.ucow.store.Preallocation;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Stores for which space was set aside, all or that of the map, on a disk that others have filled since. */
class PreallocationTest {
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final Path IMAGE = Path.of("x");
    private static final int CHUNK = 1 << 15;
    private static final int CHUNKS = 300;
    private static final Geometry GEOMETRY = new Geometry((long) CHUNKS * CHUNK, 15);
    /** Of a device whose map has many pages. */
    private static final int LEAVES = 30, SMALL_CHUNK = 1 << 12;

    private static final long LEAF = (long) MapPage.FANOUT * SMALL_CHUNK;

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
                StoreOptions.NONE.withChecksums(checksums).withPreallocation(Preallocation.FULL),
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

    private void createForMap(StoreOptions options) throws IOException {
        Geometry many = new Geometry(LEAVES * LEAF, 12);
        UcowFormat.create(
                file,
                many,
                null,
                options.withPreallocation(Preallocation.METADATA),
                SmallStore.RECORDS,
                UUID.randomUUID());
        file.fillDisk();
    }

    private CowDevice open(UUID boot) throws IOException {
        return TestDevices.open(FORMAT, file, TestDevices.origin(new byte[0]), boot);
    }

    /** The {@code i}th of chunks that are spread over all pages of the map. */
    private static long spread(int i) {
        return i % LEAVES * LEAF + (long) (i / LEAVES) * SMALL_CHUNK;
    }

    private static void write(CowDevice device, int i) throws IOException {
        byte[] bytes = new byte[SMALL_CHUNK];
        Arrays.fill(bytes, (byte) i);
        device.write(spread(i), TestDevices.direct(bytes, 0, SMALL_CHUNK));
    }

    private void assertSound() throws IOException {
        assertThat(FORMAT.check(file, IMAGE, TestDevices.BOOT).corruptions()).isEmpty();
        assertThat(FORMAT.check(file, IMAGE, TestDevices.BOOT).leakedBytes()).isZero();
    }

    /** Neither a checkpoint nor an opening after power loss takes space: all that there is goes to data. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void withItsMapSetAsideWritesTakeSpaceForDataAlone(boolean checksums) throws IOException {
        createForMap(StoreOptions.NONE.withChecksums(checksums));
        long metadata = file.allocatedBytes();
        int room = 3000;
        file.limitAllocationTo(metadata + (long) room * SMALL_CHUNK);
        for (int i = 0; i < room; ) {
            // What a flush made durable is folded into the map by the next opening, in another boot.
            CowDevice device = open(new UUID(i, 1));
            for (int end = i + 700; i < end && i < room; i++) {
                write(device, i);
            }
            device.flush();
        }
        try (CowDevice device = open(TestDevices.BOOT)) {
            assertThatThrownBy(() -> write(device, room)).hasMessageContaining("ENOSPC");
            for (int i = 0; i < room; i++) {
                assertThat(TestDevices.read(device, spread(i), 1)).containsExactly((byte) i);
            }
            assertThat(device.stats().checkpoints()).isPositive();
        }
        assertThat(file.allocatedBytes()).isEqualTo(metadata + (long) room * SMALL_CHUNK);
        assertSound();
        assertThat(FORMAT.optionsOf(file, IMAGE).preallocation()).isEqualTo(Preallocation.METADATA);
    }

    @Test
    void compactionKeepsWhatIsSetAsideForTheMap() throws IOException {
        createForMap(StoreOptions.NONE);
        long metadata = file.allocatedBytes();
        long length = file.size();
        file.limitAllocationTo(Long.MAX_VALUE);
        try (CowDevice device = open(TestDevices.BOOT)) {
            for (int i = 0; i < 2000; i++) {
                write(device, i);
            }
            device.discard(0, LEAVES * LEAF);
            write(device, 5);
            TestDevices.compact(device);
            assertThat(device.info().details()).containsEntry("preallocation", "metadata");
        }
        assertThat(file.allocatedBytes()).isEqualTo(metadata + SMALL_CHUNK);
        assertThat(file.size()).isEqualTo(length + SMALL_CHUNK);
        assertSound();
    }

    @Test
    void whatIsSetAsideForTheMapGrowsWithTheDevice() throws IOException {
        long grown = 2 * LEAVES * LEAF;
        Origin none = TestDevices.origin(new byte[0]);
        createForMap(StoreOptions.NONE);
        SparseFile before = file.copy();
        assertThatThrownBy(() -> FORMAT.resize(file, IMAGE, TestDevices.BOOT, none, grown, false))
                .isInstanceOf(StoreFullException.class)
                .hasMessageMatching(".*no space for its map, which takes \\d+ bytes; make room");
        assertThat(file.sameAs(before)).isTrue();
        file.limitAllocationTo(Long.MAX_VALUE);
        try (CowDevice device = open(TestDevices.BOOT)) {
            write(device, 0);
        }
        FORMAT.resize(file, IMAGE, TestDevices.BOOT, none, grown, false);
        // Twice as many pages, twice; what the smaller device had is free but for its map.
        long pages = 2 * LEAVES + 1;
        assertThat(file.allocatedBytes()).isLessThan(before.allocatedBytes() + (2L * LEAVES + 10) * SMALL_CHUNK);
        assertThat(Recovery.readSuperblock(file).mapReserve()).isEqualTo((file.size() >>> 12) - 2 * pages);
        file.fillDisk();
        for (int round = 0; round < 3; round++) {
            try (CowDevice device = open(new UUID(round, 1))) {
                for (int leaf = 0; leaf < 2 * LEAVES; leaf++) {
                    device.discard(leaf * LEAF + (round + 2L) * SMALL_CHUNK, SMALL_CHUNK);
                }
                device.flush();
                assertThat(TestDevices.read(device, 0, 1)).containsExactly((byte) 0);
            }
            assertSound();
        }
        FORMAT.resize(file, IMAGE, TestDevices.BOOT, none, LEAVES * LEAF, true);
        assertSound();
    }

    @Test
    void mapReserveWithNothingBehindItGrowsWhereItIs() throws IOException {
        createForMap(StoreOptions.NONE);
        file.limitAllocationTo(Long.MAX_VALUE);
        long slot = Recovery.readSuperblock(file).mapReserve();
        FORMAT.resize(file, IMAGE, TestDevices.BOOT, TestDevices.origin(new byte[0]), 2 * LEAVES * LEAF, false);
        assertThat(Recovery.readSuperblock(file).mapReserve()).isEqualTo(slot);
        assertThat(file.allocatedBytes()).isEqualTo(file.size());
        assertSound();
    }

    @Test
    void mapReserveFitsIntoAMaxSizeOrIsRefused() throws IOException {
        long start = (64 << 10) + 4096;
        long pages = MapPage.pages((long) LEAVES * MapPage.FANOUT);
        assertThatThrownBy(() -> createForMap(StoreOptions.NONE.withMaxBytes(start + 4 * pages * SMALL_CHUNK)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is less than " + (start + (4 * pages + 1) * SMALL_CHUNK));
        createForMap(StoreOptions.NONE.withMaxBytes(start + (4 * pages + 9) * SMALL_CHUNK));
        file.limitAllocationTo(Long.MAX_VALUE);
        try (CowDevice device = open(TestDevices.BOOT)) {
            for (int i = 0; i < 9; i++) {
                write(device, i);
            }
            assertThatThrownBy(() -> write(device, 9)).hasMessageContaining("slots are in use");
        }
        assertThatThrownBy(() -> FORMAT.resize(
                        file, IMAGE, TestDevices.BOOT, TestDevices.origin(new byte[0]), (LEAVES + 1) * LEAF, false))
                .hasMessageContaining("leaves no room for the map of a larger device");
        assertSound();
    }

    /** A program that does not know of it may have written to the store meanwhile. */
    @Test
    void chunksInSlotsOfTheMapStayWhereTheyAre() throws IOException {
        UcowFormat.create(
                file, new Geometry(LEAVES * LEAF, 12), null, StoreOptions.NONE, SmallStore.RECORDS, UUID.randomUUID());
        try (CowDevice device = open(TestDevices.BOOT)) {
            for (int i = 0; i < 200; i++) {
                write(device, i);
            }
        }
        Superblock now = Recovery.readSuperblock(file);
        UcowFormat.write(file, now.withMapReserve(now.dataStart() >>> 12));
        for (int round = 0; round < 3; round++) {
            try (CowDevice device = open(TestDevices.BOOT)) {
                for (int i = 50; i < 150; i++) {
                    assertThat(TestDevices.read(device, spread(i), 1)).containsExactly((byte) i);
                    device.discard(spread(i), SMALL_CHUNK);
                    write(device, i);
                }
                device.flush();
            }
            assertSound();
        }
    }

    @Test
    void repairKeepsWhatIsSetAsideIfTheFileHasIt() throws IOException {
        createForMap(StoreOptions.NONE);
        file.limitAllocationTo(Long.MAX_VALUE);
        long slot = Recovery.readSuperblock(file).mapReserve();
        try (CowDevice device = open(TestDevices.BOOT)) {
            write(device, 7);
        }
        file.write(
                ByteBuffer.allocateDirect(8).putLong(0, -1),
                (Recovery.readSuperblock(file).rootPage() << 12) + 40);
        FORMAT.repair(file, IMAGE, TestDevices.BOOT, content -> IMAGE);
        assertThat(Recovery.readSuperblock(file).mapReserve()).isEqualTo(slot);
        assertSound();
        Superblock now = Recovery.readSuperblock(file);
        UcowFormat.write(file, now.withMapReserve(file.size() >>> 12));
        assertThatThrownBy(() -> open(TestDevices.BOOT))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("are set aside for the map, expected slots from " + slot + " on and an end by");
        FORMAT.repair(file, IMAGE, TestDevices.BOOT, content -> IMAGE);
        assertThat(Recovery.readSuperblock(file).mapReserve()).isZero();
        assertSound();
        try (CowDevice device = open(TestDevices.BOOT)) {
            assertThat(TestDevices.read(device, spread(7), 1)).containsExactly((byte) 7);
        }
    }
}
