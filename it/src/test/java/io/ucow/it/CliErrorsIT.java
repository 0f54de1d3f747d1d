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
 * Mistakes a newcomer makes, by real commands: those that a daemon notices, those made while something is in use, and some
 * for each exit code of those that MistakesTest has. One line on standard error says what to do, the exit code is what
 * the README has for it, and nothing is changed, created or left behind.
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

        // Each way from a command to an exit code.
        mistake(USAGE, "which verb?");
        mistake(USAGE, "'frobnicate'", "frobnicate");
        mistake(USAGE, "'--bas'", "create", "--bas", "base", "x.cow");
        mistake(USAGE, "is not a size", "create", "--size", "many", "x.cow");
        mistake(USAGE, "none, writethrough, writeback", "attach", "--cache", "", "vm.cow");
        mistake(NOT_FOUND, "nowhere: no such base", "create", "--base", "nowhere", "x.cow");
        mistake(NOT_FOUND, "no ucow mount there", "umount", "/");
        mistake(NOT_FOUND, "not mounted or attached", "restart", "vm.cow");
        mistake(NOT_FOUND, "not attached by ucow", "detach", "/dev/loop7777");
        mistake(EXISTS, "vm.cow: exists already", "create", "--base", "base", "vm.cow");
        mistake(EXISTS, "other.cow: exists already", "snapshot", "vm.cow", "--as", "other.cow");
        mistake(CORRUPT, "damaged.cow", "info", "damaged.cow");
        mistake(CORRUPT, "torn.delta at 0x", "import", "torn.delta", "x.cow");
        mistake(UNSUPPORTED, "no plug-in for format 'vmdk'", "create", "--format", "vmdk", "--base", "base", "x.cow");
        mistake(UNSUPPORTED, "standard input: is not a stream", "import", "-", "x.cow");
        mistakeOfKind("dir", "commit", "dir");
        mistakeOfKind("dir", "flatten", "dir", "x.img");
        mistake(CHECK_IMPOSSIBLE, "no such image", "check", "nowhere.cow");
        mistake(DIFF_IMPOSSIBLE, "nowhere: no such file", "diff", "vm.cow", "nowhere");

        // What a daemon notices.
        mistake(USAGE, "smoke", "mount", "--transport", "smoke", "vm.cow", "dir");
        mistake(USAGE, "empty.table", "mount", "--table", "empty.table", "dir");
        mistake(USAGE, "table line 1", "mount", "--table", "table", "dir");
        mistake(NOT_FOUND, "no such directory; make it with mkdir", "mount", "vm.cow", "nowhere");
        mistake(EXISTS, "would be the same file 'vm'", "mount", "vm.cow", "sub/vm.cow", "dir");
        mistake(WRONG_KIND, "not empty", "mount", "vm.cow", "sub");
        mistake(WRONG_KIND, "not a directory", "mount", "vm.cow", "base");
        mistake(UNSUPPORTED, "base: is not an image", "mount", "base", "dir");
        mistake(UNSUPPORTED, "image.qcow2: is encrypted (AES)", "mount", "image.qcow2", "dir");
        mistake(UNSUPPORTED, "empty: is not an image", "mount", "empty", "dir");
        mistake(CORRUPT, "damaged.cow", "mount", "damaged.cow", "dir");
        mistakeOfKind("dir", "mount", "dir", "mnt");
        mistake(USAGE, "smoke", "attach", "--transport", "smoke", "vm.cow");
        mistake(UNSUPPORTED, "is not an image", "attach", "base");
        mistake(CORRUPT, "damaged.cow", "attach", "damaged.cow");
        mistakeOfKind("dir", "attach", "dir");

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
        try (RandomAccessFile encrypted =
                new RandomAccessFile(home.path("image.qcow2").toFile(), "rw")) {
            encrypted.seek(32); // crypt_method
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
