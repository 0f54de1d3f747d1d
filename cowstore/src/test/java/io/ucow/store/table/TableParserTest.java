package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class TableParserTest {
    private static final String SYNTAX = "START LENGTH cow IDENT BASE COWDEV CHUNK, START LENGTH linear DEV OFFSET"
            + " or START LENGTH zero, in sectors of 512 bytes";

    private static final String IN_PATHS = ", with a backslash before a space in a path";

    @Test
    void linesWithoutPrefixAreOneDevice() throws IOException {
        String text = """
                # root disk
                0 1024 cow vm1 /base.img /vm1.cow 128

                \t1024 8 linear 4000:16 2048   # the config disk
                1032 1 zero
                """;
        assertThat(parse(text))
                .containsExactly(new DeviceTable(
                        "vm",
                        List.of(
                                cow(0, 1024, 2, "vm1", "/base.img", "/vm1.cow", 128),
                                new Target.Linear(1024, 8, 4, Path.of("/dev/block/4000:16"), 2048),
                                new Target.Zero(1032, 1, 5))));
    }

    @Test
    void prefixedLinesAreSeveralDevicesInOrder() throws IOException {
        List<DeviceTable> tables = parse("b: 0 8 zero\na\\x20x: 0 8 zero\na\\x20x: 8 8 zero\nc:d: 0 1 zero");
        assertThat(tables).extracting(DeviceTable::name).containsExactly("b", "a x", "c:d");
        assertThat(tables).extracting(DeviceTable::lengthSectors).containsExactly(8L, 16L, 1L);
    }

    @Test
    void backslashKeepsSpacesAndHashesInPaths() throws IOException {
        assertThat(parse("0 8 linear /a\\ b\\#1\\\\c 0"))
                .isEqualTo(
                        List.of(new DeviceTable("vm", List.of(new Target.Linear(0, 8, 1, Path.of("/a b#1\\c"), 0)))));
    }

    @Test
    void relativePathsAreOfTheWorkingDirectory() throws IOException {
        Target.Linear linear =
                (Target.Linear) parse("0 8 linear ./x/../y 0").get(0).targets().get(0);
        assertThat(linear.device()).isEqualTo(Path.of("").toAbsolutePath().resolve("x/../y"));
    }

    @Test
    void dashIsNoBase() throws IOException {
        Target.Cow cow = (Target.Cow) parse("0 8 cow i - /s 8").get(0).targets().get(0);
        assertThat(cow.base()).isEmpty();
    }

    @Test
    void lastCowTargetMayEndInsideAChunk() throws IOException {
        assertThat(parse("0 128 cow i /b /s 64\n128 3 cow i /b /s 64").get(0).lengthSectors())
                .isEqualTo(131);
    }

    @Test
    void devicesMayShareAStore() throws IOException {
        assertThat(parse("a: 0 64 cow i /b /s 64\nb: 0 128 cow i /b /./s 64")).hasSize(2);
    }

    @Test
    void alteredRunsMayLieInTheDevicesOwnStore() throws IOException {
        assertThat(parse("0 64 linear /s 4096\n64 64 cow i /b /s 64")
                        .get(0)
                        .joined()
                        .targets())
                .containsExactly(cow(0, 128, 2, "i", "/b", "/s", 64));
    }

    @Test
    void windowsLineEndsAreWhiteSpace() throws IOException {
        assertThat(parse("0 8 zero\r\n8 8 zero\r\n").get(0).lengthSectors()).isEqualTo(16);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n\n", "# 0 8 zero\n"})
    void emptyInputIsRefused(String text) {
        assertThatThrownBy(() -> parse(text))
                .isInstanceOf(TableSyntaxException.class)
                .hasMessage("vm.table: found no table lines; write " + SYNTAX);
    }

    static Stream<Arguments> wrongTables() {
        String tooLarge = "; use at most 18014398509481983 sectors";
        return Stream.of(
                wrong("0 8", 1, "found '0 8'; write " + SYNTAX),
                wrong("vm:", 1, "found ''; write " + SYNTAX),
                wrong("# x\n\n-1 8 zero", 3, "START is '-1'; write a number of sectors in decimal digits"),
                wrong("0 0x10 zero", 1, "LENGTH is '0x10'; write a number of sectors in decimal digits"),
                wrong("0 0 zero", 1, "LENGTH is 0; give the target at least 1 sector, or drop the line"),
                wrong("0 18014398509481984 zero", 1, "LENGTH is 18014398509481984" + tooLarge),
                wrong("0 99999999999999999999 zero", 1, "LENGTH is 99999999999999999999" + tooLarge),
                wrong("0 8 zero\n8 18014398509481983 zero", 2, "START + LENGTH is 8 + 18014398509481983" + tooLarge),
                wrong("0 8 linear /d 18014398509481980", 1, "OFFSET + LENGTH is 18014398509481980 + 8" + tooLarge),
                wrong("0 8 linear /d -8", 1, "OFFSET is '-8'; write a number of sectors in decimal digits"),
                wrong("0 8 snapshot /a /b P 8", 1, "unknown target type 'snapshot'; use cow, linear or zero"),
                wrong("0 8 zero 0", 1, "found '0' after zero; write nothing there"),
                wrong("0 8 linear /d", 1, "found '/d' after linear; write DEV OFFSET" + IN_PATHS),
                wrong("0 8 cow i /b /s", 1, "found 'i /b /s' after cow; write IDENT BASE COWDEV CHUNK" + IN_PATHS),
                wrong(
                        "0 8 cow i /b /a b 8",
                        1,
                        "found 'i /b /a b 8' after cow; write IDENT BASE COWDEV CHUNK" + IN_PATHS),
                wrong("0 8 cow i /b /s 100", 1, chunk(100)),
                wrong("0 8 cow i /b /s 4", 1, chunk(4)),
                wrong("0 8 cow i /b /s 4096", 1, chunk(4096)),
                wrong("0 8 cow i /b /s 0", 1, chunk(0)),
                wrong("0 8 linear /a\0 0", 1, "'/a\0' is no path: Nul character not allowed; correct it"),
                wrong("8 8 zero", 1, "the device's first target starts at sector 8; start it at 0"),
                wrong(
                        "0 8 zero\n\n4 8 zero",
                        3,
                        "START is 4, but the target before it, line 1, ends before sector 8: they overlap; start at 8"),
                wrong(
                        "0 8 zero\n9 8 zero",
                        2,
                        "START is 9, but the target before it, line 1, ends before sector 8: a gap is left; start at 8,"
                                + " or fill the gap with a zero target"),
                wrong(
                        "0 8 zero\n8 64 cow i /b /s 64",
                        2,
                        "START is 8, which is no multiple of CHUNK, 64 sectors; start at a chunk's first sector"),
                wrong(
                        "0 72 cow i /b /s 64\n72 8 zero",
                        1,
                        "LENGTH is 72, which is no multiple of CHUNK, 64 sectors; only the device's last target may end"
                                + " inside a chunk"),
                wrong(
                        "0 34359738369 cow i /b /s 8",
                        1,
                        "the target ends at sector 34359738369, but a store of 8-sector chunks has at most 34359738368"
                                + " sectors; use larger chunks or a smaller device"),
                wrong(
                        "0 64 cow i /b /s 64\n64 64 cow i /c /s 64",
                        2,
                        "BASE of ident 'i' is /c, but /b on line 1; make them agree, or use another ident and COWDEV"),
                wrong(
                        "a: 0 64 cow i /b /s 64\nb: 0 64 cow i - /s 64",
                        2,
                        "BASE of ident 'i' is - (none), but /b on line 1; make them agree, or use another ident and"
                                + " COWDEV"),
                wrong(
                        "0 64 cow i /b /s 64\n64 64 cow i /b /t 64",
                        2,
                        "COWDEV of ident 'i' is /t, but /s on line 1; make them agree, or use another ident and COWDEV"),
                wrong(
                        "0 64 cow i /b /s 64\n64 64 cow i /b /s 32",
                        2,
                        "CHUNK of ident 'i' is 32, but 64 on line 1; make them agree, or use another ident and COWDEV"),
                wrong(
                        "0 64 cow i /b /s 64\n64 64 cow j /b /s 64",
                        2,
                        "COWDEV /s is under ident 'j', but under 'i' on line 1; give every ident a COWDEV of its own"),
                wrong(
                        "0 64 cow i /b /s 64\n64 64 cow j /c /b 64",
                        2,
                        "COWDEV /b is the BASE on line 1, and a base is never written; name another file"),
                wrong(
                        "0 64 linear /b 0\n64 64 cow i /b /s 64",
                        1,
                        "DEV /b is the BASE on line 2, and a base is never written; name another file"),
                wrong(
                        "a: 0 64 cow i /b /s 64\nb: 0 64 linear /s 0",
                        2,
                        "DEV /s is the COWDEV of ident 'i', line 1, of another device; only the altered runs of its own"
                                + " device may be linear into it"),
                wrong(
                        "0 8 linear /s 0\n8 8 zero\n16 8 zero\n24 40 zero\n64 64 cow i /b /s 64",
                        1,
                        "LENGTH is 8, which is no multiple of CHUNK, 64 sectors; only the device's last target may end"
                                + " inside a chunk"),
                wrong(
                        "a: 0 8 zero\nb: 0 8 zero\na: 8 8 zero",
                        3,
                        "device 'a' was already defined, from line 1 on; put the lines of a device together, or rename"
                                + " one"),
                wrong("a\\x2fb: 0 8 zero", 1, name("a/b")),
                wrong("a/b: 0 8 zero", 1, name("a/b")),
                wrong("..: 0 8 zero", 1, name("..")),
                wrong(": 0 8 zero", 1, name("")),
                wrong(
                        "a: 0 8 zero\n8 8 zero",
                        2,
                        "found a line without a 'NAME: ' prefix, but line 1 has one; give it to every line, or to none"
                                + " for a single device"),
                wrong(
                        "\n0 8 zero\na: 8 8 zero",
                        3,
                        "found a line with a 'NAME: ' prefix, but line 2 has none; give it to every line, or to none for"
                                + " a single device"));
    }

    @ParameterizedTest
    @MethodSource("wrongTables")
    void whatIsWrongIsNamedWithItsLine(String text, String message) {
        assertThatThrownBy(() -> parse(text))
                .isInstanceOf(TableSyntaxException.class)
                .hasMessage(message);
    }

    @Test
    void nameFromTheCallerIsCheckedToo() {
        assertThatThrownBy(() -> TableParser.parse(new StringReader("0 8 zero"), TableParser.STDIN, ""))
                .isInstanceOf(TableSyntaxException.class)
                .hasMessage("<stdin> line 1: " + name(""));
    }

    private static Arguments wrong(String text, int line, String problem) {
        return Arguments.of(text, "vm.table line " + line + ": " + problem);
    }

    private static String chunk(int found) {
        return "CHUNK is " + found + "; use a power of two from 8 to 2048 sectors, which is 4 KiB to 1 MiB";
    }

    private static String name(String found) {
        return "device name '" + found + "' cannot be a file name; use 1 to 255 bytes without '/', not . or ..";
    }

    private static Target.Cow cow(
            long start, long length, int line, String ident, String base, String store, int chunk) {
        return new Target.Cow(start, length, line, ident, Optional.of(Path.of(base)), Path.of(store), chunk);
    }

    private static List<DeviceTable> parse(String text) throws IOException {
        return TableParser.parse(new StringReader(text), "vm.table", "vm");
    }
}
