package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.ChunkSource;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.GracePeriod;
import io.ucow.store.MapExtent;
import io.ucow.store.OriginReference;
import io.ucow.store.RepairReport;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.PackedChunk;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Compressed chunks: how they come to be, are read, written to and given back, and what damage does to them. */
@Timeout(60)
class PackingTest {
    private static final int SHIFT = 15;
    private static final int CHUNK = 1 << SHIFT;
    private static final int CHUNKS = 60;
    private static final int SIZE = CHUNKS * CHUNK - 777;
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final UUID STORE = new UUID(7, 11);

    private final SparseFile image = new SparseFile();
    private final byte[] model = new byte[SIZE];
    private final Random random = new Random(4);
    private UcowStore store;
    private CowDevice device;

    PackingTest() throws IOException {
        UcowFormat.create(image, new Geometry(SIZE, SHIFT), null, StoreOptions.NONE.withCodec("lz4"), 1024, STORE);
        device = open();
    }

    private CowDevice open() throws IOException {
        GracePeriod readers = new GracePeriod();
        store = UcowStore.open(image, Path.of("x.cow"), new StoreContext(false, TestDevices.BOOT, readers, false));
        return TestDevices.over(store, TestDevices.origin(new byte[0]), readers);
    }

    private void round() throws IOException {
        long[] chunks = new long[4];
        for (int n = store.packer().next(chunks); n >= 0; n = store.packer().next(chunks)) {
            device.relocate(chunks, n, store.packer());
        }
    }

    @Test
    void coldChunksTakeLessSpaceAndReadTheSame() throws IOException {
        write(0, SIZE, 2);
        device.flush();
        long before = device.allocatedBytes();

        TestDevices.packAll(device);

        assertThat(device.stats().packedChunks()).isEqualTo(CHUNKS);
        assertThat(device.stats().logicalBytes()).isEqualTo((long) CHUNKS * CHUNK);
        assertThat(device.stats().storedBytes()).isLessThan(CHUNKS * CHUNK * 2 / 3);
        assertThat(device.allocatedBytes()).isLessThan(before - CHUNKS * CHUNK / 4);
        assertSame();
        reopen();
        assertThat(device.info().packedChunks()).isEqualTo(CHUNKS);
        assertThat(device.info().savedBytes())
                .isEqualTo((long) CHUNKS * CHUNK - device.info().packedBytes());
        assertSame();
    }

    @Test
    void hotChunksStayAsTheyAre() throws IOException {
        write(0, 10 * CHUNK, 3);
        round();
        assertThat(device.stats().packedChunks())
                .as("in the round that sees them first")
                .isZero();
        write(3 * CHUNK + 100, 5, 3);

        round();

        assertThat(device.stats().packedChunks()).isEqualTo(9);
        assertSame();
    }

    @Test
    void whatCannotBeCompressedStaysAndIsNotTriedAgain() throws IOException {
        write(0, 4 * CHUNK, 256);
        write(4 * CHUNK, CHUNK, 2);

        TestDevices.packAll(device);

        assertThat(device.stats().packedChunks()).isEqualTo(1);
        long[] chunks = new long[8];
        assertThat(store.packer().next(chunks)).isEqualTo(-1);
        assertThat(store.packer().hasWork()).isFalse();
        write(2 * CHUNK, CHUNK, 2);
        TestDevices.packAll(device);
        assertThat(device.stats().packedChunks()).as("written anew").isEqualTo(2);
        assertSame();
    }

