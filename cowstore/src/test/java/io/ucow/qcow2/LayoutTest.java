package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CorruptStoreException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes as QEMU's specification has them, written out by hand. */
class LayoutTest {
    private static ByteBuffer hex(String dump) {
        byte[] bytes = HexFormat.of().parseHex(dump.replaceAll("\\s", ""));
        return ByteBuffer.wrap(java.util.Arrays.copyOf(bytes, Math.max(bytes.length, Header.FULL_LENGTH)))
                .limit(bytes.length);
    }

    private static final String V3 = """
            514649fb 00000003 0000000000000211 00000013
            00000014 0000000000123457 00000002 00000019
            0000000000030000 0000000000010000 00000021 00000005
            0000000000050000
            000000000000001d 8000000000000001 4000000000000003
            00000004 00000070 01 00000000000000
            """;

    @Test
    void header() {
        ByteBuffer block = hex(V3);
        assertThat(Header.hasMagic(block)).isTrue();
        assertThat(Header.decode(block.clear()))
                .isEqualTo(new Header(
                        3,
                        0x211,
                        0x13,
                        0x14,
                        0x123457,
                        2,
                        0x19,
                        0x30000,
                        0x10000,
                        0x21,
                        5,
                        0x50000,
                        0x1d,
                        0x8000000000000001L,
                        0x4000000000000003L,
                        4,
                        0x70,
                        1));
    }

    @Test
    void version2HasNoFeatures() {
        ByteBuffer block = hex(V3);
        block.putInt(4, 2);
        Header header = Header.decode(block.clear());
        assertThat(header.incompatibleFeatures()).isZero();
        assertThat(header.compatibleFeatures()).isZero();
        assertThat(header.autoclearFeatures()).isZero();
        assertThat(header.refcountOrder()).isEqualTo(4);
        assertThat(header.headerLength()).isEqualTo(72);
        assertThat(header.compressionType()).isZero();
    }

    @Test
    void headerExtensions() throws Exception {
        ByteBuffer block = hex("""
                e2792aca 00000005 7163 6f77 32 000000
                12345678 00000003 010203 0000000000
                44415441 00000004 612e6462 00000000
                6803f857 00000030 0005 746869732d66656174757265 000000000000 0000000000000000
                0000000000000000 0000000000000000 00000000
                23852875 00000018 00000003 00000000 0000000000000040 0000000000070000
                00000000 00000000 e2792aca ffffffff
                """);
        HeaderExtensions extensions = HeaderExtensions.decode(block, "x");
        assertThat(extensions.backingFormat()).contains("qcow2");
        assertThat(extensions.dataFile()).contains("a.db");
        assertThat(extensions.featureNames())
                .containsEntry(HeaderExtensions.featureKey(HeaderExtensions.INCOMPATIBLE, 5), "this-feature")
                .hasSize(1);
        assertThat(extensions.bitmaps()).isEqualTo(3);
        assertThat(extensions.bitmapDirectorySize()).isEqualTo(0x40);
        assertThat(extensions.bitmapDirectoryOffset()).isEqualTo(0x70000);
    }

    @ParameterizedTest
    @ValueSource(strings = {"00000009", "7fffffff", "ffffffff"})
    void headerExtensionThatGoesOnPastTheEnd(String length) {
        ByteBuffer block = hex("e2792aca" + length + "0102030405060708");
        assertThatThrownBy(() -> HeaderExtensions.decode(block, "x.qcow2"))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("x.qcow2 at 0x0: header extension 0xe2792aca");
    }

    @Test
    void l1Entry() {
        assertThat(L1Entry.offset(0xff12_3456_789a_bdffL)).isEqualTo(0x12_3456_789a_bc00L);
        assertThat(L1Entry.isCopied(1L << 63)).isTrue();
        assertThat(L1Entry.isCopied(~(1L << 63))).isFalse();
    }

    @Test
    void standardL2Entry() {
        long entry = 0x8012_3456_789a_bc01L;
        assertThat(L2Entry.offset(entry)).isEqualTo(0x12_3456_789a_bc00L);
        assertThat(L2Entry.isCopied(entry)).isTrue();
        assertThat(L2Entry.isCompressed(entry)).isFalse();
        assertThat(L2Entry.isZero(entry)).isTrue();
    }

    @Test
    void subclusterBitmap() {
        long bitmap = 0x8000_0001_f000_000eL;
        assertThat(L2Entry.allocated(bitmap)).isEqualTo(0xf000_000e);
        assertThat(L2Entry.zeros(bitmap)).isEqualTo(0x8000_0001);
        assertThat(L2Entry.bitmap(0xf000_000e, 0x8000_0001)).isEqualTo(bitmap);
        assertThat(L2Entry.mask(0, 32)).isEqualTo(L2Entry.ALL);
        assertThat(L2Entry.mask(31, 32)).isEqualTo(1 << 31);
        assertThat(L2Entry.mask(1, 4)).isEqualTo(0xe);
    }

