package io.ucow.store.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.Compression;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes as docs/FORMAT.md has them, written out by hand: a change here is another format version. */
class LayoutTest {
    private static final String FINGERPRINT = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    private static final OriginReference ORIGIN =
            new OriginReference("b\u00e4se.img", 0x7172737475767778L, -2, 0x0a9b9c9d, FINGERPRINT, true, true);
    private static final Superblock SUPERBLOCK = new Superblock(
            0x0102030405060708L,
            0x1112131415161718L,
            new Geometry(0x0000212223242526L, 20),
            0x0003132333435363L,
            0x14151620,
            0x54321,
            0x2122232425262728L,
            0x7170700000L,
            UUID.fromString("a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf"),
            UUID.fromString("b0b1b2b3-b4b5-b6b7-b8b9-babbbcbdbebf"),
            ORIGIN,
            0x3132333435363738L,
            Compression.LZ4,
            true,
            0x0004142434445464L,
            0x8182838485L);
    /** Everything up to the path but the checksum. */
    private static final String SUPERBLOCK_BYTES = """
            55434f5753544f52 01000000 ........
            3700000000000000 0807060504030201
            0000000000000000 1817161514131211
            2625242322210000 14000000 03000000
            6353433323130300 3837363534333231
            0185848382810000 6454443424140400
            2016151400000000 2143050000000000
            2827262524232221 0000707071000000
            a0a1a2a3a4a5a6a7 a8a9aaabacadaeaf
            b0b1b2b3b4b5b6b7 b8b9babbbcbdbebf
            7877767574737271 feffffffffffffff
            9d9c9b0a 09000000
            e0e1e2e3e4e5e6e7 e8e9eaebecedeeef f0f1f2f3f4f5f6f7 f8f9fafbfcfdfeff
            62c3a473652e696d 67
            """;

    private final ByteBuffer block = ByteBuffer.allocateDirect(3 * 4096).order(ByteOrder.LITTLE_ENDIAN);

    @Test
    void superblockHasEveryFieldInItsPlace() {
        block.put(4095, (byte) 9);
        SUPERBLOCK.encode(block, 3);
        assertBytes(0, SUPERBLOCK_BYTES);
        for (int i = 225; i < 4096; i++) {
            assertThat(block.get(i)).as("byte %d", i).isZero();
        }
        assertThat(block.getInt(12)).isEqualTo(crcWithout(0, 4096, 12));
    }

    @Test
    void superblockDecodesToWhatWasEncoded() throws IOException {
        SUPERBLOCK.encode(block, 3);
        assertThat(Superblock.isIntact(block, 0)).isTrue();
        assertThat(Superblock.decode(block, 0, "vm.cow")).isEqualTo(SUPERBLOCK);
        move(0, 4096, 4096);
        assertThat(Superblock.isIntact(block, 4096)).isTrue();
        assertThat(Superblock.decode(block, 4096, "vm.cow")).isEqualTo(SUPERBLOCK);
        assertThat(Superblock.generation(block, 4096)).isEqualTo(0x1112131415161718L);
    }

    @Test
    void superblockWithoutOriginDecodesToNull() throws IOException {
        Superblock bare = new Superblock(
                0,
                1,
                new Geometry(1, 12),
                0,
                8192,
                64,
                0,
                12288,
                SUPERBLOCK.uuid(),
                Superblock.CLEAN,
                null,
                0,
                Compression.NONE);
        bare.encode(block, 1);
        assertThat(Superblock.decode(block, 0, "vm.cow")).isEqualTo(bare);
    }

    @Test
    void compressionTakesChunksThatAreLargeEnough() {
        Superblock small = new Superblock(
                0,
                1,
                new Geometry(1, 13),
                0,
                8192,
                64,
                0,
                16384,
                SUPERBLOCK.uuid(),
                Superblock.CLEAN,
                null,
                0,
                Compression.LZ4);
        small.encode(block, 1);
        assertThatThrownBy(() -> Superblock.decode(block, 0, "vm.cow"))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("chunk shift of a store that compresses 13, expected 14..20");
    }

    @Test
    void generationsTakeTurnsBetweenTheTwoPlaces() {
        Superblock next = SUPERBLOCK.advanced(5, 6, Superblock.CLEAN);
        assertThat(SUPERBLOCK.offset()).isZero();
        assertThat(next.offset()).isEqualTo(4096);
        assertThat(next.generation()).isEqualTo(SUPERBLOCK.generation() + 1);
        assertThat(next.rootPage()).isEqualTo(5);
        assertThat(next.journalHead()).isEqualTo(6);
        assertThat(next.bootId()).isEqualTo(Superblock.CLEAN);
        assertThat(next.origin()).isEqualTo(ORIGIN);
        assertThat(next.compatibleFeatures()).isEqualTo(SUPERBLOCK.compatibleFeatures());
    }

