package io.ucow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import io.ucow.cli.daemon.DaemonLauncher;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** The command line in this process: everything that needs neither FUSE nor a loop device. */
class UcowCliTest {
    @TempDir
    Path temporary;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int ucow(Object... arguments) {
        out.getBuffer().setLength(0);
        err.getBuffer().setLength(0);
        String[] words = Stream.of(arguments).map(Object::toString).toArray(String[]::new);
        return UcowCli.commandLine(new DaemonLauncher(), words)
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(words);
    }

    private void assertOneErrorLine(String... parts) {
        assertThat(err.toString()).startsWith("ucow: ").endsWith("\n").contains(parts);
        assertThat(err.toString().lines()).as("lines of %s", err).hasSize(1);
        assertThat(out.toString()).isEmpty();
    }

    static Stream<Arguments> wrongCommandLines() {
        return Stream.of(
                Arguments.of(2, "which verb?", List.of()),
                Arguments.of(2, "no verb 'frobnicate'", List.of("frobnicate")),
                Arguments.of(2, "Unknown option: '--frob'", List.of("--frob")),
                Arguments.of(2, "'IMAGE'", List.of("create")),
                Arguments.of(2, "'b'", List.of("create", "--size", "1G", "a", "b")),
                Arguments.of(2, "'10X' is not a size", List.of("create", "--size", "10X", "a")),
                Arguments.of(2, "8 GiB", List.of("create", "--size", "1G", "--chunk", "8G", "a")),
                Arguments.of(2, "needs a size", List.of("create", "a")),
                Arguments.of(2, "power of two", List.of("create", "--size", "1G", "--chunk", "5K", "a")),
                Arguments.of(2, "DIR", List.of("mount")),
                Arguments.of(2, "name at least one IMAGE", List.of("mount", "d")),
                Arguments.of(2, "--table takes no IMAGE", List.of("mount", "--table", "t", "a", "d")),
                Arguments.of(
                        2,
                        "'unsafe' is no cache mode; there are none, writethrough, writeback",
                        List.of("mount", "--cache", "unsafe", "a", "d")),
                Arguments.of(2, "there are none, writethrough, writeback", List.of("attach", "--cache", "", "a")),
                Arguments.of(2, "IMAGE|DIR", List.of("restart")),
                Arguments.of(2, "'b'", List.of("restart", "a", "b")),
                Arguments.of(2, "DIR", List.of("unmount")),
                Arguments.of(2, "IMAGE", List.of("attach")),
                Arguments.of(2, "'x' is not an int", List.of("attach", "--sector-size", "x", "a")),
                Arguments.of(2, "power of two", List.of("attach", "--sector-size", "100", "a")),
                Arguments.of(2, "IMAGE", List.of("detach")),
                Arguments.of(2, "'x'", List.of("list", "x")),
                Arguments.of(2, "'y'", List.of("status", "x", "y")),
                Arguments.of(2, "IMAGE", List.of("info")),
                Arguments.of(2, "IMAGE", List.of("map")),
                Arguments.of(2, "exclude each other", List.of("map", "--json", "--svg", "a")),
                Arguments.of(2, "IMAGE", List.of("table")),
                Arguments.of(1, "IMAGE", List.of("check")),
                Arguments.of(1, "Unknown option", List.of("check", "--frob", "a")),
                Arguments.of(2, "'OUT'", List.of("flatten", "a")),
                Arguments.of(2, "no option 'chunk'", List.of("flatten", "--chunk", "4K", "a", "b")),
                Arguments.of(2, "8 GiB", List.of("flatten", "-O", "ucow", "--chunk", "8G", "a", "b")),
                Arguments.of(2, "'B'", List.of("diff", "a")),
                Arguments.of(2, "'x'", List.of("plugins", "x")));
    }

    @ParameterizedTest
    @MethodSource("wrongCommandLines")
    void wrongCommandLinesGetOneLineAndACode(int code, String part, List<String> arguments) {
        assertThat(ucow(arguments.toArray())).isEqualTo(code);
        assertOneErrorLine(part);
    }

