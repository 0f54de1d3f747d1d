package io.ucow.fuse.direct.abi;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Each structure against bytes written down from {@code include/uapi/linux/fuse.h} by hand, one line for each field and
 * another value in each. A field of which the comment says "any" is one that we do not look at.
 */
class LayoutsTest {
    /** Of what an encoder leaves alone. */
    private static final byte UNTOUCHED = (byte) 0xee;

    private static ByteBuffer decoded(int size, String dump) {
        byte[] bytes = bytes(dump);
        assertThat(bytes).hasSize(size);
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] bytes(String dump) {
        return HexFormat.of().parseHex(dump.replaceAll("#.*|\\s", ""));
    }

    private static void assertEncodes(int size, String dump, Consumer<ByteBuffer> encoder) {
        byte[] expected = bytes(dump);
        assertThat(expected).hasSize(size);
        byte[] encoded = new byte[size + 8];
        Arrays.fill(encoded, UNTOUCHED);
        encoder.accept(ByteBuffer.wrap(encoded).order(ByteOrder.LITTLE_ENDIAN));
        assertThat(HexFormat.of().formatHex(encoded)).isEqualTo(HexFormat.of().formatHex(expected) + "ee".repeat(8));
    }

    @Test
    void inHeader() {
        ByteBuffer request = decoded(InHeader.SIZE, """
                04030201          # len
                14131211          # opcode
                28272625 24232221 # unique
                38373635 34333231 # nodeid
                44434241 54535251 64636261 # uid, gid, pid: any
                7271 8281         # total_extlen, padding: any
                """);
        assertThat(InHeader.len(request)).isEqualTo(0x01020304);
        assertThat(InHeader.opcode(request)).isEqualTo(0x11121314);
        assertThat(InHeader.unique(request)).isEqualTo(0x2122232425262728L);
        assertThat(InHeader.nodeid(request)).isEqualTo(0x3132333435363738L);
    }

    @Test
    void outHeader() {
        String dump = """
                04030201          # len
                f2ffffff          # error: -14
                28272625 24232221 # unique
                """;
        assertEncodes(OutHeader.SIZE, dump, b -> OutHeader.put(b, 0x01020304, -14, 0x2122232425262728L));
        assertThat(OutHeader.unique(decoded(OutHeader.SIZE, dump))).isEqualTo(0x2122232425262728L);
    }

    @Test
    void initIn() {
        String dump = """
                04030201          # major
                14131211          # minor
                24232221          # max_readahead
                34333271          # flags, INIT_EXT (bit 30) among them
                44434241          # flags2
                %s                # unused[11]: any
                """.formatted("99".repeat(44));
        ByteBuffer body = decoded(InitIn.SIZE, dump);
        assertThat(InitIn.major(body)).isEqualTo(0x01020304);
        assertThat(InitIn.minor(body)).isEqualTo(0x11121314);
        assertThat(InitIn.maxReadahead(body)).isEqualTo(0x21222324);
        assertThat(InitIn.flags(body)).isEqualTo(0x4142434471323334L);
    }

    /** The upper flags count only where they are there: by their bit, and by the length. */
    @Test
    void initInOfOlderKernels() {
        ByteBuffer withoutBit = decoded(20, "04030201 14131211 24232221 34333231 44434241");
        assertThat(InitIn.flags(withoutBit)).isEqualTo(0x31323334);
        ByteBuffer cut = decoded(InitIn.MIN_SIZE, "04030201 14131211 24232221 34333271");
        assertThat(InitIn.flags(cut)).isEqualTo(0x71323334);
    }

    @Test
    void initOut() {
        assertEncodes(InitOut.SIZE, """
                04030201          # major
                14131211          # minor
                24232221          # max_readahead
                34333231          # flags
                4241              # max_background
                5251              # congestion_threshold
                64636261          # max_write
                74737271          # time_gran
                8281              # max_pages
                eeee              # map_alignment
                a4a3a291          # flags2
                eeeeeeee          # max_stack_depth
                eeee              # request_timeout
                %s                # unused[11]
                """.formatted("ee".repeat(22)), body -> {
            InitOut.putVersion(body, 0x01020304, 0x11121314);
            InitOut.putFlags(body, 0x91a2a3a431323334L);
            InitOut.putBackground(body, 0x4142, 0x5152);
            InitOut.putSizes(body, 0x21222324, 0x61626364, 0x8182);
            InitOut.putTimeGranularity(body, 0x71727374);
        });
    }

