package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CheckReport;
import io.ucow.store.ChunkSource;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.Geometry;
import io.ucow.store.HookedFile;
import io.ucow.store.MapExtent;
import io.ucow.store.RepairReport;
import io.ucow.store.SparseFile;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.PackedChunk;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * G7 for packed chunks: hostile entries, headers and payloads, mostly with right checksums. A chunk reads as what was
 * written to it or not at all, unless somebody who knows the checksums made up another content for that very chunk.
 *
 * <p>{@code -Ducow.fuzz.seed=N} runs one case again, {@code -Ducow.fuzz.first=N} and {@code -Ducow.fuzz.cases=M} explore.
 */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PackedFuzzTest {
    private static final int CASES = Integer.getInteger("ucow.fuzz.cases", 3000);
    private static final long TOTAL_NANOS = TimeUnit.SECONDS.toNanos(20);
    private static final UcowFormat FORMAT = new UcowFormat();
    private static final UUID STORE = new UUID(0x1234567890abcdefL, 43);
    private static final int CHUNKS = 14;
    private static final int SECTOR = 512;

    /** An image, and what its chunks hold. */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record Seed(int shift, SparseFile image, byte[] content, List<ChunkSource.Packed> packed) {}

    private final List<Seed> seeds = new ArrayList<>();
    private int opened;
    private int refused;
    private int failedReads;
    private int repaired;

    PackedFuzzTest() throws IOException {
        for (int shift : new int[] {14, 15, 17}) {
            for (boolean clean : new boolean[] {true, false}) {
                seeds.add(seed(shift, clean));
            }
        }
    }

    private static Seed seed(int shift, boolean clean) throws IOException {
        SparseFile file = new SparseFile();
        Geometry geometry = new Geometry(((long) CHUNKS << shift) - 100, shift);
        UcowFormat.create(file, geometry, null, StoreOptions.NONE.withCodec("lz4"), 64, STORE);
        byte[] content = new byte[(int) geometry.sizeBytes()];
        Random random = new Random(shift);
        for (int i = 0; i < content.length; i++) {
            content[i] = (byte) (i % 64 < 16 ? random.nextInt() : i % 64);
        }
        CowDevice device = TestDevices.open(FORMAT, file, TestDevices.origin(new byte[0]), TestDevices.BOOT);
        device.write(0, TestDevices.direct(content, 0, content.length));
        TestDevices.packAll(device);
        // Two that are plain again, and one whose place waits for a barrier.
        device.write(3L << shift, TestDevices.direct(content, 3 << shift, 1 << shift));
        device.write(8L << shift, TestDevices.direct(content, 8 << shift, 100));
        device.flush();
        device.write(5L << shift, TestDevices.direct(content, 5 << shift, 100));
        List<ChunkSource.Packed> packed = new ArrayList<>();
        device.forEachExtent(e -> packedOf(e, packed));
        if (clean) {
            device.close();
        }
        assertThat(packed).hasSizeGreaterThan(CHUNKS / 2);
        return new Seed(shift, file, content, packed);
    }

    private static void packedOf(MapExtent extent, List<ChunkSource.Packed> packed) {
        if (extent.source() instanceof ChunkSource.Packed p) {
            packed.add(p);
        }
    }

    @Test
    void aChunkIsItselfOrAnError() {
        Long only = Long.getLong("ucow.fuzz.seed");
        long first = only != null ? only : Long.getLong("ucow.fuzz.first", 1);
        System.out.printf("fuzz of packs: -Ducow.fuzz.seed=%d and following%n", first);
        long until = System.nanoTime() + TOTAL_NANOS;
        int cases = 0;
        while (cases < (only != null ? 1 : CASES) && System.nanoTime() < until) {
            long seed = first + cases++;
            try {
                run(new Random(seed * 0x9E3779B97F4A7C15L));
            } catch (Throwable e) {
                throw new AssertionError("-Ducow.fuzz.seed=" + seed, e);
            }
        }
        System.out.printf(
                "fuzz of packs: %d cases, %d opened, %d refused, %d reads failed, %d repaired%n",
                cases, opened, refused, failedReads, repaired);
        if (only == null) {
            assertThat(opened).isGreaterThan(cases / 20);
            assertThat(refused).isGreaterThan(cases / 20);
            assertThat(failedReads).isPositive();
            assertThat(repaired).isPositive();
        }
    }

    private void run(Random random) throws IOException {
        Seed seed = seeds.get(random.nextInt(seeds.size()));
        SparseFile image = seed.image().copy();
        boolean honest = true;
        for (int i = 0; i <= random.nextInt(3); i++) {
            switch (random.nextInt(6)) {
                case 0 -> flipPayload(seed, image, random);
                case 1 -> swapPayloads(seed, image, random);
                case 2 -> {
                    forge(seed, image, random);
                    honest = false;
                }
                case 3 -> mapEntry(seed, image, random);
                case 4 -> journalRecord(seed, image, random);
                default -> image.truncate(image.size() - random.nextInt(40_000));
            }
        }
        UUID boot = random.nextBoolean() ? TestDevices.BOOT : TestDevices.NEXT_BOOT;
        SparseFile before = image.copy();
        CheckReport report = FORMAT.check(image, Path.of("x"), boot);
        boolean readable = read(seed, image, boot, honest);
        assertThat(image.sameAs(before)).as("unchanged").isTrue();
        boolean payloadOnly = report.corruptions().stream().allMatch(line -> line.contains(": packed chunk "))
                && report.corruptions().stream()
                        .noneMatch(line -> line.contains("overlaps") || line.contains("another owner"));
        assertThat(readable).as("open agrees with check: %s", report).isEqualTo(payloadOnly);
        if (readable) {
            opened++;
            overwrite(seed, before.copy(), boot);
        } else {
            refused++;
        }
        if (random.nextInt(3) == 0) {
            repair(seed, before.copy(), boot, honest);
        }
    }

    private boolean read(Seed seed, SparseFile image, UUID boot, boolean honest) throws IOException {
        HookedFile file = new HookedFile(image);
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, file, TestDevices.origin(new byte[0]), boot)) {
            file.hook((call, offset, length) -> {
                assertThat(call).isEqualTo(HookedFile.Call.READ);
                assertThat(offset + length).isLessThanOrEqualTo(image.size());
            });
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                readChunk(seed, device, chunk, honest);
            }
            file.hook((call, offset, length) -> {});
            return true;
        } catch (CorruptStoreException | UnsupportedFormatException e) {
            return false;
        }
    }

    private void readChunk(Seed seed, CowDevice device, int chunk, boolean honest) throws IOException {
        List<MapExtent> extents = new ArrayList<>();
        device.forEachExtent(extents::add);
        long at = (long) chunk << seed.shift();
        boolean packed =
                extents.stream().anyMatch(e -> e.guestOffset() == at && e.source() instanceof ChunkSource.Packed);
        int length = (int) Math.min(1 << seed.shift(), seed.content().length - at);
        try {
            byte[] whole = TestDevices.read(device, at, length);
            byte[] part = TestDevices.read(device, at + 700, 600);
            assertThat(part).isEqualTo(Arrays.copyOfRange(whole, 700, 1300));
            if (packed && honest) {
                assertThat(whole).isEqualTo(Arrays.copyOfRange(seed.content(), (int) at, (int) at + length));
            }
        } catch (IOException e) {
            assertThat(e).hasMessageContaining("packed chunk " + chunk).hasMessageNotContaining("\n");
            failedReads++;
        }
    }

    /** Whoever writes whole chunks need not mind what was there, and leaves a sound image. */
    private static void overwrite(Seed seed, SparseFile image, UUID boot) throws IOException {
        try (CowDevice device = TestDevices.open(FORMAT, image, TestDevices.origin(new byte[0]), boot)) {
            device.write(0, TestDevices.direct(seed.content(), 0, seed.content().length));
            TestDevices.packAll(device);
            assertThat(TestDevices.read(device, 0, seed.content().length)).isEqualTo(seed.content());
        }
        CheckReport report = FORMAT.check(image, Path.of("x"), boot);
        assertThat(report.corruptions()).isEmpty();
        assertThat(report.leakedBytes()).isZero();
    }

    private void repair(Seed seed, SparseFile image, UUID boot, boolean honest) throws IOException {
        RepairReport report = FORMAT.repair(image, Path.of("x"), boot, content -> {
            content.writeTo(new SparseFile());
            return Path.of("copy");
        });
        if (report.obstacle().isPresent()) {
            return;
        }
        CheckReport after = FORMAT.check(image, Path.of("x"), boot);
        assertThat(after.corruptions()).as("after repair of %s", report).isEmpty();
        assertThat(after.leakedBytes()).isZero();
        int before = failedReads;
        assertThat(read(seed, image, boot, honest)).isTrue();
        assertThat(failedReads).as("reads that fail after repair").isEqualTo(before);
        repaired++;
    }

    private static void flipPayload(Seed seed, SparseFile image, Random random) throws IOException {
        ChunkSource.Packed victim = any(seed, random);
        ByteBuffer one = ByteBuffer.allocateDirect(1);
        one.put(0, (byte) random.nextInt());
        image.write(one, victim.storeOffset() + random.nextInt(random.nextBoolean() ? 32 : victim.storedBytes()));
    }

    private static void swapPayloads(Seed seed, SparseFile image, Random random) throws IOException {
        ChunkSource.Packed from = any(seed, random);
        ChunkSource.Packed to = any(seed, random);
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.min(from.storedBytes(), to.storedBytes()));
        image.read(bytes, from.storeOffset());
        image.write(bytes.flip(), to.storeOffset());
    }

    /** Header and payload of a chunk as somebody makes them who knows how. */
    private static void forge(Seed seed, SparseFile image, Random random) throws IOException {
        ChunkSource.Packed victim = any(seed, random);
        int segments = 1 << (seed.shift() - PackedChunk.segmentShift(seed.shift()));
        ByteBuffer stored = ByteBuffer.allocateDirect(victim.storedBytes()).order(ByteOrder.LITTLE_ENDIAN);
        image.read(stored, victim.storeOffset());
        stored.clear();
        int header = PackedChunk.headerBytes(segments);
        CRC32C crc = new CRC32C();
        for (int i = 0; i < 1 + random.nextInt(5); i++) {
            stored.put(header + random.nextInt(random.nextBoolean() ? 20 : stored.capacity() - header), (byte)
                    random.nextInt());
        }
        int end = header;
        for (int i = 0; i < segments; i++) {
            int length = PackedChunk.length(stored, i);
            if (random.nextInt(4) == 0) {
                length = random.nextBoolean() ? random.nextInt() : length + random.nextInt(7) - 3;
            }
            int summed = Math.max(0, Math.min(length, stored.capacity() - Math.min(end, stored.capacity())));
            PackedChunk.setSegment(stored, 0, i, Math.min(end, stored.capacity()), summed, crc);
            stored.putInt(PackedChunk.TABLE + 8 * i, length);
            end = (int) Math.max(0, Math.min(stored.capacity(), (long) end + length));
        }
        long chunk = Integer.toUnsignedLong(stored.getInt(PackedChunk.CHUNK));
        PackedChunk.seal(stored, 0, Superblock.bytes(STORE), chunk, segments, crc);
        image.write(stored, victim.storeOffset());
    }

    private static ChunkSource.Packed any(Seed seed, Random random) {
        return seed.packed().get(random.nextInt(seed.packed().size()));
    }

    private static long entry(Seed seed, SparseFile image, Random random) {
        ChunkSource.Packed packed = any(seed, random);
        long sectors = image.size() / SECTOR;
        return switch (random.nextInt(7)) {
            case 0 -> RemapEntry.packed(packed.storeOffset(), packed.storedBytes());
            case 1 -> RemapEntry.packed(packed.storeOffset() + SECTOR * (random.nextInt(5) - 2L), packed.storedBytes());
            case 2 -> RemapEntry.packed(packed.storeOffset(), packed.storedBytes() + SECTOR * (random.nextInt(5) - 2));
            case 3 ->
                RemapEntry.packed(
                        Math.floorMod(random.nextLong(), sectors + 4) * SECTOR,
                        (1 + random.nextInt(1 << (seed.shift() - 9))) * SECTOR);
            case 4 -> 0xc000000000000000L | (random.nextLong() & 0x3fffffffffffffffL);
            case 5 -> 0xc000000000000000L | (random.nextLong() & 0x00ffffffffffffffL);
            default -> RemapEntry.slot(packed.storeOffset() >>> seed.shift());
        };
    }

    private static void mapEntry(Seed seed, SparseFile image, Random random) throws IOException {
        Superblock superblock = Recovery.readSuperblock(image);
        if (superblock.rootPage() == 0 || (superblock.rootPage() + 1) * MapPage.SIZE > image.size()) {
            return;
        }
        ByteBuffer page = ByteBuffer.allocate(MapPage.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        image.read(page, superblock.rootPage() * MapPage.SIZE);
        page.clear();
        MapPage.setValue(page, 0, random.nextInt(CHUNKS), entry(seed, image, random));
        CRC32C crc = new CRC32C();
        crc.update(page.duplicate().position(MapPage.GENERATION));
        page.putInt(MapPage.CRC, (int) crc.getValue());
        image.write(page.clear(), superblock.rootPage() * MapPage.SIZE);
    }

    private static void journalRecord(Seed seed, SparseFile image, Random random) throws IOException {
        Superblock superblock = Recovery.readSuperblock(image);
        long capacity = superblock.journalCapacity();
        long seq = superblock.journalHead() + random.nextInt((int) capacity);
        ByteBuffer block = ByteBuffer.allocate(JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        JournalRecord.encode(
                block,
                0,
                JournalRecord.salted(Superblock.bytes(STORE)),
                JournalRecord.REMAP,
                seq,
                random.nextInt(CHUNKS),
                random.nextInt(8) == 0 ? 2 : 1,
                entry(seed, image, random));
        image.write(block, superblock.journalOffset() + seq % capacity * JournalRecord.SIZE);
    }
}