    @Test
    void nextGenerationMayBeOnAnotherOrigin() {
        Superblock next = SUPERBLOCK.on(null);
        assertThat(next.origin()).isNull();
        assertThat(next.generation()).isEqualTo(SUPERBLOCK.generation() + 1);
        assertThat(next.rootPage()).isEqualTo(SUPERBLOCK.rootPage());
        assertThat(next.journalHead()).isEqualTo(SUPERBLOCK.journalHead());
        assertThat(next.bootId()).isEqualTo(SUPERBLOCK.bootId());
        Superblock empty = SUPERBLOCK.emptiedOn(ORIGIN, Superblock.CLEAN);
        assertThat(empty.origin()).isEqualTo(ORIGIN);
        assertThat(empty.generation()).isEqualTo(SUPERBLOCK.generation() + 1);
        assertThat(empty.rootPage()).isZero();
        assertThat(empty.bootId()).isEqualTo(Superblock.CLEAN);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 7, 8, 15, 16, 24, 40, 100, 150, 216, 4095})
    void superblockWithAChangedByteIsNotIntact(int at) {
        SUPERBLOCK.encode(block, 3);
        block.put(at, (byte) (block.get(at) ^ 0x10));
        assertThat(Superblock.isIntact(block, 0)).isFalse();
    }

    @Test
    void magicNeedsAllItsBytes() {
        SUPERBLOCK.encode(block, 3);
        assertThat(Superblock.hasMagic(block, 0)).isTrue();
        assertThat(Superblock.hasMagic(block.limit(7), 0)).isFalse();
        assertThat(Superblock.hasMagic(block.limit(0), 4096)).isFalse();
    }

    @ParameterizedTest(name = "{4}")
    @CsvSource(delimiter = '|', textBlock = """
            56  | 4 | 11           | 0 | chunk shift 11, expected 12..20
            56  | 4 | 21           | 0 | chunk shift 21, expected 12..20
            56  | 4 | -2147483648  | 0 | chunk shift -2147483648, expected 12..20
            48  | 8 | 0            | 0 | device size 0, expected 1..4503599627370496
            48  | 8 | -1           | 0 | device size -1, expected 1..4503599627370496
            48  | 8 | 4503599627370497 | 0 | device size 4503599627370497, expected 1..4503599627370496
            104 | 8 | 63           | 0 | journal capacity 63, expected 64..1048576
            104 | 8 | 1048577      | 0 | journal capacity 1048577, expected 64..1048576
            104 | 8 | -1           | 0 | journal capacity -1, expected 64..1048576
            96  | 8 | 8191         | 0 | journal offset 8191, expected 8192..1073741824
            96  | 8 | 8208         | 0 | journal offset within a record 16, expected 0
            96  | 8 | -32          | 0 | journal offset -32, expected 8192..1073741824
            120 | 8 | 0            | 0 | data start 0, expected 347961920..1099511627776
            120 | 8 | 1048577      | 0 | data start 1048577, expected 347961920..1099511627776
            120 | 8 | 1072693249   | 0 | data start within a chunk 1, expected 0
            120 | 8 | -9223372036854775808 | 0 | data start -9223372036854775808, expected 347961920..1099511627776
            112 | 8 | -1           | 0 | journal head -1, expected 0..4611686018427387903
            112 | 8 | 9223372036854775807 | 0 | journal head 9223372036854775807, expected 0..4611686018427387903
            64  | 8 | -1           | 0 | map root -1, expected 0..2251799813685247
            64  | 8 | 2251799813685248 | 0 | map root 2251799813685248, expected 0..2251799813685247
            40  | 8 | 0            | 0 | generation 0, expected 1..9223372036854775806
            40  | 8 | -1           | 0 | generation -1, expected 1..9223372036854775806
            60  | 4 | 5            | 0 | map levels 5, expected 3
            180 | 4 | 3801         | 0 | origin path length 3801, expected 0..3800
            180 | 4 | -1           | 0 | origin path length -1, expected 0..3800
            160 | 8 | -1           | 0 | origin size -1, expected 0..9223372036854775807
            176 | 4 | 1000000000   | 0 | origin mtime nanoseconds 1000000000, expected 0..999999999
            72  | 8 | 536870912    | 0 | max size 536870912, expected 537919488..9223372036854775807
            80  | 8 | 281474976710656 | 0 | map reserve 1099511627776, expected 0..1099511627775
            80  | 8 | -256         | 0 | map reserve 72057594037927935, expected 0..1099511627775
            216 | 1 | 0            | 0 | NUL in origin path at 0, expected none
            223 | 1 | 0            | 0 | NUL in origin path at 7, expected none
            """)
    void superblockFieldOutOfRangeIsNamedWithItsValue(int at, int bytes, long value, int place, String message) {
        Superblock good = new Superblock(
                0,
                2,
                new Geometry(0x0000212223242526L, 20),
                7,
                0x14151620,
                0x54321,
                9,
                0x20000000,
                SUPERBLOCK.uuid(),
                SUPERBLOCK.bootId(),
                ORIGIN,
                0x40000000,
                Compression.NONE);
        good.encode(block, 3);
        switch (bytes) {
            case 8 -> block.putLong(at, value);
            case 4 -> block.putInt(at, (int) value);
            default -> block.put(at, (byte) value);
        }
        assertThatThrownBy(() -> Superblock.decode(block, place, "vm.cow"))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessage("vm.cow at 0x0: superblock has " + message);
    }

    @Test
    void otherVersionAndUnknownFeatureAreUnsupported() {
        SUPERBLOCK.encode(block, 3);
        block.putInt(8, 0xfffffff0);
        assertThatThrownBy(() -> Superblock.decode(block, 0, "vm.cow"))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessage("vm.cow: format version 4294967280, this program knows version 1; use a newer ucow");
        block.putInt(8, 1);
        block.putLong(16, 0x8000000000000000L);
        assertThatThrownBy(() -> Superblock.decode(block, 0, "vm.cow"))
                .isInstanceOf(UnsupportedFormatException.class)
                .hasMessageContaining("incompatible bits 0x8000000000000000");
    }

    @Test
    void journalRecordHasEveryFieldInItsPlace() {
        byte[] uuid = Superblock.bytes(SUPERBLOCK.uuid());
        JournalRecord.encode(
                block,
                32,
                JournalRecord.salted(uuid),
                1,
                0x1112131415161718L,
                0xf1f2f3f4L,
                0x0101,
                0x80a1b22122232425L);
        assertBytes(32, "........ 01000000 1817161514131211 f4f3f2f1 01010000 25242322 21b2a180");
        CRC32C crc = new CRC32C();
        crc.update(uuid);
        crc.update(bytes(36, 28));
        assertThat(block.getInt(32)).isEqualTo((int) crc.getValue());
        assertThat(JournalRecord.isValid(block, 32, JournalRecord.salted(uuid), 0x1112131415161718L))
                .isTrue();
        assertThat(JournalRecord.type(block, 32)).isEqualTo(JournalRecord.REMAP);
        assertThat(JournalRecord.chunk(block, 32)).isEqualTo(0xf1f2f3f4L);
        assertThat(JournalRecord.count(block, 32)).isEqualTo(0x0101);
        assertThat(JournalRecord.value(block, 32)).isEqualTo(0x80a1b22122232425L);
    }

    @Test
    void journalRecordOfAnotherStoreTimeOrContentIsNotValid() {
        byte[] uuid = Superblock.bytes(SUPERBLOCK.uuid());
        JournalRecord.encode(block, 0, JournalRecord.salted(uuid), 2, 77, 0, 0, 70);
        assertThat(JournalRecord.isValid(block, 0, JournalRecord.salted(uuid), 77))
                .isTrue();
        assertThat(JournalRecord.isValid(block, 0, JournalRecord.salted(uuid), 78))
                .isFalse();
        assertThat(JournalRecord.isValid(block, 0, JournalRecord.salted(new byte[16]), 77))
                .isFalse();
        for (int at = 0; at < JournalRecord.SIZE; at++) {
            block.put(at, (byte) (block.get(at) ^ 1));
            assertThat(JournalRecord.isValid(block, 0, JournalRecord.salted(uuid), 77))
                    .as("byte %d", at)
                    .isFalse();
            block.put(at, (byte) (block.get(at) ^ 1));
        }
    }

    @Test
    void mapPageHasEveryFieldInItsPlace() {
        for (int i = 0; i < MapPage.FANOUT; i++) {
            MapPage.setValue(block, 4096, i, 0x6162636465660000L + i);
        }
        MapPage.seal(block, 4096, 0x1112131415161718L, 0x2122232425262728L, 0x31323334, 0x41424344);
        assertBytes(
                4096,
                "754d4150 ........ 1817161514131211 2827262524232221 34333231 44434241"
                        + " 0000666564636261 0100666564636261");
        assertBytes(8184, "fb01666564636261");
        assertThat(block.getInt(4100)).isEqualTo(crcOf(4104, 4088));
        assertThat(MapPage.problem(block, 4096, 0x1112131415161718L, 0x2122232425262728L, 0x31323334, 0x41424344))
                .isNull();
        assertThat(MapPage.value(block, 4096, 507)).isEqualTo(0x61626364656601fbL);
        assertThat(block.getLong(8192)).isZero();
    }

    @Test
    void pageOfChecksumsIsToldFromOneOfTheMap() {
        MapPage.setValue(block, 0, 0, 0x6162636465666768L);
        MapPage.seal(block, 0, MapPage.SUM_MAGIC_VALUE, 5, 6, 1, 0x41424344);
        assertBytes(0, "7553554d ........ 0500000000000000 0600000000000000 01000000 44434241 6867666564636261");
        assertThat(MapPage.problem(block, 0, MapPage.SUM_MAGIC_VALUE, 5, 6, 1, 0x41424344))
                .isNull();
        assertThat(MapPage.problem(block, 0, 5, 6, 1, 0x41424344))
                .isEqualTo("no map page: magic 0x4d555375, expected 0x50414d75");
    }

    @Test
    void overwriteRecordHasEveryFieldInItsPlace() {
        byte[] uuid = Superblock.bytes(SUPERBLOCK.uuid());
        JournalRecord.encode(
                block,
                0,
                JournalRecord.salted(uuid),
                JournalRecord.OVERWRITE,
                0x1112131415161718L,
                0x01020304,
                1 << 28,
                0);
        assertBytes(0, "........ 03000000 1817161514131211 04030201 00000010 0000000000000000");
    }

    @Test
    void mapPageSaysWhatIsWrongWithIt() {
        MapPage.seal(block, 0, 5, 6, 1, 0x41424344);
        assertThat(MapPage.problem(block, 0, 4, 6, 1, 0x41424344))
                .isEqualTo("map page of generation 5, expected at most 4");
        assertThat(MapPage.problem(block, 0, 5, 7, 1, 0x41424344))
                .isEqualTo(
                        "map page is node 6 of level 1 (store 41424344), expected node 7 of level 1 (store 41424344)");
        assertThat(MapPage.problem(block, 0, 5, 6, 0, 0x41424344)).contains("expected node 6 of level 0");
        assertThat(MapPage.problem(block, 0, 5, 6, 1, 9)).contains("(store 00000009)");
        block.put(4095, (byte) 1);
        assertThat(MapPage.problem(block, 0, 5, 6, 1, 0x41424344))
                .isEqualTo(String.format("map page has crc 0x%08x, expected 0x%08x", block.getInt(4), crcOf(8, 4088)));
        block.put(0, (byte) 0);
        assertThat(MapPage.problem(block, 0, 5, 6, 1, 0x41424344))
                .isEqualTo("no map page: magic 0x50414d00, expected 0x50414d75");
    }

    @Test
    void checksumsLeavePositionAndLimitAlone() {
        block.limit(5000).position(17);
        MapPage.seal(block, 0, 5, 6, 1, 2);
        assertThat(MapPage.problem(block, 0, 5, 6, 1, 2)).isNull();
        assertThat(block.position()).isEqualTo(17);
        assertThat(block.limit()).isEqualTo(5000);
    }

    private void assertBytes(int at, String dump) {
        String expected = dump.replaceAll("\\s", "");
        String found = HexFormat.of().formatHex(bytes(at, expected.length() / 2));
        assertThat(found).matches(expected);
    }

    private byte[] bytes(int at, int length) {
        byte[] bytes = new byte[length];
        block.get(at, bytes);
        return bytes;
    }

    private int crcOf(int at, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes(at, length));
        return (int) crc.getValue();
    }

    private int crcWithout(int at, int length, int field) {
        byte[] bytes = bytes(at, length);
        for (int i = 0; i < 4; i++) {
            bytes[field + i] = 0;
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private void move(int from, int to, int length) {
        byte[] bytes = bytes(from, length);
        block.put(from, new byte[length]);
        block.put(to, bytes);
    }
}
