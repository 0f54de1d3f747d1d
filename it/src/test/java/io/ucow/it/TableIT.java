package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CreateOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Devices given as dm-cow's table lines. */
class TableIT {
    private static final int MIB = 1 << 20;
    private static final int SECTORS_PER_MIB = MIB / 512;
    private static final int CHUNK = CreateOptions.DEFAULT_CHUNK_BYTES;
    private static final int USAGE = 2;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path other;

    @BeforeAll
    static void needs() {
        Requirements.tools("cmp", "truncate");
    }

    @BeforeEach
    void makeBases() throws IOException {
        base = home.randomFile("base", 8, 1);
        other = home.randomFile("other", 4, 2);
    }

    @Test
    void cowLineMakesItsStoreAndServesIt() throws Exception {
        Path store = home.path("vm.cow");
        String table = "0 " + 8 * SECTORS_PER_MIB + " cow vm " + base + " " + store + " 64\n";
        Path file = Files.writeString(home.path("table"), table);

        MountedImage mounted = home.mount("--table", file);
        assertThat(mounted.file().getFileName()).hasToString("disk");
        Tool.of("cmp", base, mounted.file()).succeed();
        byte[] bytes = write(mounted.file(), 3 * MIB);
        mounted.unmount();
        home.check(store);

        // A second time over what there is now, from standard input.
        Path dir = Files.createDirectory(home.path("again"));
        home.ucow("mount", "--table", "-", dir).reading(table).succeed();
        assertThat(read(dir.resolve("disk"), 3 * MIB)).isEqualTo(bytes);
        Tool.of("cmp", "-n", 3 * MIB, base, dir.resolve("disk")).succeed();
    }

    @Test
    void severalDevicesOfAllTargets() throws Exception {
        String table = String.join(
                "\n",
                "# two devices",
                "first: 0 2048 zero",
                "first: 2048 8192 cow a " + base + " a.cow 128",
                "first: 10240 2048 linear " + other + " 4096",
                "second: 0 16384 cow b " + base + " b.cow 8",
                "");
        Path dir = Files.createDirectory(home.path("dir"));
        home.ucow("mount", "--table", "-", dir).reading(table).succeed();
        Path first = dir.resolve("first");
        Path second = dir.resolve("second");

        assertThat(Files.size(first)).isEqualTo((2048 + 8192 + 2048) * 512L);
        Tool.of("cmp", "-n", MIB, first, "/dev/zero").succeed();
        // Sector n of a cow target is sector n of its base.
        Tool.of("cmp", "-n", 4 * MIB, "-i", MIB, first, base).succeed();
        Tool.of("cmp", "-n", MIB, "-i", 5 * MIB + ":" + 2 * MIB, first, other).succeed();
        Tool.of("cmp", second, base).succeed();
        byte[] inCow = write(first, 2 * MIB);
        assertThat(read(first, 2 * MIB)).isEqualTo(inCow);
        assertThat(read(second, 2 * MIB)).isNotEqualTo(inCow);
        assertThat(home.path("a.cow")).exists();
        assertThat(home.path("b.cow")).exists();
    }

    @Test
    void targetsWithOneIdentShareOneStore() throws Exception {
        Path store = home.path("shared.cow");
        String table = "0 4096 cow x " + base + " " + store + " 64\n" //
                + "4096 2048 zero\n"
                + "6144 4096 cow x " + base + " " + store + " 64\n";
        Path dir = Files.createDirectory(home.path("dir"));
        home.ucow("mount", "--table", "-", dir).reading(table).succeed();
        Path disk = dir.resolve("disk");
        byte[] low = writeChunk(disk, MIB);
        byte[] high = writeChunk(disk, 4 * MIB);
        String printed = home.ucow("table", disk).succeed().stdout();
        home.ucow("unmount", dir).succeed();

        home.check(store);
        assertThat(UcowHome.object(home.ucow("info", "--json", store).succeed().stdout())
                        .getLong("alteredChunks"))
                .isEqualTo(2);
        assertThat(printed.lines().filter(l -> l.contains(" linear " + store))).hasSize(2);
        home.ucow("mount", "--table", "-", dir).reading(table).succeed();
        assertThat(readChunk(disk, MIB)).isEqualTo(low);
        assertThat(readChunk(disk, 4 * MIB)).isEqualTo(high);
    }