    private static final String ATTR = """
            08070605 04030201 # ino
            18171615 14131211 # size
            28272625 24232221 # blocks
            38373635 34333231 # atime
            38373635 34333231 # mtime
            38373635 34333231 # ctime
            44434241          # atimensec
            44434241          # mtimensec
            44434241          # ctimensec
            54535251          # mode
            64636261          # nlink
            74737271          # uid
            84838281          # gid
            00000000          # rdev
            94939291          # blksize
            00000000          # flags
            """;

    private static void putAttr(ByteBuffer body, int at) {
        Attr.put(
                body,
                at,
                0x0102030405060708L,
                0x1112131415161718L,
                0x2122232425262728L,
                0x51525354,
                0x61626364,
                0x91929394);
        Attr.putOwner(body, at, 0x71727374, 0x81828384);
        Attr.putTimes(body, at, 0x3132333435363738L, 0x41424344);
    }

    @Test
    void attr() {
        assertEncodes(Attr.SIZE, ATTR, body -> putAttr(body, 0));
    }

    @Test
    void attrOut() {
        assertEncodes(AttrOut.SIZE, """
                a8a7a6a5 a4a3a2a1 # attr_valid
                00000000          # attr_valid_nsec
                00000000          # dummy
                """ + ATTR, body -> {
            AttrOut.putValid(body, 0xa1a2a3a4a5a6a7a8L);
            putAttr(body, AttrOut.ATTR);
        });
    }

    @Test
    void entryOut() {
        assertEncodes(EntryOut.SIZE, """
                b8b7b6b5 b4b3b2b1 # nodeid
                00000000 00000000 # generation
                c8c7c6c5 c4c3c2c1 # entry_valid
                a8a7a6a5 a4a3a2a1 # attr_valid
                00000000          # entry_valid_nsec
                00000000          # attr_valid_nsec
                """ + ATTR, body -> {
            EntryOut.put(body, 0, 0xb1b2b3b4b5b6b7b8L, 0xc1c2c3c4c5c6c7c8L, 0xa1a2a3a4a5a6a7a8L);
            putAttr(body, EntryOut.ATTR);
        });
    }

    @Test
    void dirent() {
        assertEncodes(
                Dirent.sizeFor(3),
                """
                08070605 04030201 # ino
                18171615 14131211 # off
                03000000          # namelen
                24232221          # type
                766d31            # name
                00 00000000       # padding
                """,
                body -> Dirent.put(
                        body, 0, 0x0102030405060708L, 0x1112131415161718L, 0x21222324, "vm1".getBytes(UTF_8)));
    }

    @ParameterizedTest
    @CsvSource({"1,32", "8,32", "9,40", "255,280"})
    void direntsAreMultiplesOfEight(int nameBytes, int size) {
        assertThat(Dirent.sizeFor(nameBytes)).isEqualTo(size);
        byte[] name = "x".repeat(nameBytes).getBytes(UTF_8);
        byte[] entry = new byte[size];
        Arrays.fill(entry, UNTOUCHED);
        Dirent.put(ByteBuffer.wrap(entry).order(ByteOrder.LITTLE_ENDIAN), 0, 1, 2, Dirent.DT_REG, name);
        assertThat(entry).endsWith(Arrays.copyOf(name, size - Dirent.NAME));
    }

    @Test
    void readIn() {
        ByteBuffer body = decoded(ReadIn.SIZE, """
                08070605 04030201 # fh: any
                18171615 14131211 # offset
                24232221          # size
                34333231          # read_flags: any
                48474645 44434241 # lock_owner: any
                54535251 64636261 # flags, padding: any
                """);
        assertThat(ReadIn.offset(body)).isEqualTo(0x1112131415161718L);
        assertThat(ReadIn.size(body)).isEqualTo(0x21222324);
    }

