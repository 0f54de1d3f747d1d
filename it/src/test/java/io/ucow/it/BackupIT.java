package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code changed}, {@code export} and {@code import}: a disk in use, and its copy on what could be another host. */
@Tag("once")
@Timeout(value = 120, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class BackupIT {
    private static final int MIB = 1 << 20;
    private static final int KILLED = 128 + 9;
    private static final int BUSY = 12;
    private static final int OTHER_CONTENT = 15;
    private static final int DAMAGED = 16;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("cmp", "cp", "dd", "blkdiscard", "mkfifo", "sh");
    }

    @Test
    void copyFollowsADiskInUse() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 24, 1));
        Path device = home.attach(image);
        Path copy = home.path("copy.cow");
        Path first = snapshot(image);
        pipe("\"$0\" export \"$1\" - | \"$0\" import - \"$2\"", first, copy);

        Path data = home.randomFile("data", 3, 2);
        Tool.of("dd", "if=" + data, "of=" + device, "bs=64K", "seek=40", "oflag=direct")
                .succeed();
        Tool.of("blkdiscard", "--offset", 12 * MIB, "--length", MIB, device).succeed();
        Path second = snapshot(image);
        Path content = home.path("content");
        Tool.of("cp", device, content).succeed();
        assertThat(changed("--json", "--since", first, second))
                .isEqualTo(List.of(40 * 65536L, 3L * MIB, 12L * MIB, (long) MIB));
        Tool.of("dd", "if=" + data, "of=" + device, "bs=4K", "count=1", "seek=5", "oflag=direct")
                .succeed();
        assertThat(changed("--json", "--since", second, image)).isEqualTo(List.of(5 * 4096L, 4096L));
        home.ucow("export", "--since", first, image, "x.delta").exit(BUSY);
        pipe("\"$0\" export --since \"$3\" \"$1\" - | \"$0\" import - \"$2\"", second, copy, first);

        home.detach(device);
        home.check(copy);
        assertThat(home.path("copy.1.cow")).exists();
        home.ucow("resize", image, "+5M").succeed();
        Path third = snapshot(image);
        Path file = home.path("third.delta");
        assertThat(home.ucow("export", "--since", second, third, file).succeed().stderr())
                .isEmpty();
        assertThat(Files.size(file)).isBetween(4096L, 8192L);
        MountedImage mounted = home.mount("--read-only", copy);
        Tool.of("cmp", content, mounted.file()).succeed();
        home.ucow("import", file, copy).exit(BUSY);
        mounted.unmount();

        assertThat(home.ucow("import", file, copy).succeed().stdout()).isEqualTo(home.path("copy.2.cow") + "\n");
        home.ucow("diff", image, copy).succeed();
        home.ucow("import", file, copy).exit(OTHER_CONTENT);
        home.check(copy);
    }

    /** The stream is torn, or who reads it is killed: the copy is what it was, and the next try is all it takes. */
    @Test
    void whatBreaksOffChangesNothing() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 16, 1));
        Path first = snapshot(image);
        MountedImage mounted = home.mount(image);
        Tool.of("dd", "if=" + home.randomFile("data", 12, 2), "of=" + mounted.file(), "bs=1M", "conv=notrunc")
                .succeed();
        mounted.unmount();
        Path second = snapshot(image);
        Path file = home.path("second.delta");
        home.ucow("export", "--since", first, second, file).succeed();
        Path copy = home.path("copy.cow");
        pipe("\"$0\" export \"$1\" - | \"$0\" import - \"$2\"", first, copy);
        byte[] held = Files.readAllBytes(copy);
        byte[] stream = Files.readAllBytes(file);
        Path fifo = home.path("fifo");
        Tool.of("mkfifo", fifo).succeed();

        try (Tool.Running reader = home.ucow("import", fifo, copy).start();
                OutputStream out = Files.newOutputStream(fifo)) {
            out.write(stream, 0, stream.length / 2); // all but what the pipe holds has been read by then
            reader.kill();
            assertThat(reader.await().status()).isEqualTo(KILLED);
        }
        assertThat(Files.readAllBytes(copy)).isEqualTo(held);
        assertThat(home.path("copy.1.cow")).doesNotExist();
        assertThat(home.path(".copy.cow.snapshot")).exists();

        Files.write(home.path("torn"), Arrays.copyOf(stream, stream.length / 2));
        Tool.Result torn = home.ucow("import", "torn", copy).exit(DAMAGED);
        assertThat(torn.stderr()).startsWith("ucow: torn at 0x").contains("stream ends");
        assertThat(Files.readAllBytes(copy)).isEqualTo(held);
        assertThat(home.path(".copy.cow.snapshot")).doesNotExist();

        home.ucow("import", file, copy).succeed();
        home.ucow("diff", copy, image).succeed();
    }

    private Path snapshot(Path image) throws IOException {
        return Path.of(home.ucow("snapshot", image).succeed().line());
    }

    /** Has a shell run {@code script}, in which {@code $0} is ucow and {@code $1} the first argument. */
    private void pipe(String script, Object... arguments) throws IOException {
        assertThat(home.ucow(arguments).by("sh", "-c", script).succeed().stderr())
                .isEmpty();
    }

    /** Starts and lengths, one after the other. */
    private List<Long> changed(Object... arguments) throws IOException {
        List<Object> command = new java.util.ArrayList<>(List.of("changed"));
        command.addAll(Arrays.asList(arguments));
        List<JsonObject> ranges =
                UcowHome.objects(home.ucow(command.toArray()).succeed().stdout());
        return ranges.stream()
                .flatMap(range -> java.util.stream.Stream.of(range.getLong("start"), range.getLong("length")))
                .toList();
    }
}
