package io.ucow.cli;

import static io.ucow.cli.ExitCodes.CORRUPT;
import static io.ucow.cli.ExitCodes.DIFF_IMPOSSIBLE;
import static io.ucow.cli.ExitCodes.EXISTS;
import static io.ucow.cli.ExitCodes.NOT_FOUND;
import static io.ucow.cli.ExitCodes.OK;
import static io.ucow.cli.ExitCodes.UNSUPPORTED;
import static io.ucow.cli.ExitCodes.USAGE;
import static io.ucow.cli.ExitCodes.WRONG_KIND;
import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.cli.daemon.DaemonLauncher;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every mistake of a newcomer that a command sees by itself: one line on standard error that says what to do, the exit
 * code that the README has for it, and nothing changed, created or left behind.
 *
 * <p>What a daemon sees, and the way from here to the exit code of a process, is CliErrorsIT's.
 */
class MistakesTest {
    private static final int CHECK_IMPOSSIBLE = 1;

    @TempDir
    Path temporary;

    private final List<DynamicTest> mistakes = new ArrayList<>();

    @TestFactory
    Stream<DynamicTest> mistakes() throws Exception {
        prepare();

        // No verb, or a wrong one.
        mistake(USAGE, "which verb?", "");
        mistake(USAGE, "'frobnicate'", "frobnicate");
        mistake(USAGE, "'--frobnicate'", "--frobnicate");

        mistake(USAGE, "IMAGE", "create");
        mistake(USAGE, "'--bas'", "create --bas ./base ./x.cow");
        mistake(USAGE, "needs a size", "create ./x.cow");
        mistake(USAGE, "is not a size", "create --size many ./x.cow");
        mistake(USAGE, "1 or more", "create --size 0 ./x.cow");
        mistake(USAGE, "power of two", "create --base ./base --chunk 48K ./x.cow");
        mistake(USAGE, "between 4K and 1M", "create --base ./base --chunk 2K ./x.cow");
        mistake(USAGE, "between 4K and 1M", "create --base ./base --chunk 2M ./x.cow");
        mistake(USAGE, "", "create --size 8E ./x.cow");
        mistake(USAGE, "", "create --base ./empty ./x.cow");
        mistake(USAGE, "is less than", "create --base ./base --max-size 1M ./x.cow");
        mistake(USAGE, "is not a size", "create --base ./base --max-size all ./x.cow");
        mistake(USAGE, "none, lz4", "create --base ./base --compress zstd ./x.cow");
        mistake(USAGE, "exclude each other", "create --size 1G --max-size 1G --compress lz4 ./x.cow");
        mistake(USAGE, "16K or more", "create --base ./base --compress lz4 --chunk 8K ./x.cow");
        mistake(USAGE, "off, metadata, full", "create --base ./base --preallocate falloc ./x.cow");
        mistake(USAGE, "exclude each other", "create --base ./base --preallocate full --compress lz4 ./x.cow");
        mistake(USAGE, "'qcow2' has no option 'max-size'; it has chunk", "create -f qcow2 --size 1G --max-size 1G ./x");
        mistake(USAGE, "'ucow' has no option 'cluster_size'", "create --size 1G -o cluster_size=64K ./x.cow");
        mistake(USAGE, "KEY=VALUE", "create --size 1G -o cluster_size ./x.cow");
        mistake(USAGE, "cluster_size 3000 is not a power of two", "create -f qcow2 --size 1G -o cluster_size=3000 ./x");
        mistake(USAGE, "give one of them", "create -f qcow2 --size 1G --chunk 64K -o cluster_size=64K ./x");
        mistake(USAGE, "'qcow2' has no option 'compress'", "create -f qcow2 --size 1G --compress zlib ./x");
        mistake(NOT_FOUND, "nowhere: no such base", "create --base ./nowhere ./x.cow");
        mistake(NOT_FOUND, "nowhere", "create --base ./base ./nowhere/x.cow");
        mistake(EXISTS, "vm.cow: exists already", "create --base ./base ./vm.cow");
        mistake(EXISTS, "a symbolic link that leads nowhere", "create --base ./base ./link.cow");
        mistake(EXISTS, "base: exists already", "create --size 1G ./base");
        mistake(UNSUPPORTED, "no plug-in for format 'vmdk'", "create --format vmdk --base ./base ./x.cow");
        mistake(UNSUPPORTED, "is encrypted (AES)", "create --base ./encrypted.qcow2 ./x.cow");
        mistake(UNSUPPORTED, "neither a regular file nor", "create --base /dev/null ./x.cow");
        mistake(WRONG_KIND, "dir", "create --base ./dir ./x.cow");

        mistake(USAGE, "IMAGE... DIR", "mount");
        mistake(USAGE, "name at least one IMAGE", "mount ./vm.cow");
        mistake(USAGE, "--table takes no IMAGE", "mount --table ./table ./vm.cow ./dir");
        mistake(USAGE, "none, writethrough, writeback", "mount --cache unsafe ./vm.cow ./dir");
        mistake(USAGE, "off, on, unmap", "mount --detect-zeroes always ./vm.cow ./dir");
        mistake(NOT_FOUND, "nowhere", "mount --table ./nowhere ./dir");
        mistake(NOT_FOUND, "nowhere.cow: no such image", "mount ./nowhere.cow ./dir");

        mistake(USAGE, "DIR", "unmount");
        mistake(NOT_FOUND, "no ucow mount there", "unmount ./dir");
        mistake(NOT_FOUND, "no ucow mount there", "unmount ./nowhere");
        mistake(NOT_FOUND, "no ucow mount there", "unmount ./vm.cow");
        mistake(NOT_FOUND, "no ucow mount there", "umount /");

        mistake(USAGE, "IMAGE", "attach");
        mistake(USAGE, "", "attach ./vm.cow ./other.cow");
        mistake(USAGE, "sector", "attach --sector-size 100 ./vm.cow");
        mistake(USAGE, "'many'", "attach --sector-size many ./vm.cow");
        mistake(USAGE, "none, writethrough, writeback", "attach --cache= ./vm.cow");
        mistake(USAGE, "off, on, unmap", "attach --detect-zeroes= ./vm.cow");
        mistake(NOT_FOUND, "no such image", "attach ./nowhere.cow");

        mistake(USAGE, "IMAGE", "snapshot");
        mistake(NOT_FOUND, "no such image", "snapshot ./nowhere.cow");
        mistake(EXISTS, "other.cow: exists already", "snapshot ./vm.cow --as ./other.cow");
        mistake(USAGE, "a layer stays beside its image", "snapshot ./vm.cow --as ./sub/layer.cow");
        mistake(UNSUPPORTED, "is not an image", "snapshot ./base");
        mistake(CORRUPT, "damaged.cow", "snapshot ./damaged.cow");
        mistake(WRONG_KIND, "dir", "snapshot ./dir");

        mistake(USAGE, "SIZE", "resize ./vm.cow");
        mistake(USAGE, "'big' is not a size", "resize ./vm.cow big");
        mistake(USAGE, "the limit for chunks", "resize ./vm.cow +7E");
        mistake(USAGE, "add --shrink", "resize ./vm.cow 512K");
        mistake(USAGE, "the limit for chunks", "resize ./vm.cow 4E");
        mistake(USAGE, "is less than", "resize ./limited.cow 100T");
        mistake(NOT_FOUND, "no such image", "resize ./nowhere.cow 2M");
        mistake(UNSUPPORTED, "is not an image", "resize ./base 2M");
        mistake(CORRUPT, "damaged.cow", "resize ./damaged.cow 2M");
        mistake(WRONG_KIND, "dir", "resize ./dir 2M");

        mistake(USAGE, "--since=SNAPSHOT", "changed ./vm.cow");
        mistake(USAGE, "vm.cow; there is none", "changed --since ./base ./vm.cow");
        mistake(NOT_FOUND, "nowhere: no such layer", "changed --since ./nowhere ./vm.cow");
        mistake(NOT_FOUND, "no such image", "changed --since ./base ./nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "changed --since ./vm.cow ./base");
        mistake(WRONG_KIND, "dir", "changed --since ./base ./dir");

        mistake(USAGE, "FILE|-", "export ./vm.cow");
        mistake(USAGE, "is no layer below", "export --since ./base ./vm.cow ./x.delta");
        mistake(NOT_FOUND, "no such image", "export ./nowhere.cow ./x.delta");
        mistake(NOT_FOUND, "nowhere: no such layer", "export --since ./nowhere ./vm.cow ./x.delta");
        mistake(NOT_FOUND, "make it with mkdir", "export ./vm.cow ./nowhere/x.delta");
        mistake(EXISTS, "base: exists already", "export ./vm.cow ./base");
        mistake(UNSUPPORTED, "is not an image", "export ./base ./x.delta");
        mistake(CORRUPT, "damaged.cow", "export ./damaged.cow ./x.delta");
        mistake(WRONG_KIND, "dir", "export ./dir ./x.delta");

        mistake(USAGE, "IMAGE", "import ./vm.delta");
        mistake(USAGE, "has all of an image", "import --as ./x.1.cow ./vm.delta ./x.cow");
        mistake(NOT_FOUND, "nowhere: no such stream", "import ./nowhere ./x.cow");
        mistake(NOT_FOUND, "make it with mkdir", "import ./vm.delta ./nowhere/x.cow");
        mistake(EXISTS, "vm.cow: exists already", "import ./vm.delta ./vm.cow");
        mistake(UNSUPPORTED, "base: is not a stream that 'ucow export' wrote", "import ./base ./x.cow");
        mistake(UNSUPPORTED, "expected a header of 128", "import ./empty ./x.cow");
        mistake(CORRUPT, "torn.delta at 0x", "import ./torn.delta ./x.cow");
        mistake(WRONG_KIND, "dir", "import ./dir ./x.cow");
        mistake(WRONG_KIND, "dir", "import ./vm.delta ./dir");

        mistake(USAGE, "IMAGE", "commit");
        mistake(USAGE, "other.cow'? It is one argument too many", "commit ./vm.cow ./other.cow");
        mistake(NOT_FOUND, "no such image", "commit ./nowhere.cow");
        mistake(UNSUPPORTED, "base: is not an image", "commit ./base");
        mistake(UNSUPPORTED, "alone.cow: has no base", "commit ./alone.cow");
        mistake(CORRUPT, "damaged.cow", "commit ./damaged.cow");
        mistake(WRONG_KIND, "dir", "commit ./dir");

        mistake(USAGE, "--base BASE, or else --no-base", "rebase ./vm.cow");
        mistake(USAGE, "--base BASE, or else --no-base", "rebase --no-base --base ./base ./vm.cow");
        mistake(USAGE, "IMAGE", "rebase --no-base");
        mistake(NOT_FOUND, "no such image", "rebase --no-base ./nowhere.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "rebase --base ./nowhere ./vm.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "rebase --unsafe --base ./nowhere ./vm.cow");
        mistake(UNSUPPORTED, "is not an image", "rebase --no-base ./base");
        mistake(UNSUPPORTED, "is encrypted (AES)", "rebase --base ./encrypted.qcow2 ./vm.cow");
        mistake(UNSUPPORTED, "vm.cow: cannot be behind itself", "rebase --base ./vm.cow ./vm.cow");
        mistake(CORRUPT, "damaged.cow", "rebase --no-base ./damaged.cow");
        mistake(WRONG_KIND, "dir", "rebase --base ./dir ./vm.cow");

        mistake(USAGE, "IMAGE", "compact");
        mistake(USAGE, "other.cow'? It is one argument too many", "compact ./vm.cow ./other.cow");
        mistake(NOT_FOUND, "no such image", "compact ./nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "compact ./base");
        mistake(CORRUPT, "damaged.cow", "compact ./damaged.cow");
        mistake(WRONG_KIND, "dir", "compact ./dir");

        mistake(USAGE, "IMAGE", "scrub");
        mistake(USAGE, "is not a size", "scrub --rate slow ./vm.cow");
        mistake(USAGE, "1 or more", "scrub --rate 0 ./vm.cow");
        mistake(NOT_FOUND, "no such image", "scrub ./nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "scrub ./base");
        mistake(UNSUPPORTED, "ucow create --checksums", "scrub ./vm.cow");
        mistake(CORRUPT, "damaged.cow", "scrub ./damaged.cow");
        mistake(WRONG_KIND, "dir", "scrub ./dir");

        mistake(USAGE, "IMAGE|/dev/loopN", "detach");
        mistake(NOT_FOUND, "not attached by ucow", "detach ./vm.cow");
        mistake(NOT_FOUND, "not attached by ucow", "detach ./nowhere.cow");
        mistake(NOT_FOUND, "not attached by ucow", "detach /dev/loop7777");

        mistake(USAGE, "IMAGE|DIR", "restart");
        mistake(USAGE, "other.cow'? It is one argument too many", "restart ./vm.cow ./other.cow");
        mistake(NOT_FOUND, "not mounted or attached", "restart ./vm.cow");
        mistake(NOT_FOUND, "not mounted or attached", "restart ./dir");
        mistake(NOT_FOUND, "not mounted or attached", "restart ./nowhere");

        mistake(USAGE, "", "list everything");
        mistake(USAGE, "'--yaml'", "list --yaml");
        mistake(NOT_FOUND, "not mounted or attached", "status ./vm.cow");
        mistake(NOT_FOUND, "not mounted or attached", "status ./nowhere");

        for (String verb : List.of("info", "map", "table")) {
            mistake(USAGE, "IMAGE", verb);
            mistake(NOT_FOUND, "no such image", verb + " ./nowhere.cow");
            mistake(UNSUPPORTED, "is not an image", verb + " ./base");
            mistake(CORRUPT, "damaged.cow", verb + " ./damaged.cow");
            mistake(WRONG_KIND, "dir", verb + " ./dir");
        }
        mistake(USAGE, "exclude each other", "map --svg --json ./vm.cow");
        mistake(USAGE, "", "plugins more");

        mistake(CHECK_IMPOSSIBLE, "IMAGE", "check");
        mistake(CHECK_IMPOSSIBLE, "no such image", "check ./nowhere.cow");
        mistake(CHECK_IMPOSSIBLE, "is not an image", "check ./base");
        mistake(CHECK_IMPOSSIBLE, "directory", "check ./dir");

        mistake(USAGE, "OUT", "flatten ./vm.cow");
        mistake(USAGE, "'more'", "flatten ./vm.cow ./x.img more");
        mistake(USAGE, "'raw' has no option 'chunk'", "flatten --chunk 64K ./vm.cow ./x.img");
        mistake(USAGE, "'raw' has no option 'checksums'", "flatten --checksums ./vm.cow ./x.img");
        mistake(USAGE, "'raw' has no option 'compress'; it has none", "flatten --compress lz4 ./vm.cow ./x.img");
        mistake(USAGE, "none, lz4", "flatten -O ucow --compress gzip ./vm.cow ./x.cow");
        mistake(USAGE, "power of two", "flatten -O ucow --chunk 48K ./vm.cow ./x.cow");
        mistake(NOT_FOUND, "no such image", "flatten ./nowhere.cow ./x.img");
        mistake(NOT_FOUND, "make it with mkdir", "flatten ./vm.cow ./nowhere/x.img");
        mistake(EXISTS, "base: exists already", "flatten ./vm.cow ./base");
        mistake(EXISTS, "dir: exists already", "flatten -O ucow ./vm.cow ./dir");
        mistake(UNSUPPORTED, "no plug-in for format 'vmdk'", "flatten -O vmdk ./vm.cow ./x.img");
        mistake(UNSUPPORTED, "is not an image", "flatten ./base ./x.img");
        mistake(CORRUPT, "damaged.cow", "flatten ./damaged.cow ./x.img");
        mistake(WRONG_KIND, "dir", "flatten ./dir ./x.img");

        mistake(UNSUPPORTED, "no internal snapshots, but layers", "flatten --snapshot x ./vm.cow ./x.img");
        mistake(UNSUPPORTED, "no internal snapshots, but layers", "info --snapshot x ./vm.cow");
        mistake(UNSUPPORTED, "no internal snapshots, but layers", "map --snapshot x ./vm.cow");
        mistake(USAGE, "not for a table", "mount --snapshot x --table ./base ./dir");

        mistake(DIFF_IMPOSSIBLE, "is no image", "diff --snapshot x ./base ./vm.cow");
        mistake(DIFF_IMPOSSIBLE, "'B'", "diff ./vm.cow");
        mistake(DIFF_IMPOSSIBLE, "nowhere: no such file", "diff ./vm.cow ./nowhere");
        mistake(DIFF_IMPOSSIBLE, "dir: is a directory", "diff ./dir ./base");
        mistake(DIFF_IMPOSSIBLE, "encrypted.qcow2: is encrypted (AES)", "diff ./base ./encrypted.qcow2");
        mistake(DIFF_IMPOSSIBLE, "neither a regular file nor", "diff ./base /dev/null");
        mistake(DIFF_IMPOSSIBLE, "damaged.cow", "diff ./base ./damaged.cow");

        return mistakes.stream();
    }

    private void prepare() throws IOException {
        byte[] content = new byte[1 << 20];
        new Random(1).nextBytes(content);
        Files.write(at("base"), content);
        Files.createDirectory(at("dir"));
        Files.createDirectory(at("sub"));
        Files.createFile(at("empty"));
        Files.createSymbolicLink(at("link.cow"), at("nowhere.cow"));
        Files.writeString(at("table"), "0 8 nonsense\n");
        ByteBuffer encrypted = ByteBuffer.allocate(1 << 10);
        encrypted.putInt(0, 0x514649fb); // "QFI\xfb", version 3
        encrypted.putInt(4, 3);
        encrypted.putInt(20, 16); // cluster_bits
        encrypted.putInt(32, 1); // crypt_method
        encrypted.putInt(100, 104); // header_length
        Files.write(at("encrypted.qcow2"), encrypted.array());
        for (String image : List.of("vm", "other", "damaged")) {
            succeed("create --base ./base ./" + image + ".cow");
        }
        succeed("create --base ./base --max-size 8M ./limited.cow");
        succeed("create --size 1M ./alone.cow");
        succeed("export ./vm.cow ./vm.delta");
        byte[] stream = Files.readAllBytes(at("vm.delta"));
        Files.write(at("torn.delta"), Arrays.copyOf(stream, stream.length - 1));
        try (RandomAccessFile damaged = new RandomAccessFile(at("damaged.cow").toFile(), "rw")) {
            // Both superblocks, each in a sector or so of its own, behind their magic numbers.
            for (int offset : new int[] {64, 4096 + 64}) {
                damaged.seek(offset);
                damaged.writeLong(0x0123456789abcdefL);
            }
        }
    }

    private Path at(String name) {
        return temporary.resolve(name);
    }

    private void succeed(String line) {
        assertThat(ucow(line)).isEqualTo(new Call(OK, "", ""));
    }

    /** @param line words as in a shell; those that begin with ./ are names in the test's directory */
    private void mistake(int status, String says, String line) {
        mistakes.add(DynamicTest.dynamicTest("ucow " + line, () -> verify(status, says, line)));
    }

    private void verify(int status, String says, String line) throws IOException {
        Map<String, String> before = everything();

        Call call = ucow(line);

        assertThat(call.status()).as("%s", call).isEqualTo(status);
        assertThat(call.stdout()).as("standard output").isEmpty();
        assertThat(call.stderr().lines()).as("%s", call).hasSize(1);
        assertThat(call.stderr()).startsWith("ucow: ").contains(says).doesNotContain("Exception", "internal error");
        assertThat(everything()).as("files, mounts and processes").isEqualTo(before);
    }

    private record Call(int status, String stdout, String stderr) {}

    /** With this process's streams, as the program has them, so that log lines count, too. */
    private Call ucow(String line) {
        String[] words = line.isEmpty() ? new String[0] : line.split(" ");
        for (int i = 0; i < words.length; i++) {
            if (words[i].startsWith("./")) {
                words[i] = at(words[i].substring(2)).toString();
            }
        }
        PrintStream formerOut = System.out;
        PrintStream formerErr = System.err;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        try {
            int status = UcowCli.commandLine(new DaemonLauncher(), words).execute(words);
            return new Call(status, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(formerOut);
            System.setErr(formerErr);
        }
    }

    /** Every file with what a change would change, what is mounted on one, and what was started. */
    private Map<String, String> everything() throws IOException {
        Map<String, String> found = new TreeMap<>();
        try (Stream<Path> files = Files.walk(temporary)) {
            for (Path file : files.toList()) {
                boolean image = file.toString().endsWith(".cow");
                // An image that is opened and closed again has another time, and the same size.
                found.put(
                        file.toString(),
                        Files.readAttributes(file, "size", LinkOption.NOFOLLOW_LINKS)
                                + (image || Files.isDirectory(file) ? "" : Files.getLastModifiedTime(file) + ""));
            }
        }
        Path run = Path.of(System.getenv("UCOW_RUN_DIR"));
        if (Files.exists(run)) {
            try (Stream<Path> files = Files.walk(run)) {
                found.put(
                        "run directory",
                        files.filter(f -> !f.equals(run.resolve("lock")))
                                .toList()
                                .toString());
            }
        }
        found.put(
                "mounts",
                Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
                        .filter(m -> m.contains(temporary.toString()))
                        .toList()
                        .toString());
        found.put("processes", ProcessHandle.current().children().toList().toString());
        return found;
    }
}
