package io.ucow.loop;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LoopConfigTest {
    @Test
    void wholeStructureIsAsTheKernelReadsIt() {
        ByteBuffer config = LoopConfig.of(
                0x11121314,
                new LoopOptions(true, true, true, 4096, true),
                "/images/vm1".getBytes(StandardCharsets.US_ASCII));

        assertThat(config.order()).isEqualTo(ByteOrder.nativeOrder());
        assertThat(hex(config))
                .isEqualTo(golden(
                        // fd, block_size; then info: device, inode, rdevice, offset, sizelimit
                        "14131211 00100000",
                        "0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000",
                        // number, encrypt_type, encrypt_key_size, flags
                        "00000000 00000000 00000000 1d000000",
                        "2f696d616765732f766d31" + "00".repeat(53), // file_name
                        "00".repeat(64 + 32 + 16), // crypt_name, encrypt_key, init
                        "00".repeat(64))); // reserved
    }

    @Test
    void infoFieldsLieWhereTheKernelLooks() {
        ByteBuffer info = LoopInfo64.allocate();
        LoopInfo64.encode(
                info,
                0,
                0x2122232425262728L,
                0x3132333435363738L,
                0x41424344,
                "name".getBytes(StandardCharsets.US_ASCII));

        assertThat(hex(info))
                .isEqualTo(golden(
                        "0000000000000000 0000000000000000 0000000000000000",
                        "2827262524232221 3837363534333231",
                        "00000000 00000000 00000000 44434241",
                        "6e616d65" + "00".repeat(60),
                        "00".repeat(64 + 32 + 16)));
    }

    @Test
    void longFileNameIsCutAndEndsInAZeroByte() {
        ByteBuffer info = LoopInfo64.allocate();
        LoopInfo64.encode(info, 0, 0, 0, 0, "x".repeat(200).getBytes(StandardCharsets.US_ASCII));

        assertThat(info.get(LoopInfo64.LO_FILE_NAME + 62)).isEqualTo((byte) 'x');
        assertThat(info.get(LoopInfo64.LO_FILE_NAME + 63)).isZero();
        assertThat(info.get(LoopInfo64.LO_FILE_NAME + 64)).isZero();
    }

    @ParameterizedTest
    @CsvSource({
        "true,false,false,false,1",
        "false,false,false,true,4",
        "false,false,true,false,8",
        "false,true,false,false,16"
    })
    void eachOptionHasItsFlag(boolean readOnly, boolean directIo, boolean scan, boolean autoclear, int flags) {
        ByteBuffer config = LoopConfig.of(3, new LoopOptions(readOnly, directIo, scan, 0, autoclear), new byte[0]);

        assertThat(config.getInt(LoopConfig.INFO + LoopInfo64.LO_FLAGS)).isEqualTo(flags);
    }

    private static String golden(String... parts) {
        return String.join("", parts).replace(" ", "");
    }

    private static String hex(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.capacity()];
        buffer.get(0, bytes);
        return HexFormat.of().formatHex(bytes);
    }
}