    @Test
    void everyVerbExplainsItself() {
        for (Verb verb : Verb.values()) {
            assertThat(ucow(verb.word(), "--help")).as(verb.word()).isZero();
            assertThat(out.toString()).contains("ucow " + verb.word()).contains("--help");
            assertThat(err.toString()).isEmpty();
        }
        assertThat(ucow("--help")).isZero();
        assertThat(out.toString()).contains("\n  attach ").doesNotContain("\n  daemon ", "\n  keeper ");
        assertThat(ucow("--version")).isZero();
        assertThat(out.toString()).startsWith("ucow ");
    }

    /** Whether all verbs are declared or one, and with what came before it, is for speed alone. */
    @Test
    void optionsMayStandBeforeTheVerb() {
        assertThat(ucow("-v", "info", temporary.resolve("none.cow"))).isEqualTo(ExitCodes.NOT_FOUND);
        assertThat(err.toString()).startsWith("ucow: ").contains("\tat io.ucow.cli.");

        assertThat(ucow("--help")).isZero();
        String help = out.toString();
        assertThat(ucow("--help", "info")).isZero();
        assertThat(out.toString()).isEqualTo(help);
        for (Verb verb : Verb.values()) {
            assertThat(help).containsPattern("\n  " + verb.word() + "[ ,]");
        }
    }

    @Test
    void umountIsAnotherWordForUnmount() {
        assertThat(ucow("umount", temporary)).isEqualTo(ExitCodes.NOT_FOUND);
        assertThat(ucow("-v", "umount", temporary)).isEqualTo(ExitCodes.NOT_FOUND);
        assertThat(ucow("--help")).isZero();
        assertThat(out.toString()).contains("\n  unmount, umount  ");
    }

    @Test
    void anArgumentIsNoFileOfArguments() {
        assertThat(ucow("info", "@none")).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine("@none");
    }

    @Test
    void everyListingHasJson() {
        for (String verb : List.of("list", "status", "info", "map", "check", "diff", "changed", "plugins")) {
            CommandLine command = UcowCli.commandLine(new DaemonLauncher(), verb)
                    .getSubcommands()
                    .get(verb);
            assertThat(command.getCommandSpec().optionsMap()).as(verb).containsKey("--json");
        }
    }

    @Test
    void namesWithoutFilesAreExplained() {
        Path none = temporary.resolve("none.cow");
        for (String verb : List.of("info", "map", "table", "attach")) {
            assertThat(ucow(verb, none)).as(verb).isEqualTo(ExitCodes.NOT_FOUND);
            assertOneErrorLine(none.toString(), "no such image", "ucow create");
        }
        assertThat(ucow("check", none)).isEqualTo(1);
        assertOneErrorLine(none.toString(), "no such image");
        assertThat(ucow("mount", none, temporary)).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine("no such image");
        assertThat(ucow("mount", "--table", none, temporary)).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine(none.toString());
        assertThat(ucow("unmount", none)).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine("no ucow mount there");
        assertThat(ucow("detach", none)).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine("not attached");
        assertThat(ucow("status", none)).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine("ucow list");
        assertThat(ucow("create", "--base", none, temporary.resolve("a"))).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine(none.toString(), "no such base");
        assertThat(ucow("create", "--size", "1M", none.resolve("a"))).isEqualTo(ExitCodes.NOT_FOUND);
        assertOneErrorLine(none.toString(), "mkdir");
    }

