package io.ucow.store.format;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes as docs/FORMAT.md has them, written out by hand. */
class PackedChunkTest {
    private static final byte[] UUID = {(byte) 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    private static final int SEGMENT = 16384;
    private static final int STORED = 512;

    private final ByteBuffer stored = ByteBuffer.allocateDirect(STORED).order(ByteOrder.LITTLE_ENDIAN);
    private final CRC32C crc = new CRC32C();

    PackedChunkTest() {
        // Two segments, "123456789" and "ab": the checksum of the first is in every text about CRC32C.
        stored.put(24, "123456789ab".getBytes(StandardCharsets.US_ASCII));
        PackedChunk.setSegment(stored, 0, 0, 24, 9, crc);
        PackedChunk.setSegment(stored, 0, 1, 33, 2, crc);
        PackedChunk.seal(stored, 0, UUID, 0xfedcba98L, 2, crc);
    }

    @Test
    void everyFieldIsInItsPlace() {
        assertThat(PackedChunk.headerBytes(2)).isEqualTo(24);
        assertThat(stored.getInt(4)).isEqualTo(0xfedcba98);
        assertThat(stored.getInt(8)).isEqualTo(9);
        assertThat(stored.getInt(12)).isEqualTo(0xe3069283);
        assertThat(stored.getInt(16)).isEqualTo(2);
        CRC32C expected = new CRC32C();
        expected.update(UUID);
        expected.update(stored.duplicate().limit(24).position(4));
        assertThat(stored.getInt(0)).isEqualTo((int) expected.getValue());
        assertThat(problem(0xfedcba98L)).isNull();
        assertThat(PackedChunk.start(stored, 0, 2)).isEqualTo(24);
        assertThat(PackedChunk.start(stored, 1, 2)).isEqualTo(33);
        assertThat(PackedChunk.isIntact(stored, 0, 24, crc)).isTrue();
        assertThat(PackedChunk.isIntact(stored, 1, 33, crc)).isTrue();
    }

    @ParameterizedTest
    @CsvSource({"14, 13", "15, 13", "17, 13", "18, 14", "20, 16"})
    void segmentsAre8KiBAndSixteenAtTheMost(int chunkShift, int segmentShift) {
        assertThat(PackedChunk.segmentShift(chunkShift)).isEqualTo(segmentShift);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 4, 7, 8, 12, 16, 23})
    void aChangedByteOfTheHeaderIsNoticed(int at) {
        stored.put(at, (byte) (stored.get(at) ^ 4));
        assertThat(problem(0xfedcba98L)).contains("crc");
    }

    @Test
    void aChangedByteOfASegmentIsNoticed() {
        stored.put(33, (byte) 'x');
        assertThat(problem(0xfedcba98L)).isNull();
        assertThat(PackedChunk.isIntact(stored, 0, 24, crc)).isTrue();
        assertThat(PackedChunk.isIntact(stored, 1, 33, crc)).isFalse();
    }

    @Test
    void anotherChunkIsNoticed() {
        assertThat(problem(5)).isEqualTo("packed chunk is 4275878552, expected 5");
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "0, -1", "0, 16385", "0, 488", "1, 480", "1, 2147483647", "1, -2147483648"})
    void lengthsThatCannotBeAreNoticed(int segment, int length) {
        stored.putInt(8 + 8 * segment, length);
        PackedChunk.seal(stored, 0, UUID, 7, 2, crc);
        assertThat(problem(7)).startsWith("segment ").contains("expected 1..");
    }

    private String problem(long chunk) {
        return PackedChunk.problem(stored, UUID, chunk, 2, SEGMENT, STORED, crc);
    }
}
