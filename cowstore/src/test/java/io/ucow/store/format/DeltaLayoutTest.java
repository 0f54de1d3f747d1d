package io.ucow.store.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.Compression;
import io.ucow.store.ContentId;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.Geometry;
import io.ucow.store.UnsupportedFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.Optional;
import java.util.UUID;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Bytes of a backup stream as docs/FORMAT.md has them, written out by hand. */
class DeltaLayoutTest {
    private static final String FINGERPRINT = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    private static final DeltaHeader HEADER = new DeltaHeader(
            new Geometry(0x0000212223242526L, 20),
            new ContentId(0x4142434445464748L),
            Optional.of(new DeltaHeader.Since(0x3132333435363738L, new ContentId(0x5152535455565758L), FINGERPRINT)));

    private final ByteBuffer block = ByteBuffer.allocateDirect(DeltaHeader.SIZE).order(ByteOrder.LITTLE_ENDIAN);

    @Test
    void headerHasEveryFieldInItsPlace() {
        block.put(127, (byte) 9);
        HEADER.encode(block);
        String expected = """
                55434f5744454c54 01000000 ........
                0000000000000000 2625242322210000
                14000000 01000000
                4847464544434241
                3837363534333231 5857565554535251
                e0e1e2e3e4e5e6e7 e8e9eaebecedeeef f0f1f2f3f4f5f6f7 f8f9fafbfcfdfeff
                0000000000000000 0000000000000000 0000000000000000 0000000000000000
                """.replaceAll("\\s", "");
        assertThat(hex(block, DeltaHeader.SIZE)).matches(expected);
        int stored = block.getInt(12);
        block.putInt(12, 0);
        CRC32C crc = new CRC32C();
        crc.update(block.duplicate());
        assertThat(stored).isEqualTo((int) crc.getValue());
    }

    @Test
    void headerDecodesToWhatWasEncoded() throws IOException {
        HEADER.encode(block);
        assertThat(DeltaHeader.decode(block, "x")).isEqualTo(HEADER);
        DeltaHeader full = new DeltaHeader(HEADER.geometry(), HEADER.content(), Optional.empty());
        full.encode(block);
        assertThat(DeltaHeader.decode(block, "x")).isEqualTo(full);
    }

    @ParameterizedTest
    @CsvSource({
        "24, 0, device size 0",
        "32, 21, chunk shift 21",
        "32, 11, chunk shift 11",
        "36, 2, relative 2",
        "48, 0, size since 0"
    })
    void fieldsOutOfRangeAreRefused(int at, int value, String says) {
        HEADER.encode(block);
        if (at == 24 || at == 48) {
            block.putLong(at, value);
        } else {
            block.putInt(at, value);
        }
        block.putInt(12, 0);
        block.putInt(12, Crc.of(block, 0, DeltaHeader.SIZE));
        assertThatThrownBy(() -> DeltaHeader.decode(block, "stream"))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageStartingWith("stream at 0x0: header has " + says + ", expected ");
    }

    @Test
    void otherFilesVersionsAndFeaturesAreRefused() {
        for (int at : new int[] {0, 7, 8, 16}) {
            HEADER.encode(block);
            block.put(at, (byte) 9);
            assertThatThrownBy(() -> DeltaHeader.decode(block, "stream"))
                    .isInstanceOf(UnsupportedFormatException.class);
        }
        HEADER.encode(block);
        block.put(70, (byte) 9);
        assertThatThrownBy(() -> DeltaHeader.decode(block, "stream"))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("header has crc");
    }

    @Test
    void recordHasEveryFieldInItsPlace() {
        ByteBuffer data = ByteBuffer.allocateDirect(3).put(new byte[] {7, 8, 9}).flip();
        DeltaRecord.encode(
                block, DeltaRecord.ZEROS, 0x0102030405060708L, 0x1112131415161718L, 0x2122232425262728L, data);
        assertThat(hex(block, DeltaRecord.SIZE))
                .matches("........020000000807060504030201" + "18171615141312112827262524232221");
        CRC32C crc = new CRC32C();
        crc.update(block.duplicate().limit(32).position(4));
        crc.update(new byte[] {7, 8, 9});
        assertThat(block.getInt(0)).isEqualTo((int) crc.getValue());
        assertThat(data.remaining()).isEqualTo(3);
    }

    @Test
    void contentIdIsInTheFirstSectorOfASuperblock() {
        UUID uuid = new UUID(0x10, 0x700);
        ByteBuffer superblock = ByteBuffer.allocateDirect(Superblock.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        Superblock clean = new Superblock(
                0, 3, new Geometry(1, 12), 0, 8192, 64, 0, 12288, uuid, Superblock.CLEAN, null, 0, Compression.NONE);
        clean.encode(superblock, 1);
        assertThat(clean.contentId(superblock)).isEqualTo(new ContentId(0x713));
        Superblock.putContentId(superblock, HEADER.content());
        assertThat(superblock.getLong(32)).isEqualTo(0x4142434445464748L);
        assertThat(Superblock.isIntact(superblock, 0)).isTrue();
        assertThat(clean.contentId(superblock)).isEqualTo(HEADER.content());
        clean.encode(superblock, 1);
        assertThat(clean.contentId(superblock)).isEqualTo(new ContentId(0x713));
    }

    private static String hex(ByteBuffer buffer, int length) {
        byte[] bytes = new byte[length];
        buffer.get(0, bytes);
        return HexFormat.of().formatHex(bytes);
    }
}