    @Test
    void filesOfTheWrongKindAreExplained() throws Exception {
        Path raw = Files.write(temporary.resolve("raw.img"), new byte[1 << 20]);
        for (String verb : List.of("info", "map", "table")) {
            assertThat(ucow(verb, raw)).as(verb).isEqualTo(ExitCodes.UNSUPPORTED);
            assertOneErrorLine(raw.toString());
            assertThat(ucow(verb, temporary)).as(verb).isEqualTo(ExitCodes.WRONG_KIND);
            assertOneErrorLine("is a directory");
        }
        assertThat(ucow("create", "--base", temporary, temporary.resolve("a"))).isEqualTo(ExitCodes.WRONG_KIND);
        assertOneErrorLine("is a directory, not a base");
        assertThat(ucow("create", "--size", "1M", "--format", "foo", temporary.resolve("a")))
                .isEqualTo(ExitCodes.UNSUPPORTED);
        assertOneErrorLine("foo", "ucow");
    }

    @Test
    void anImageIsCreatedAndLookedAt() throws Exception {
        Path base = Files.write(temporary.resolve("base.img"), new byte[1 << 20]);
        Path image = temporary.resolve("a.cow");

        assertThat(ucow("create", "--base", base, "--size", "4M", "--chunk", "16K", image))
                .isZero();
        assertThat(out.toString() + err).isEmpty();
        assertThat(ucow("create", "--base", base, image)).isEqualTo(ExitCodes.EXISTS);
        assertOneErrorLine(image.toString(), "exists already");

        assertThat(ucow("info", "--json", image)).isZero();
        JsonObject info = JsonParser.object().from(out.toString());
        assertThat(info.getString("base")).isEqualTo(base.toRealPath().toString());
        assertThat(info.getLong("sizeBytes")).isEqualTo(4 << 20);
        assertThat(info.getInt("chunkBytes")).isEqualTo(16 << 10);
        assertThat(ucow("info", image)).isZero();
        assertThat(out.toString()).contains("virtual size: 4 MiB");

        assertThat(ucow("map", "--json", image)).isZero();
        JsonArray map = JsonParser.array().from(out.toString());
        assertThat(map.getObject(0)).containsEntry("start", 0).containsEntry("source", "base");
        assertThat(ucow("map", "--svg", image)).isZero();
        assertThat(out.toString()).startsWith("<svg").endsWith("</svg>\n");
        assertThat(ucow("table", image)).isZero();
        assertThat(out.toString()).startsWith("0 8192 cow ");

        assertThat(ucow("check", "--json", image)).isZero();
        assertThat(JsonParser.object().from(out.toString()).getBoolean("sound")).isTrue();
        assertThat(ucow("check", image)).isZero();
        assertThat(out.toString()).startsWith("No errors were found");
    }

    @Test
    void anImageIsFlattenedAndCompared() throws Exception {
        byte[] content = new byte[100_000];
        content[99_999] = 1;
        Path base = Files.write(temporary.resolve("base.img"), content);
        Path image = temporary.resolve("a.cow");
        Path raw = temporary.resolve("flat.img");
        Path flat = temporary.resolve("flat.cow");
        assertThat(ucow("create", "--base", base, image)).isZero();

        assertThat(ucow("flatten", image, raw)).isZero();
        assertThat(ucow("flatten", "-O", "ucow", image, flat)).isZero();
        assertThat(out.toString() + err).isEmpty();

        assertThat(Files.readAllBytes(raw)).isEqualTo(content);
        assertThat(ucow("diff", "--json", flat, raw)).isZero();
        assertThat(JsonParser.array().from(out.toString())).isEmpty();
        Path larger = Files.write(temporary.resolve("larger.img"), new byte[200_000]);
        assertThat(ucow("diff", flat, larger)).isEqualTo(ExitCodes.DIFF_DIFFERENT);
        assertThat(out.toString().lines()).hasSize(2).last().asString().matches("0x18600 +0x200");
        assertThat(err.toString().lines()).singleElement().asString().contains("sizes differ", "100000", "200000");
        assertThat(ucow("diff", flat, temporary)).isEqualTo(ExitCodes.DIFF_IMPOSSIBLE);
        assertOneErrorLine("is a directory");
        assertThat(ucow("flatten", image, raw)).isEqualTo(ExitCodes.EXISTS);
        assertOneErrorLine(raw.toString(), "exists already");
    }

