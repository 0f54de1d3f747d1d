package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * Every mistake a newcomer makes: one line on standard error that says what to do, the exit code that the README has for
 * it, and nothing changed, created or left behind.
 */
class CliErrorsIT {
    private static final int USAGE = 2;
    private static final int NOT_FOUND = 10;
    private static final int EXISTS = 11;
    private static final int BUSY = 12;
    private static final int CORRUPT = 16;
    private static final int UNSUPPORTED = 17;
    private static final int WRONG_KIND = 18;
    private static final int ENVIRONMENT = 19;
    private static final int CHECK_IMPOSSIBLE = 1;
    private static final int CHECK_CORRUPT = 2;
    private static final int DIFF_IMPOSSIBLE = 2;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final List<DynamicTest> mistakes = new ArrayList<>();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("truncate", "qemu-img");
    }

    /** Noticed before there is a transport. */
    @TestFactory
    @Tag("once")
    @Timeout(240)
    Stream<DynamicTest> mistakes() throws Exception {
        prepare();

        // No verb, or a wrong one.
        mistake(USAGE, "which verb?");
        mistake(USAGE, "'frobnicate'", "frobnicate");
        mistake(USAGE, "'--frobnicate'", "--frobnicate");

        mistake(USAGE, "IMAGE", "create");
        mistake(USAGE, "'--bas'", "create", "--bas", "base", "x.cow");
        mistake(USAGE, "needs a size", "create", "x.cow");
        mistake(USAGE, "is not a size", "create", "--size", "many", "x.cow");
        mistake(USAGE, "1 or more", "create", "--size", "0", "x.cow");
        mistake(USAGE, "power of two", "create", "--base", "base", "--chunk", "48K", "x.cow");
        mistake(USAGE, "between 4K and 1M", "create", "--base", "base", "--chunk", "2K", "x.cow");
        mistake(USAGE, "between 4K and 1M", "create", "--base", "base", "--chunk", "2M", "x.cow");
        mistake(USAGE, "", "create", "--size", "8E", "x.cow");
        mistake(USAGE, "", "create", "--base", "empty", "x.cow");
        mistake(USAGE, "is less than", "create", "--base", "base", "--max-size", "1M", "x.cow");
        mistake(USAGE, "is not a size", "create", "--base", "base", "--max-size", "all", "x.cow");
        mistake(USAGE, "none, lz4", "create", "--base", "base", "--compress", "zstd", "x.cow");
        mistake(
                USAGE,
                "exclude each other",
                "create",
                "--size",
                "1G",
                "--max-size",
                "1G",
                "--compress",
                "lz4",
                "x.cow");
        mistake(USAGE, "16K or more", "create", "--base", "base", "--compress", "lz4", "--chunk", "8K", "x.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "create", "--base", "nowhere", "x.cow");
        mistake(NOT_FOUND, "nowhere", "create", "--base", "base", "nowhere/x.cow");
        mistake(EXISTS, "vm.cow: exists already", "create", "--base", "base", "vm.cow");
        mistake(EXISTS, "base: exists already", "create", "--size", "1G", "base");
        mistake(UNSUPPORTED, "no plug-in for format 'vmdk'", "create", "--format", "vmdk", "--base", "base", "x.cow");
        mistake(UNSUPPORTED, "qcow2 images are read, not", "create", "--format", "qcow2", "--base", "base", "x.qcow2");
        mistake(UNSUPPORTED, "is encrypted (AES)", "create", "--base", "encrypted.qcow2", "x.cow");
        mistake(UNSUPPORTED, "neither a regular file nor", "create", "--base", "/dev/null", "x.cow");
        mistakeOfKind("dir", "create", "--base", "dir", "x.cow");

        mistake(USAGE, "IMAGE... DIR", "mount");
        mistake(USAGE, "name at least one IMAGE", "mount", "vm.cow");
        mistake(USAGE, "--table takes no IMAGE", "mount", "--table", "table", "vm.cow", "dir");
        mistake(USAGE, "smoke", "mount", "--transport", "smoke", "vm.cow", "dir");
        mistake(USAGE, "none, writethrough, writeback", "mount", "--cache", "unsafe", "vm.cow", "dir");
        mistake(USAGE, "off, on, unmap", "mount", "--detect-zeroes", "always", "vm.cow", "dir");
        mistake(USAGE, "empty.table", "mount", "--table", "empty.table", "dir");
        mistake(USAGE, "table line 1", "mount", "--table", "table", "dir");
        mistake(NOT_FOUND, "nowhere", "mount", "--table", "nowhere", "dir");
        mistake(NOT_FOUND, "nowhere.cow: no such image", "mount", "nowhere.cow", "dir");
        mistake(NOT_FOUND, "no such directory; make it with mkdir", "mount", "vm.cow", "nowhere");
        mistake(EXISTS, "would be the same file 'vm'", "mount", "vm.cow", "sub/vm.cow", "dir");
        mistake(WRONG_KIND, "not empty", "mount", "vm.cow", "sub");
        mistake(WRONG_KIND, "not a directory", "mount", "vm.cow", "base");
        mistake(UNSUPPORTED, "base: is not an image", "mount", "base", "dir");
        mistake(UNSUPPORTED, "image.qcow2: is a qcow2 image", "mount", "image.qcow2", "dir");
        mistake(UNSUPPORTED, "empty: is not an image", "mount", "empty", "dir");
        mistake(CORRUPT, "damaged.cow", "mount", "damaged.cow", "dir");
        mistakeOfKind("dir", "mount", "dir", "mnt");

        mistake(USAGE, "DIR", "unmount");
        mistake(NOT_FOUND, "no ucow mount there", "unmount", "dir");
        mistake(NOT_FOUND, "no ucow mount there", "unmount", "nowhere");
        mistake(NOT_FOUND, "no ucow mount there", "unmount", "vm.cow");
        mistake(NOT_FOUND, "no ucow mount there", "umount", "/");

        mistake(USAGE, "IMAGE", "attach");
        mistake(USAGE, "", "attach", "vm.cow", "other.cow");
        mistake(USAGE, "sector", "attach", "--sector-size", "100", "vm.cow");
        mistake(USAGE, "'many'", "attach", "--sector-size", "many", "vm.cow");
        mistake(USAGE, "none, writethrough, writeback", "attach", "--cache", "", "vm.cow");
        mistake(USAGE, "off, on, unmap", "attach", "--detect-zeroes", "", "vm.cow");
        mistake(USAGE, "smoke", "attach", "--transport", "smoke", "vm.cow");
        mistake(NOT_FOUND, "no such image", "attach", "nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "attach", "base");
        mistake(CORRUPT, "damaged.cow", "attach", "damaged.cow");
        mistakeOfKind("dir", "attach", "dir");

        mistake(USAGE, "IMAGE", "snapshot");
        mistake(NOT_FOUND, "no such image", "snapshot", "nowhere.cow");
        mistake(EXISTS, "other.cow: exists already", "snapshot", "vm.cow", "--as", "other.cow");
        mistake(USAGE, "a layer stays beside its image", "snapshot", "vm.cow", "--as", "sub/layer.cow");
        mistake(UNSUPPORTED, "is not an image", "snapshot", "base");
        mistake(CORRUPT, "damaged.cow", "snapshot", "damaged.cow");
        mistakeOfKind("dir", "snapshot", "dir");

        mistake(USAGE, "SIZE", "resize", "vm.cow");
        mistake(USAGE, "'big' is not a size", "resize", "vm.cow", "big");
        mistake(USAGE, "the limit for chunks", "resize", "vm.cow", "+7E");
        mistake(USAGE, "add --shrink", "resize", "vm.cow", "512K");
        mistake(USAGE, "the limit for chunks", "resize", "vm.cow", "4E");
        mistake(USAGE, "is less than", "resize", "limited.cow", "100T");
        mistake(NOT_FOUND, "no such image", "resize", "nowhere.cow", "2M");
        mistake(UNSUPPORTED, "is not an image", "resize", "base", "2M");
        mistake(CORRUPT, "damaged.cow", "resize", "damaged.cow", "2M");
        mistakeOfKind("dir", "resize", "dir", "2M");

        mistake(USAGE, "--since=SNAPSHOT", "changed", "vm.cow");
        mistake(USAGE, "is no layer below vm.cow; there is none", "changed", "--since", "base", "vm.cow");
        mistake(NOT_FOUND, "nowhere: no such layer", "changed", "--since", "nowhere", "vm.cow");
        mistake(NOT_FOUND, "no such image", "changed", "--since", "base", "nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "changed", "--since", "vm.cow", "base");
        mistakeOfKind("dir", "changed", "--since", "base", "dir");

        mistake(USAGE, "FILE|-", "export", "vm.cow");
        mistake(USAGE, "is no layer below", "export", "--since", "base", "vm.cow", "x.delta");
        mistake(NOT_FOUND, "no such image", "export", "nowhere.cow", "x.delta");
        mistake(NOT_FOUND, "nowhere: no such layer", "export", "--since", "nowhere", "vm.cow", "x.delta");
        mistake(NOT_FOUND, "make it with mkdir", "export", "vm.cow", "nowhere/x.delta");
        mistake(EXISTS, "base: exists already", "export", "vm.cow", "base");
        mistake(UNSUPPORTED, "is not an image", "export", "base", "x.delta");
        mistake(CORRUPT, "damaged.cow", "export", "damaged.cow", "x.delta");
        mistakeOfKind("dir", "export", "dir", "x.delta");

        mistake(USAGE, "IMAGE", "import", "vm.delta");
        mistake(USAGE, "has all of an image", "import", "--as", "x.1.cow", "vm.delta", "x.cow");
        mistake(NOT_FOUND, "nowhere: no such stream", "import", "nowhere", "x.cow");
        mistake(NOT_FOUND, "make it with mkdir", "import", "vm.delta", "nowhere/x.cow");
        mistake(EXISTS, "vm.cow: exists already", "import", "vm.delta", "vm.cow");
        mistake(UNSUPPORTED, "base: is not a stream that 'ucow export' wrote", "import", "base", "x.cow");
        mistake(UNSUPPORTED, "expected a header of 128", "import", "empty", "x.cow");
        mistake(UNSUPPORTED, "standard input: is not a stream", "import", "-", "x.cow");
        mistake(CORRUPT, "torn.delta at 0x", "import", "torn.delta", "x.cow");
        mistakeOfKind("dir", "import", "dir", "x.cow");
        mistakeOfKind("dir", "import", "vm.delta", "dir");
        mistake(USAGE, "IMAGE", "commit");
        mistake(USAGE, "'other.cow'", "commit", "vm.cow", "other.cow");
        mistake(NOT_FOUND, "no such image", "commit", "nowhere.cow");
        mistake(UNSUPPORTED, "base: is not an image", "commit", "base");
        mistake(UNSUPPORTED, "alone.cow: has no base", "commit", "alone.cow");
        mistake(CORRUPT, "damaged.cow", "commit", "damaged.cow");
        mistakeOfKind("dir", "commit", "dir");

        mistake(USAGE, "--base BASE, or else --no-base", "rebase", "vm.cow");
        mistake(USAGE, "--base BASE, or else --no-base", "rebase", "--no-base", "--base", "base", "vm.cow");
        mistake(USAGE, "IMAGE", "rebase", "--no-base");
        mistake(NOT_FOUND, "no such image", "rebase", "--no-base", "nowhere.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "rebase", "--base", "nowhere", "vm.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "rebase", "--unsafe", "--base", "nowhere", "vm.cow");
        mistake(UNSUPPORTED, "is not an image", "rebase", "--no-base", "base");
        mistake(UNSUPPORTED, "is encrypted (AES)", "rebase", "--base", "encrypted.qcow2", "vm.cow");
        mistake(UNSUPPORTED, "vm.cow: cannot be behind itself", "rebase", "--base", "vm.cow", "vm.cow");
        mistake(CORRUPT, "damaged.cow", "rebase", "--no-base", "damaged.cow");
        mistakeOfKind("dir", "rebase", "--base", "dir", "vm.cow");
        mistake(USAGE, "IMAGE", "compact");
        mistake(USAGE, "'other.cow'", "compact", "vm.cow", "other.cow");
        mistake(NOT_FOUND, "no such image", "compact", "nowhere.cow");
        mistake(UNSUPPORTED, "is not an image", "compact", "base");
        mistake(CORRUPT, "damaged.cow", "compact", "damaged.cow");
        mistakeOfKind("dir", "compact", "dir");

        mistake(USAGE, "IMAGE|/dev/loopN", "detach");
        mistake(NOT_FOUND, "not attached by ucow", "detach", "vm.cow");
        mistake(NOT_FOUND, "not attached by ucow", "detach", "nowhere.cow");
        mistake(NOT_FOUND, "not attached by ucow", "detach", "/dev/loop7777");

        mistake(USAGE, "IMAGE|DIR", "restart");
        mistake(USAGE, "'other.cow'", "restart", "vm.cow", "other.cow");
        mistake(NOT_FOUND, "not mounted or attached", "restart", "vm.cow");
        mistake(NOT_FOUND, "not mounted or attached", "restart", "dir");
        mistake(NOT_FOUND, "not mounted or attached", "restart", "nowhere");

        mistake(USAGE, "", "list", "everything");
        mistake(USAGE, "'--yaml'", "list", "--yaml");
        mistake(NOT_FOUND, "not mounted or attached", "status", "vm.cow");
        mistake(NOT_FOUND, "not mounted or attached", "status", "nowhere");

        for (String verb : List.of("info", "map", "table")) {
            mistake(USAGE, "IMAGE", verb);
            mistake(NOT_FOUND, "no such image", verb, "nowhere.cow");
            mistake(UNSUPPORTED, "is not an image", verb, "base");
            mistake(CORRUPT, "damaged.cow", verb, "damaged.cow");
            mistakeOfKind("dir", verb, "dir");
        }
        mistake(USAGE, "exclude each other", "map", "--svg", "--json", "vm.cow");
        mistake(USAGE, "", "plugins", "more");

        mistake(CHECK_IMPOSSIBLE, "IMAGE", "check");
        mistake(CHECK_IMPOSSIBLE, "no such image", "check", "nowhere.cow");
        mistake(CHECK_IMPOSSIBLE, "is not an image", "check", "base");
        mistake(CHECK_IMPOSSIBLE, "directory", "check", "dir");

        mistake(USAGE, "OUT", "flatten", "vm.cow");
        mistake(USAGE, "'more'", "flatten", "vm.cow", "x.img", "more");
        mistake(USAGE, "a raw file has no chunks", "flatten", "--chunk", "64K", "vm.cow", "x.img");
        mistake(USAGE, "a raw file cannot be compressed", "flatten", "--compress", "lz4", "vm.cow", "x.img");
        mistake(USAGE, "none, lz4", "flatten", "-O", "ucow", "--compress", "gzip", "vm.cow", "x.cow");
        mistake(USAGE, "power of two", "flatten", "-O", "ucow", "--chunk", "48K", "vm.cow", "x.cow");
        mistake(NOT_FOUND, "no such image", "flatten", "nowhere.cow", "x.img");
        mistake(NOT_FOUND, "make it with mkdir", "flatten", "vm.cow", "nowhere/x.img");
        mistake(EXISTS, "base: exists already", "flatten", "vm.cow", "base");
        mistake(EXISTS, "dir: exists already", "flatten", "-O", "ucow", "vm.cow", "dir");
        mistake(UNSUPPORTED, "no plug-in for format 'vmdk'", "flatten", "-O", "vmdk", "vm.cow", "x.img");
        mistake(UNSUPPORTED, "is not an image", "flatten", "base", "x.img");
        mistake(CORRUPT, "damaged.cow", "flatten", "damaged.cow", "x.img");
        mistakeOfKind("dir", "flatten", "dir", "x.img");

        mistake(DIFF_IMPOSSIBLE, "'B'", "diff", "vm.cow");
        mistake(DIFF_IMPOSSIBLE, "nowhere: no such file", "diff", "vm.cow", "nowhere");
        mistake(DIFF_IMPOSSIBLE, "dir: is a directory", "diff", "dir", "base");
        mistake(DIFF_IMPOSSIBLE, "encrypted.qcow2: is encrypted (AES)", "diff", "base", "encrypted.qcow2");
        mistake(DIFF_IMPOSSIBLE, "neither a regular file nor", "diff", "base", "/dev/null");
        mistake(DIFF_IMPOSSIBLE, "damaged.cow", "diff", "base", "damaged.cow");

        return mistakes.stream();
    }

    /** With something mounted and attached, and in use. */
    @TestFactory
    @Timeout(240)
    Stream<DynamicTest> mistakesWhileInUse() throws Exception {
        prepare();
        Path mounted = home.mount("mounted.cow").dir();
        Path device = home.attach("attached.cow");
        Path unkept = home.mount("--transport", "jnr", "unkept.cow").dir();
        mistake(ENVIRONMENT, "cannot be restarted while in use", "restart", unkept);
        mistake(ENVIRONMENT, "unmount or detach it", "restart", "unkept.cow");
        mistake(BUSY, "already mounted at " + mounted, "mount", "mounted.cow", "dir");
        mistake(BUSY, "serves mounted there; choose another directory", "mount", "vm.cow", mounted);
        mistake(BUSY, "already mounted at " + mounted, "attach", "mounted.cow");
        mistake(BUSY, "already attached as " + device, "attach", "attached.cow");
        mistake(BUSY, "already attached as " + device, "mount", "attached.cow", "dir");
        mistake(CHECK_IMPOSSIBLE, "in use", "check", "mounted.cow");
        mistake(BUSY, "in use", "flatten", "mounted.cow", "x.img");
        mistake(BUSY, "export the layer that 'ucow snapshot' makes", "export", "mounted.cow", "x.delta");
        mistake(BUSY, "mounted at " + mounted, "import", "vm.delta", "mounted.cow");
        mistake(BUSY, "and would shrink", "resize", "--shrink", "mounted.cow", "512K");
        mistake(BUSY, "and would shrink", "resize", device, "4K");
        mistake(BUSY, "in use", "rebase", "--no-base", "attached.cow");
        mistake(BUSY, "in use", "rebase", "--unsafe", "--base", "base", "mounted.cow");
        mistake(DIFF_IMPOSSIBLE, "in use", "diff", "base", "attached.cow");
        mistake(NOT_FOUND, "not attached, but mounted at " + mounted, "detach", "mounted.cow");
        mistake(NOT_FOUND, "no ucow mount there", "unmount", "attached.cow");
        Path attachedAt = Path.of(home.list().stream()
                .filter(row -> !row.isNull("loop"))
                .findFirst()
                .orElseThrow()
                .getString("dir"));
        mistake(NOT_FOUND, "ucow detach " + device, "unmount", attachedAt);
        RandomAccessFile user = new RandomAccessFile(mounted.resolve("mounted").toFile(), "r");
        mistake(BUSY, mounted.toString(), "unmount", mounted);
        mistake(DynamicTest.dynamicTest("(end of use)", user::close));
        RandomAccessFile disk = new RandomAccessFile(device.toFile(), "r");
        mistake(BUSY, device.toString(), "detach", device);
        mistake(DynamicTest.dynamicTest("(end of use of the device)", disk::close));
        return mistakes.stream();
    }

    /** What {@code check} finds is its result, and goes to standard output. */
    @Test
    @Tag("once")
    void checkFindsTheDamage() throws Exception {
        prepare();

        Tool.Result result = home.ucow("check", "damaged.cow").exit(CHECK_CORRUPT);

        assertThat(result.stdout()).contains("ERROR ");
        assertThat(UcowHome.object(home.ucow("check", "--json", "damaged.cow")
                                .exit(CHECK_CORRUPT)
                                .stdout())
                        .getBoolean("sound"))
                .isFalse();
    }

    private void prepare() throws IOException {
        Path base = home.randomFile("base", 1, 1);
        Files.createDirectory(home.path("dir"));
        Files.createDirectory(home.path("mnt"));
        Files.createDirectory(home.path("sub"));
        Files.createFile(home.path("empty"));
        Files.createFile(home.path("empty.table"));
        Files.writeString(home.path("table"), "0 8 nonsense\n");
        for (String image : List.of("vm", "other", "sub/vm", "mounted", "attached", "unkept", "damaged")) {
            home.create(image + ".cow", base);
        }
        home.create("limited.cow", base, "--max-size", "8M");
        home.ucow("export", "vm.cow", "vm.delta").succeed();
        byte[] stream = Files.readAllBytes(home.path("vm.delta"));
        Files.write(home.path("torn.delta"), java.util.Arrays.copyOf(stream, stream.length - 1));
        home.ucow("create", "--size", "1M", "alone.cow").succeed();
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", home.path("image.qcow2"), "1M")
                .succeed();
        Files.copy(home.path("image.qcow2"), home.path("encrypted.qcow2"));
        try (RandomAccessFile encrypted =
                new RandomAccessFile(home.path("encrypted.qcow2").toFile(), "rw")) {
            encrypted.seek(32);
            encrypted.writeInt(1);
        }
        try (RandomAccessFile damaged =
                new RandomAccessFile(home.path("damaged.cow").toFile(), "rw")) {
            // Both superblocks, each in a sector or so of its own, behind their magic numbers.
            for (int at : new int[] {64, 4096 + 64}) {
                damaged.seek(at);
                damaged.writeLong(0x0123456789abcdefL);
            }
        }
    }

    /** A directory where a file is wanted. */
    private void mistakeOfKind(String says, Object... arguments) {
        mistake(WRONG_KIND, says, arguments);
    }

    private void mistake(int status, String says, Object... arguments) {
        String name = "ucow "
                + String.join(" ", Stream.of(arguments).map(Object::toString).toList());
        mistake(DynamicTest.dynamicTest(name, () -> verify(status, says, arguments)));
    }

    private void mistake(DynamicTest test) {
        mistakes.add(test);
    }

    private void verify(int status, String says, Object... arguments) throws IOException {
        Map<String, String> before = everything();

        Tool.Result result = home.ucow(arguments).exit(status);

        assertThat(result.stdout()).as("standard output").isEmpty();
        assertThat(result.stderr().lines()).as("%s", result).hasSize(1);
        assertThat(result.stderr()).startsWith("ucow: ").contains(says).doesNotContain("Exception", "internal error");
        assertThat(everything()).as("files and devices").isEqualTo(before);
    }

    /** Every file of the test with what a change would change, and what is mounted, attached and running. */
    private Map<String, String> everything() throws IOException {
        Map<String, String> found = new TreeMap<>();
        List<Path> mountPoints = home.mountPoints();
        try (Stream<Path> files = Files.walk(home.root())) {
            for (Path file : files.toList()) {
                boolean image = file.toString().endsWith(".cow");
                boolean passing =
                        file.startsWith(home.runDirectory()) && !file.toString().endsWith(".json");
                if (!passing && mountPoints.stream().noneMatch(file::startsWith)) {
                    // An image that is opened and closed again has another time, and the same size.
                    found.put(
                            file.toString(),
                            Files.readAttributes(file, "size", LinkOption.NOFOLLOW_LINKS)
                                    + (image || Files.isDirectory(file) ? "" : Files.getLastModifiedTime(file) + ""));
                }
            }
        }
        found.put("mounts", mountPoints.toString());
        found.put("devices", home.loopDevices().toString());
        found.put("processes", home.processes().toString());
        return found;
    }
}