    /** The printed table names the altered runs inside the store; mounted, it is the same disk. */
    @Test
    void printedTableIsTheSameDevice() throws Exception {
        Path image = home.create("vm.cow", base);
        MountedImage mounted = home.mount(image);
        writeChunk(mounted.file(), 0);
        writeChunk(mounted.file(), 3 * MIB);
        writeChunk(mounted.file(), 3 * MIB + CHUNK);
        // Altered in part: this chunk stays with the cow target.
        write(mounted.file(), 5 * MIB);
        writeChunk(mounted.file(), 8 * MIB - CHUNK);
        Path copy = Files.copy(mounted.file(), home.path("copy"));
        String table = home.ucow("table", mounted.file()).succeed().stdout();
        mounted.unmount();

        assertThat(home.ucow("table", image).succeed().stdout().replaceAll("cow \\S+", "cow X"))
                .isEqualTo(table.replaceAll("cow \\S+", "cow X"));
        List<String> lines = table.lines().toList();
        assertThat(lines).filteredOn(l -> l.contains(" linear ")).hasSize(3);
        long next = 0;
        for (String line : lines) {
            String[] words = line.split(" ", -1);
            assertThat(Long.parseLong(words[0])).as("%s", table).isEqualTo(next);
            next += Long.parseLong(words[1]);
        }
        assertThat(next).isEqualTo(8 * SECTORS_PER_MIB);

        Path dir = Files.createDirectory(home.path("dir"));
        home.ucow("mount", "--read-only", "--table", "-", dir).reading(table).succeed();
        Tool.of("cmp", copy, dir.resolve("disk")).succeed();
    }

    @ParameterizedTest
    @Tag("once")
    @CsvSource(delimiter = '|', textBlock = """
            0 2048 cow x BASE s.cow 100                            | 1 | CHUNK is 100
            0 2048 cow x BASE s.cow 4                              | 1 | CHUNK is 4
            0 2048 cow x BASE s.cow                                | 1 | after cow
            0 2048 zero;2048 8 striped 1 2                         | 2 | unknown target type 'striped'
            0 2048 zero;2000 8 zero                                | 2 | overlap
            0 2048 zero;3000 8 zero                                | 2 | gap
            8 2048 zero                                            | 1 | starts at sector 8; start it at 0
            0 2048 zero;2048 2048 cow x BASE s.cow 64;4096 0 zero  | 3 | LENGTH is 0
            a: 0 8 zero;0 8 zero                                   | 2 | without a 'NAME: ' prefix
            a: 0 8 zero;b: 0 8 zero;a: 8 8 zero                    | 3 | 'a' was already defined
            0 x zero                                               | 1 | LENGTH is 'x'
            0 8 zero;8 8 cow x BASE s.cow 64                       | 2 | chunk
            0 2048 linear MISSING 0                                | 1 | MISSING
            0 2048 cow x MISSING s.cow 64                          | 1 | MISSING
            0 999999 linear BASE 0                                 | 1 | BASE
            """)
    void wrongTableIsRefusedByLine(String lines, int lineNumber, String says) throws Exception {
        String text = lines.replace("BASE", base.toString()).replace(";", "\n") + "\n";
        Path table = Files.writeString(home.path("wrong.table"), text);
        Path dir = Files.createDirectory(home.path("dir"));
        String expected = says.replace("BASE", base.toString());

        Tool.Result result = home.ucow("mount", "--table", table, dir).run();

        assertThat(result.stderr()).startsWith("ucow: ").containsIgnoringCase(expected);
        assertThat(result.stderr().strip().lines()).as("%s", result).hasSize(1);
        assertThat(result.stdout()).isEmpty();
        if (lines.contains("MISSING")) {
            assertThat(result.status()).isEqualTo(10);
        } else {
            assertThat(result.status()).as("%s", result).isEqualTo(USAGE);
            assertThat(result.stderr()).containsPattern("wrong.table:" + lineNumber + "\\b|line " + lineNumber + "\\b");
        }
        assertThat(home.path("s.cow")).doesNotExist();
        assertThat(home.leftInRunDirectories()).isEmpty();
        Tool.Result fromStdin =
                home.ucow("mount", "--table", "-", dir).reading(text).run();
        assertThat(fromStdin.status()).isEqualTo(result.status());
        assertThat(fromStdin.stderr()).containsIgnoringCase(expected);
    }

    private static byte[] write(Path file, long offset) throws IOException {
        return write(file, offset, DirectFile.BLOCK);
    }

    private static byte[] writeChunk(Path file, long offset) throws IOException {
        return write(file, offset, CHUNK);
    }

    private static byte[] write(Path file, long offset, int length) throws IOException {
        byte[] bytes = new byte[length];
        new java.util.Random(offset).nextBytes(bytes);
        try (DirectFile out = DirectFile.open(file)) {
            out.write(offset, bytes);
        }
        return bytes;
    }

    private static byte[] read(Path file, long offset) throws IOException {
        return read(file, offset, DirectFile.BLOCK);
    }

    private static byte[] readChunk(Path file, long offset) throws IOException {
        return read(file, offset, CHUNK);
    }

    private static byte[] read(Path file, long offset, int length) throws IOException {
        try (DirectFile in = DirectFile.open(file)) {
            return in.read(offset, length);
        }
    }
}