    @Test
    void writeIn() {
        ByteBuffer body = decoded(WriteIn.SIZE, """
                08070605 04030201 # fh: any
                18171615 14131211 # offset
                24232221          # size
                34333231          # write_flags: any
                48474645 44434241 # lock_owner: any
                54535251 64636261 # flags, padding: any
                """);
        assertThat(WriteIn.offset(body)).isEqualTo(0x1112131415161718L);
        assertThat(WriteIn.size(body)).isEqualTo(0x21222324);
    }

    @Test
    void writeOut() {
        assertEncodes(WriteOut.SIZE, "04030201 00000000", body -> WriteOut.put(body, 0x01020304));
    }

    @Test
    void openIn() {
        assertThat(OpenIn.flags(decoded(OpenIn.SIZE, "04030201 14131211"))).isEqualTo(0x01020304);
    }

    @Test
    void openOut() {
        assertEncodes(OpenOut.SIZE, """
                08070605 04030201 # fh
                14131211          # open_flags
                00000000          # backing_id
                """, body -> OpenOut.put(body, 0x0102030405060708L, 0x11121314));
    }

    @Test
    void fallocateIn() {
        ByteBuffer body = decoded(FallocateIn.SIZE, """
                08070605 04030201 # fh: any
                18171615 14131211 # offset
                28272625 24232221 # length
                34333231          # mode
                44434241          # padding: any
                """);
        assertThat(FallocateIn.offset(body)).isEqualTo(0x1112131415161718L);
        assertThat(FallocateIn.length(body)).isEqualTo(0x2122232425262728L);
        assertThat(FallocateIn.mode(body)).isEqualTo(0x31323334);
    }

    @Test
    void setattrIn() {
        ByteBuffer body = decoded(SetattrIn.SIZE, """
                04030201 14131211 # valid; padding: any
                28272625 24232221 # fh: any
                38373635 34333231 # size
                48474645 44434241 # lock_owner: any
                58575655 54535251 68676665 64636261 78777675 74737271 # times: any
                84838281 94939291 a4a3a2a1 # nanoseconds: any
                b4b3b2b1 c4c3c2c1 d4d3d2d1 e4e3e2e1 f4f3f2f1 # mode, unused4, uid, gid, unused5: any
                """);
        assertThat(SetattrIn.valid(body)).isEqualTo(0x01020304);
        assertThat(SetattrIn.size(body)).isEqualTo(0x3132333435363738L);
    }

    @Test
    void statfsOut() {
        assertEncodes(
                StatfsOut.SIZE,
                """
                08070605 04030201 # blocks
                00000000 00000000 # bfree
                00000000 00000000 # bavail
                18171615 14131211 # files
                00000000 00000000 # ffree
                24232221          # bsize
                34333231          # namelen
                44434241          # frsize
                %s                # padding, spare[6]
                """.formatted("00".repeat(28)),
                body -> StatfsOut.put(
                        body, 0x0102030405060708L, 0x1112131415161718L, 0x21222324, 0x41424344, 0x31323334));
    }

    @Test
    void getxattr() {
        assertThat(GetxattrIn.size(decoded(GetxattrIn.SIZE, "04030201 14131211")))
                .isEqualTo(0x01020304);
        assertEncodes(GetxattrOut.SIZE, "04030201 00000000", body -> GetxattrOut.put(body, 0x01020304));
    }

    @Test
    void lseek() {
        ByteBuffer body = decoded(LseekIn.SIZE, """
                08070605 04030201 # fh: any
                18171615 14131211 # offset
                24232221          # whence
                34333231          # padding: any
                """);
        assertThat(LseekIn.offset(body)).isEqualTo(0x1112131415161718L);
        assertThat(LseekIn.whence(body)).isEqualTo(0x21222324);
        assertEncodes(LseekOut.SIZE, "08070605 04030201", b -> LseekOut.put(b, 0x0102030405060708L));
    }
}