    @Test
    void aWriteToAPackedChunkMovesItToASlot() throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);

        write(5 * CHUNK + 1234, 77, 256);
        write(7 * CHUNK, CHUNK, 256);
        write(9 * CHUNK - 5, 2 * CHUNK + 10, 256);
        device.discard(20 * CHUNK + 4096, 8192);
        Arrays.fill(model, 20 * CHUNK + 4096, 20 * CHUNK + 4096 + 8192, (byte) 0);

        assertSame();
        assertThat(device.stats().packedChunks()).isEqualTo(CHUNKS - 1 - 1 - 4 - 1);
        reopen();
        assertSame();
    }

    @Test
    void discardedPacksGiveTheirSpaceBack() throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);
        device.flush();
        long packed = device.allocatedBytes();

        for (int chunk = 0; chunk < CHUNKS; chunk += 2) {
            discard(chunk);
        }
        store.reclaim();
        assertThat(device.allocatedBytes()).isLessThan(packed);
        assertSame();
        for (int chunk = 1; chunk < CHUNKS; chunk += 2) {
            discard(chunk);
        }
        store.reclaim();

        assertSame();
        device.close();
        SparseFile empty = new SparseFile();
        UcowFormat.create(empty, new Geometry(SIZE, SHIFT), null, StoreOptions.NONE.withCodec("lz4"), 1024, STORE);
        // Pages of the map.
        assertThat(image.allocatedBytes()).isLessThanOrEqualTo(empty.allocatedBytes() + 4 * 4096);
    }

    /** Each live packed chunk may have the blocks at its ends alone: even so it takes no more than its slot did. */
    @Test
    void noChunkTakesMorePackedThanPlainWhateverGoesAroundIt() throws IOException {
        for (int round = 0; round < 12; round++) {
            int live = 0;
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                write(chunk * CHUNK, Math.min(CHUNK, SIZE - chunk * CHUNK), 2 + random.nextInt(7));
            }
            TestDevices.packAll(device);
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                if (random.nextInt(3) > 0) {
                    discard(chunk);
                } else {
                    live++;
                }
            }
            store.reclaim();
            long metadata = (64 << 10) + 1024 * 32 + CHUNK + 2 * CHUNK;
            assertThat(device.allocatedBytes()).isLessThanOrEqualTo((long) live * CHUNK + metadata);
            assertSame();
        }
        reopen();
        assertSame();
    }

    @ParameterizedTest
    @ValueSource(ints = {14, 16, 18, 20})
    void everyChunkSizeAndEveryPieceReadsTheSame(int shift) throws IOException {
        int size = 6 * (1 << shift) - 13;
        SparseFile file = new SparseFile();
        UcowFormat.create(file, new Geometry(size, shift), null, StoreOptions.NONE.withCodec("lz4"), 1024, STORE);
        byte[] content = new byte[size];
        for (int i = 0; i < size; i++) {
            content[i] = (byte) ("text" + i / 7).charAt(i % 5);
        }
        // A segment that is stored as it is, in a chunk that saves space all the same.
        byte[] noise = new byte[1 << PackedChunk.segmentShift(shift)];
        random.nextBytes(noise);
        System.arraycopy(noise, 0, content, 2 << shift, shift == 14 ? 100 : noise.length);
        try (CowDevice other = TestDevices.open(FORMAT, file, TestDevices.origin(new byte[0]), TestDevices.BOOT)) {
            other.write(0, TestDevices.direct(content, 0, size));
            TestDevices.packAll(other);
            assertThat(other.stats().packedChunks()).isEqualTo(6);
            for (int i = 0; i < 400; i++) {
                int at = random.nextInt(size);
                int length = random.nextInt(Math.min(size - at, i % 2 == 0 ? 5000 : 3 << shift) + 1);
                assertThat(TestDevices.read(other, at, length)).isEqualTo(Arrays.copyOfRange(content, at, at + length));
            }
        }
        assertThat(FORMAT.check(file, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
    }

    @Test
    void chunksThatTheBaseHasAPartOfStay() throws IOException {
        byte[] base = new byte[10 * CHUNK + 5];
        random.nextBytes(base);
        SparseFile file = new SparseFile();
        byte[] content = Arrays.copyOf(base, SIZE);
        // The store records what the base's size is; blocks past that are zeros, and may be packed.
        UcowFormat.create(
                file,
                new Geometry(SIZE, SHIFT),
                new OriginReference("base", base.length, 0, 0, "00".repeat(32), false),
                StoreOptions.NONE.withCodec("lz4"),
                1024,
                STORE);
        try (CowDevice other = TestDevices.open(FORMAT, file, TestDevices.origin(base), TestDevices.BOOT)) {
            for (int at : new int[] {4096, 10 * CHUNK + 4096, 11 * CHUNK + 4096, 20 * CHUNK}) {
                other.write(at, TestDevices.direct(new byte[16384], 0, 16384));
                Arrays.fill(content, at, at + 16384, (byte) 0);
            }
            // One block takes as little as it can.
            other.write(30 * CHUNK, TestDevices.direct(new byte[4096], 0, 4096));
            TestDevices.packAll(other);
            assertThat(packed(other)).containsExactly(11L * CHUNK, 20L * CHUNK);
            assertThat(TestDevices.read(other, 0, SIZE)).isEqualTo(content);
        }
    }

    @Test
    void aDamagedChunkIsAnErrorOfItsOwnAndALineOfCheck() throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);
        device.close();
        device = open();
        MapExtent victim = extents(device).get(7);
        long offset = ((ChunkSource.Packed) victim.source()).storeOffset();
        flip(offset + 500);

        assertThatThrownBy(() -> TestDevices.read(device, 7 * CHUNK, 10))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("packed chunk 7")
                .hasMessageContaining("at 0x" + Long.toHexString(offset))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.EIO));
        assertThatThrownBy(() -> TestDevices.read(device, 6 * CHUNK, 3 * CHUNK)).isInstanceOf(IOException.class);
        assertThat(TestDevices.read(device, 8 * CHUNK, CHUNK))
                .isEqualTo(Arrays.copyOfRange(model, 8 * CHUNK, 9 * CHUNK));
        assertThat(device.stats().damagedReads()).isEqualTo(2);
        device.close();
        assertThat(FORMAT.check(image, Path.of("x"), TestDevices.BOOT).corruptions())
                .singleElement()
                .asString()
                .contains("at 0x" + Long.toHexString(offset) + ": packed chunk 7: ");
    }

    @Test
    void aChunkThatIsWrittenWholeNoLongerMindsItsDamage() throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);
        flip(((ChunkSource.Packed) extents(device).get(7).source()).storeOffset());
        assertThatThrownBy(() -> device.write(7 * CHUNK + 3, TestDevices.direct(new byte[5], 0, 5)))
                .isInstanceOf(IOException.class);

        write(7 * CHUNK, CHUNK, 3);

        assertSame();
        reopen();
    }

    @Test
    void repairDropsTheDamagedChunkAlone() throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);
        long offset = ((ChunkSource.Packed) extents(device).get(7).source()).storeOffset();
        device.close();
        flip(offset + 300);

        RepairReport report = FORMAT.repair(image, Path.of("x"), TestDevices.BOOT, content -> {
            content.writeTo(new SparseFile());
            return Path.of("copy");
        });

        assertThat(report.lost()).containsExactly(new RepairReport.LostRange(7 * CHUNK, CHUNK));
        Arrays.fill(model, 7 * CHUNK, 8 * CHUNK, (byte) 0);
        device = open();
        assertSame();
        reopen();
    }

    /** Two entries of one place, and one of another chunk's: neither ever reads as what it is not. */
    @ParameterizedTest
    @CsvSource({"7, 8", "8, 7"})
    void anotherChunksBytesAreNotTakenForItsOwn(int from, int to) throws IOException {
        write(0, SIZE, 3);
        TestDevices.packAll(device);
        List<MapExtent> extents = extents(device);
        byte[] bytes = new byte[CHUNK];
        ChunkSource.Packed source = (ChunkSource.Packed) extents.get(from).source();
        ChunkSource.Packed target = (ChunkSource.Packed) extents.get(to).source();
        ByteBuffer copy = ByteBuffer.allocateDirect(Math.min(source.storedBytes(), target.storedBytes()));
        image.read(copy, source.storeOffset());
        image.write(copy.flip(), target.storeOffset());

        assertThatThrownBy(() -> TestDevices.read(device, (long) to * CHUNK, bytes.length))
                .hasMessageContaining("packed chunk is " + from + ", expected " + to);
    }

    @Test
    void smallChunksAreRefused() {
        assertThatThrownBy(() -> UcowFormat.create(
                        new SparseFile(),
                        new Geometry(1 << 20, 13),
                        null,
                        StoreOptions.NONE.withCodec("lz4"),
                        64,
                        STORE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("16K or more");
    }

    @Test
    void anotherCodecIsRefused() throws IOException {
        device.close();
        for (int place = 0; place < 2; place++) {
            ByteBuffer block = ByteBuffer.allocateDirect(4096).order(ByteOrder.LITTLE_ENDIAN);
            image.read(block, place * 4096L);
            block.put(80, (byte) 2).putInt(12, 0);
            CRC32C crc = new CRC32C();
            crc.update(block.duplicate().clear());
            block.putInt(12, (int) crc.getValue());
            image.write(block.clear(), place * 4096L);
        }
        assertThatThrownBy(this::open)
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("codec 2")
                .hasMessageContaining("use a newer ucow");
    }

    @Test
    void aFullDiskLeavesChunksAsTheyAre() throws IOException {
        write(0, SIZE, 3);
        device.flush();
        image.limitAllocationTo(image.allocatedBytes());

        assertThatThrownBy(() -> TestDevices.packAll(device))
                .satisfies(e -> assertThat(Errno.of(e)).isEqualTo(Errno.ENOSPC));

        assertThat(store.packer().hasWork()).isTrue();
        assertSame();
        image.limitAllocationTo(Long.MAX_VALUE);
        TestDevices.packAll(device);
        assertThat(device.stats().packedChunks()).isEqualTo(CHUNKS);
        reopen();
        assertSame();
    }

    private void write(int at, int length, int variety) throws IOException {
        for (int i = at; i < at + length; i++) {
            model[i] = (byte) random.nextInt(variety);
        }
        device.write(at, TestDevices.direct(model, at, length));
    }

    private void discard(int chunk) throws IOException {
        int length = Math.min(CHUNK, SIZE - chunk * CHUNK);
        device.discard((long) chunk * CHUNK, length);
        Arrays.fill(model, chunk * CHUNK, chunk * CHUNK + length, (byte) 0);
    }

    private void flip(long offset) throws IOException {
        ByteBuffer one = ByteBuffer.allocateDirect(1);
        image.read(one, offset);
        image.write(one.put(0, (byte) ~one.get(0)).flip(), offset);
    }

    private void assertSame() throws IOException {
        assertThat(TestDevices.read(device, 0, SIZE)).isEqualTo(model);
        for (int i = 0; i < 40; i++) {
            int at = random.nextInt(SIZE);
            int length = random.nextInt(Math.min(SIZE - at, 9000) + 1);
            assertThat(TestDevices.read(device, at, length)).isEqualTo(Arrays.copyOfRange(model, at, at + length));
        }
    }

    private void reopen() throws IOException {
        device.close();
        assertThat(FORMAT.check(image, Path.of("x"), TestDevices.BOOT).corruptions())
                .isEmpty();
        assertThat(FORMAT.check(image, Path.of("x"), TestDevices.BOOT).leakedBytes())
                .isZero();
        device = open();
    }

    private static List<MapExtent> extents(CowDevice device) throws IOException {
        List<MapExtent> extents = new ArrayList<>();
        device.forEachExtent(extents::add);
        return extents;
    }

    private static List<Long> packed(CowDevice device) throws IOException {
        return extents(device).stream()
                .filter(e -> e.source() instanceof ChunkSource.Packed)
                .map(MapExtent::guestOffset)
                .toList();
    }
}