    /** With 64 KiB clusters bits 54..61 count the sectors; with 512-byte ones bit 61 alone, with 2 MiB 49..61. */
    @ParameterizedTest
    @CsvSource({
        "16, 40c0000000012345, 12345, 1723",
        "16, 4000000000000000, 0, 512",
        "16, 7fffffffffffffff, 3fffffffffffff, 130561",
        "9, 6000000000000200, 200, 1024",
        "21, 4006000000000201, 201, 2047",
    })
    void compressedL2Entry(int clusterBits, String entry, String offset, int bytes) {
        long bits = Long.parseUnsignedLong(entry, 16);
        assertThat(L2Entry.isCompressed(bits)).isTrue();
        assertThat(L2Entry.compressedOffset(bits, clusterBits)).isEqualTo(Long.parseLong(offset, 16));
        assertThat(L2Entry.compressedBytes(bits, clusterBits)).isEqualTo(bytes);
        assertThat(bytes).isLessThanOrEqualTo(L2Entry.maxCompressedBytes(clusterBits));
    }

    @ParameterizedTest
    @CsvSource({"0, 100, 3", "1, e4, 3", "2, 21, 1", "3, 0102, 1", "4, 00010203, 1", "5, 0000000104050607, 1"})
    void refcountEntry(int order, String dump, int index) {
        ByteBuffer block = ByteBuffer.wrap(HexFormat.of().parseHex(dump.length() % 2 == 0 ? dump : "08"));
        long expected =
                switch (order) {
                    case 0 -> 1;
                    case 1 -> 3;
                    case 2 -> 2;
                    case 3 -> 2;
                    case 4 -> 0x203;
                    default -> 0x04050607;
                };
        assertThat(Refcounts.get(block, order, index)).isEqualTo(expected);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 4, 5, 6})
    void refcountsLeaveTheirNeighboursAlone(int order) {
        ByteBuffer block = ByteBuffer.allocate(512);
        int entries = 1 << Refcounts.blockShift(9, order);
        long[] model = new long[entries];
        Random random = new Random(order);
        for (int i = 0; i < 3 * entries; i++) {
            int index = random.nextInt(entries);
            model[index] = random.nextLong() & Refcounts.max(order);
            Refcounts.put(block, order, index, model[index]);
        }
        for (int i = 0; i < entries; i++) {
            assertThat(Refcounts.get(block, order, i)).isEqualTo(model[i]);
        }
    }

    @Test
    void bitmapEntries() throws Exception {
        ByteBuffer directory = hex("""
                0000000000050000 00000007 00000001 01 10 0005 00000008 0102030405060708 6669727374 000000
                0000000000060000 00000008 00000000 01 10 0001 00000000 62 00000000000000
                """);
        assertThat(BitmapEntry.decode(directory, "x")).isEqualTo(new BitmapEntry(0x50000, 7, 0x1));
        assertThat(BitmapEntry.decode(directory, "x")).isEqualTo(new BitmapEntry(0x60000, 8, 0));
        assertThatThrownBy(() -> BitmapEntry.decode(directory, "x")).isInstanceOf(CorruptStoreException.class);
        ByteBuffer cut = directory.clear().limit(32);
        assertThatThrownBy(() -> BitmapEntry.decode(cut, "x")).isInstanceOf(CorruptStoreException.class);
    }

    @Test
    void snapshotEntries() throws Exception {
        ByteBuffer table = hex("""
                0000000000050000 00000007 0001 0005 65000001 00000002 0000000000000003 00000004 00000010
                0000000000000005 0000000000300000 31 6669727374 0000
                0000000000060000 00000008 0001 0000 65000003 00000002 0000000000000003 00000004 00000000
                32 00000000000000
                """);
        assertThat(SnapshotEntry.decode(table, "x"))
                .isEqualTo(new SnapshotEntry("1", "first", 0x50000, 7, 0x65000001, 0x300000));
        assertThat(SnapshotEntry.decode(table, "x")).isEqualTo(new SnapshotEntry("2", "", 0x60000, 8, 0x65000003, -1));
        assertThatThrownBy(() -> SnapshotEntry.decode(table, "x")).isInstanceOf(CorruptStoreException.class);
        ByteBuffer cut = table.clear().limit(48);
        assertThatThrownBy(() -> SnapshotEntry.decode(cut, "x")).isInstanceOf(CorruptStoreException.class);
    }
}