    @Test
    void anImageIsResized() throws Exception {
        Path image = temporary.resolve("a.cow");
        assertThat(ucow("create", "--size", "4M", image)).isZero();

        assertThat(ucow("resize", image, "+2M")).isZero();
        assertThat(ucow("resize", image, "6M")).isZero();
        assertThat(out.toString() + err).isEmpty();
        assertThat(sizeOf(image)).isEqualTo(6 << 20);
        assertThat(ucow("resize", image, "1M")).isEqualTo(ExitCodes.USAGE);
        assertOneErrorLine(image.toString(), "add --shrink");
        assertThat(ucow("resize", "--shrink", image, "1M")).isZero();
        assertThat(sizeOf(image)).isEqualTo(1 << 20);
        assertThat(ucow("resize", image, "+8E")).isEqualTo(ExitCodes.USAGE);
        assertThat(ucow("resize", image, "+")).isEqualTo(ExitCodes.USAGE);
        assertOneErrorLine("'' is not a size");
    }

    private long sizeOf(Path image) throws Exception {
        assertThat(ucow("info", "--json", image)).isZero();
        return JsonParser.object().from(out.toString()).getLong("sizeBytes");
    }

    @Test
    void anImageIsExportedAndImported() throws Exception {
        Path base = Files.write(temporary.resolve("base.img"), new byte[1 << 20]);
        Path image = temporary.resolve("a.cow");
        Path copy = temporary.resolve("b.cow");
        Path all = temporary.resolve("all.delta");
        Path delta = temporary.resolve("more.delta");
        assertThat(ucow("create", "--base", base, image)).isZero();
        assertThat(ucow("snapshot", image)).isZero();
        Path first = Path.of(out.toString().strip());
        assertThat(ucow("export", first, all)).isZero();
        assertThat(ucow("import", all, copy)).isZero();
        assertThat(out.toString() + err).isEmpty();
        assertThat(ucow("export", first, all)).isEqualTo(ExitCodes.EXISTS);
        assertOneErrorLine(all.toString(), "exists already");

        assertThat(ucow("resize", image, "2M")).isZero();
        assertThat(ucow("changed", "--since", first, image)).isZero();
        assertThat(out.toString()).isEmpty();
        assertThat(ucow("changed", "--json", "--since", first, image)).isZero();
        assertThat(JsonParser.array().from(out.toString())).isEmpty();
        assertThat(ucow("export", "--since", first, image, delta)).isZero();
        assertThat(ucow("import", "--as", temporary.resolve("old.cow"), delta, copy))
                .isZero();
        assertThat(out.toString()).isEqualTo(temporary.toRealPath().resolve("old.cow") + "\n");
        assertThat(sizeOf(copy)).isEqualTo(2 << 20);
        assertThat(ucow("import", delta, copy)).isEqualTo(ExitCodes.BASE_CHANGED);
        assertOneErrorLine(copy.toString(), "holds what", "brings already");
        assertThat(ucow("import", image, copy)).isEqualTo(ExitCodes.UNSUPPORTED);
        assertOneErrorLine("is not a stream that 'ucow export' wrote");
    }

    @Test
    void verboseAddsTheStackTrace() {
        Path none = temporary.resolve("none.cow");

        ucow("info", "-v", none);

        assertThat(err.toString()).startsWith("ucow: ").contains("\tat io.ucow.cli.");
    }

    @Test
    void pluginsListsFormatsAndTransports() throws Exception {
        assertThat(ucow("plugins", "--json")).isZero();

        assertThat(JsonParser.array().from(out.toString()))
                .anySatisfy(p -> assertThat((JsonObject) p)
                        .containsEntry("kind", "format")
                        .containsEntry("name", "ucow")
                        .containsEntry("usable", true))
                .anySatisfy(p -> assertThat((JsonObject) p).containsEntry("kind", "transport"));
    }
}
