package io.ucow.store.codec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class Lz4CodecTest {
    private static final int ROOM = 64;

    /** A daemon without the second compiler would unpack at a tenth of the speed. */
    @Test
    void nativeCodeDoesIt() {
        assertThat(Lz4Codec.isNative()).isTrue();
    }

    /** One literal, a match of 26 bytes at offset 1, five literals; and literals alone. */
    @ParameterizedTest
    @CsvSource({
        "1f6101000750 6161616161, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "60 757365722d31, user-1",
        "80 6162636461626364, abcdabcd"
    })
    void blocksAreAsTheirFormatHasThem(String block, String text) throws IOException {
        byte[] packed = HexFormat.of().parseHex(block.replace(" ", ""));
        ByteBuffer dst = ByteBuffer.allocateDirect(text.length() + 2 * ROOM);

        Lz4Codec.decompress(direct(packed), 0, packed.length, dst, ROOM, text.length());

        byte[] bytes = new byte[text.length()];
        dst.get(ROOM, bytes);
        assertThat(new String(bytes, StandardCharsets.US_ASCII)).isEqualTo(text);
        assertThat(dst.position()).isZero();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 12, 13, 4096, 16384, 65536})
    void whatIsPackedIsUnpackedToTheSame(int length) throws IOException {
        Random random = new Random(length);
        for (int variety : new int[] {1, 2, 16, 256}) {
            byte[] bytes = new byte[length];
            for (int i = 0; i < length; i++) {
                bytes[i] = (byte) random.nextInt(variety);
            }
            ByteBuffer packed = ByteBuffer.allocateDirect(7 + Lz4Codec.bound(length));
            int n = Lz4Codec.compress(direct(bytes), 0, length, packed, 7);
            ByteBuffer again = ByteBuffer.allocateDirect(length);

            Lz4Codec.decompress(packed, 7, n, again, 0, length);

            assertThat(again).isEqualTo(direct(bytes));
        }
    }

    @Test
    void anotherLengthIsAnError() {
        byte[] packed = HexFormat.of().parseHex("60757365722d31");
        ByteBuffer dst = ByteBuffer.allocateDirect(100);
        assertThatThrownBy(() -> Lz4Codec.decompress(direct(packed), 0, packed.length, dst, 0, 5))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() -> Lz4Codec.decompress(direct(packed), 0, packed.length, dst, 0, 7))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() -> Lz4Codec.decompress(direct(packed), 0, packed.length - 1, dst, 0, 6))
                .isInstanceOf(IOException.class);
    }

    @Test
    void hostileBlocksStayWithinTheirRange() {
        Random random = new Random(5);
        byte[] good = new byte[600];
        ByteBuffer packed = ByteBuffer.allocateDirect(Lz4Codec.bound(good.length));
        int n = Lz4Codec.compress(direct(good), 0, good.length, packed, 0);
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = new byte[1 + random.nextInt(40)];
            if (i % 2 == 0) {
                packed.get(0, bytes, 0, Math.min(n, bytes.length));
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
            } else {
                random.nextBytes(bytes);
            }
            int length = random.nextInt(700);
            ByteBuffer dst = ByteBuffer.allocateDirect(length + 2 * ROOM);
            try {
                Lz4Codec.decompress(direct(bytes), 0, bytes.length, dst, ROOM, length);
            } catch (IOException e) {
                assertThat(e).hasMessageContaining("LZ4 block of");
            }
            byte[] around = new byte[2 * ROOM];
            dst.get(0, around, 0, ROOM);
            dst.get(ROOM + length, around, ROOM, ROOM);
            assertThat(around).isEqualTo(new byte[2 * ROOM]);
        }
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length)
                .put(Arrays.copyOf(bytes, bytes.length))
                .flip();
    }
}
