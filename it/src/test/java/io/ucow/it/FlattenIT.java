package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code flatten} and {@code diff}, judged by outside tools: the whole disk in one file, or no file at all. */
class FlattenIT {
    private static final int MIB = 1 << 20;
    private static final int NO_SPACE = 14;
    private static final int BUSY = 12;
    private static final int DIFFERENT = 1;
    private static final int COULD_NOT_COMPARE = 2;
    private static final int TIMEOUT_MILLIS = 60_000;
    /** {@code inotify_add_watch}: a file was made in a directory. */
    private static final int IN_CREATE = 0x100;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "cmp", "cp", "du", "mkfs.ext4", "e2fsck", "truncate", "kill");
    }

    @Test
    void fileSystemIsTheSameOnOneFile() throws Exception {
        Requirements.fileSystem("ext4");
        Path base = home.sparseFile("base", 96 * MIB);
        Tool.of("mkfs.ext4", "-q", base).succeed();
        Path image = home.create("vm.cow", base, "--size", "128M");
        Path device = home.attach(image);
        try (TempMount mount = TempMount.of(device)) {
            byte[] bytes = new byte[10 * MIB];
            new Random(1).nextBytes(bytes);
            Files.write(mount.root().resolve("data"), bytes);
            Files.write(mount.root().resolve("zeros"), new byte[20 * MIB]);
        }
        Path content = home.path("content");
        Tool.of("cp", device, content).succeed();
        home.ucow("flatten", image, "busy.img").exit(BUSY);
        home.detach(device);

        Path raw = home.path("flat.img");
        Path flat = home.path("flat.cow");
        assertThat(home.ucow("flatten", image, raw).succeed().stderr())
                .as("progress where there is no terminal")
                .isEmpty();
        home.ucow("flatten", "-O", "ucow", "--chunk", "64K", image, flat).succeed();
        Files.move(base, home.path("elsewhere"));

        Tool.of("cmp", content, raw).succeed();
        Tool.of("e2fsck", "-f", "-n", raw).succeed();
        assertThat(occupied(raw)).isBetween(10L * MIB, 14L * MIB);
        assertThat(occupied(flat)).isBetween(10L * MIB, 19L * MIB); // with a journal of 4 MiB
        home.check(flat);
        home.ucow("diff", flat, raw).succeed();
        Tool.of("cmp", content, home.attach(flat)).succeed();
        assertThat(home.path("busy.img")).doesNotExist();
    }

    @Test
    void diffTellsWhatWasWritten() throws Exception {
        Path base = home.randomFile("base", 8, 1);
        Path image = home.create("vm.cow", base);
        Path device = home.attach(image);
        home.ucow("diff", image, base).exit(COULD_NOT_COMPARE); // in use
        home.ucow("diff", device, base).succeed();
        try (DirectFile disk = DirectFile.open(device)) {
            disk.write(MIB, new byte[8192]);
        }
        home.detach(device);

        Tool.Result text = home.ucow("diff", image, base).exit(DIFFERENT);
        Tool.Result json = home.ucow("diff", "--json", base, image).exit(DIFFERENT);

        assertThat(text.stdout().lines().map(line -> line.replaceAll(" +", " ")))
                .containsExactly("Offset Length", "0x100000 0x2000");
        List<JsonObject> ranges = UcowHome.objects(json.stdout());
        assertThat(ranges).hasSize(1);
        assertThat(ranges.get(0)).containsEntry("start", MIB).containsEntry("length", 8192);
        assertThat(text.stderr() + json.stderr()).isEmpty();
    }

    @Test
    @Tag("once")
    void killLeavesNoFileAndTheNextRunTidiesUp() throws Exception {
        Path endless = endless();
        Path image = home.create("vm.cow", home.randomFile("base", 8, 1));
        Path directory = Files.createDirectory(home.path("out"));
        Path out = directory.resolve("flat.img");
        try (Tool.Running flatten = home.ucow("flatten", endless, out).start()) {
            awaitFileIn(directory, flatten);
            flatten.kill();
            assertThat(flatten.await().status()).isEqualTo(128 + 9);
        }
        assertThat(out).doesNotExist();

        home.ucow("flatten", image, out).succeed();

        assertThat(filesIn(directory)).containsExactly(out);
        Tool.of("cmp", home.path("base"), out).succeed();
    }

    @ParameterizedTest
    @Tag("once")
    @CsvSource({"INT, 2", "TERM, 15"})
    void signalLeavesNothing(String signal, int number) throws Exception {
        Path endless = endless();
        Path directory = Files.createDirectory(home.path("out"));
        // A build in the background may ignore SIGINT, and Java keeps to what it inherits.
        try (Tool.Running flatten = home.ucow("flatten", endless, directory.resolve("flat.img"))
                .by("env", "--default-signal=" + signal)
                .start()) {
            awaitFileIn(directory, flatten);
            Tool.of("kill", "-" + signal, flatten.pid()).succeed();
            assertThat(flatten.await().status()).isEqualTo(128 + number);
        }
        assertThat(filesIn(directory)).isEmpty();
        home.ucow("check", endless).succeed();
    }

    /** An image that takes minutes to flatten, however idle the machine: a disk has no holes, so all of it is read. */
    private Path endless() throws IOException {
        Path zeros = home.path("zeros.cow");
        home.ucow("create", "--size", "1T", zeros).succeed();
        return home.create("endless.cow", home.attach("--read-only", zeros));
    }

    @ParameterizedTest
    @Tag("once")
    @ValueSource(strings = {"raw", "ucow"})
    void fullDiskLeavesNothing(String format) throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", 64, 1));
        Path disk = Files.createDirectory(home.path("disk"));
        Tool.of("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk).succeed();

        Tool.Result result =
                home.ucow("flatten", "-O", format, image, disk.resolve("flat")).exit(NO_SPACE);

        assertThat(result.stderr()).startsWith("ucow: " + disk.resolve("flat")).contains("no space left");
        assertThat(result.stderr().lines()).hasSize(1);
        assertThat(filesIn(disk)).isEmpty();
    }

    /** Returns when there is a file in {@code directory}; the process that makes it has begun to copy by then. */
    private static void awaitFileIn(Path directory, Tool.Running maker) throws IOException {
        int changes = Libc.watch(directory.toString(), IN_CREATE);
        try {
            // It may have come before the watch.
            if (filesIn(directory).isEmpty()) {
                assertThat(Libc.awaitReadable(changes, TIMEOUT_MILLIS))
                        .as("a file in %s; %s", directory, maker.stderr())
                        .isTrue();
            }
        } finally {
            Libc.close(changes);
        }
    }

    private static List<Path> filesIn(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.toList();
        }
    }

    /** As {@code du} has it. */
    private static long occupied(Path file) throws IOException {
        return Long.parseLong(Tool.of("du", "-k", file).succeed().stdout().split("\t", -1)[0]) << 10;
    }
}
