package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Real file systems on attached devices, made before or after the base became one, judged by their own checkers. */
class FileSystemsIT {
    private static final long MIB = 1 << 20;

    /** A type of file system, with the smallest disk that its mkfs takes, rounded up. */
    private enum Type {
        EXT4(96) {
            @Override
            void check(Path device) throws IOException {
                Tool.of("e2fsck", "-f", "-n", device).succeed();
            }
        },
        XFS(320) {
            @Override
            void check(Path device) throws IOException {
                Tool.of("xfs_repair", "-n", device).succeed();
            }
        },
        BTRFS(192) {
            @Override
            void check(Path device) throws IOException {
                Tool.of("btrfs", "check", "--readonly", device).succeed();
            }

            /** The kernel takes devices with one UUID for one file system, and the one it saw last for stale. */
            @Override
            void forget() throws IOException {
                Tool.of("btrfs", "device", "scan", "--forget").succeed();
            }
        };

        final long bytes;

        Type(long mebibytes) {
            this.bytes = mebibytes * MIB;
        }

        void require() throws IOException {
            Requirements.tools("mkfs." + this);
            Requirements.fileSystem(toString());
        }

        void make(Path device) throws IOException {
            Tool.of("mkfs." + this, "-q", device).succeed();
        }

        /** @throws AssertionError unless its own checker finds no fault, changing nothing */
        abstract void check(Path device) throws IOException;

        void forget() throws IOException {}

        @Override
        public String toString() {
            return name().toLowerCase(java.util.Locale.ROOT);
        }
    }

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "diff", "cmp", "cp", "e2fsck", "xfs_repair", "btrfs", "truncate");
    }

    @ParameterizedTest
    @EnumSource(Type.class)
    void devicesOnOneBaseKeepTheirOwnFiles(Type type) throws Exception {
        type.require();
        Path common = files("common", 10, 1);
        Path base = home.sparseFile("base", type.bytes);
        type.make(base);
        fill(base, common, "common");
        Path before = Files.copy(base, home.path("before"));
        Path[] images = {home.create("a.cow", base), home.create("b.cow", base)};
        Path[] own = {files("own-a", 15, 2), files("own-b", 15, 3)};

        Path[] devices = {home.attach(images[0]), home.attach(images[1])};
        for (int i = 0; i < images.length; i++) {
            type.forget();
            fill(devices[i], own[i], "own");
        }
        for (Path device : devices) {
            home.detach(device);
        }

        for (int i = 0; i < images.length; i++) {
            Path device = home.attach(images[i]);
            type.forget();
            try (TempMount mount = TempMount.of(device)) {
                Tool.of("diff", "-r", common, mount.root().resolve("common")).succeed();
                Tool.of("diff", "-r", own[i], mount.root().resolve("own")).succeed();
            }
            type.check(device);
            home.detach(images[i]);
            home.check(images[i]);
        }
        Tool.of("cmp", before, base).succeed();
    }

    @ParameterizedTest
    @EnumSource(Type.class)
    void madeOnTheDeviceItself(Type type) throws Exception {
        type.require();
        Path files = files("files", 30, 4);
        Path base = home.randomFile("base", 16, 5); // foreign bytes below, and zeros past its end
        Path image = home.create("vm.cow", base, "--size", type.bytes);
        Path device = home.attach(image);
        type.make(device);
        fill(device, files, "files");
        home.detach(image);

        device = home.attach(image);
        try (TempMount mount = TempMount.of(device)) {
            Tool.of("diff", "-r", files, mount.root().resolve("files")).succeed();
            Tool.of("rm", "-r", mount.root().resolve("files")).succeed();
            Tool.of("cp", "-a", files, mount.root().resolve("again")).succeed();
        }
        type.check(device);
        home.detach(image);
        home.check(image);

        device = home.attach("--read-only", image);
        try (TempMount mount = TempMount.of(device, "-o", "ro")) {
            Tool.of("diff", "-r", files, mount.root().resolve("again")).succeed();
        }
    }

    @Test
    void twoDevicesAreMountedAtTheSameTime() throws Exception {
        Type.EXT4.require();
        Path base = home.sparseFile("base", Type.EXT4.bytes);
        Type.EXT4.make(base);
        Path first = home.attach(home.create("a.cow", base));
        Path second = home.attach(home.create("b.cow", base));
        Path files = files("files", 5, 6);

        try (TempMount a = TempMount.of(first);
                TempMount b = TempMount.of(second)) {
            Tool.of("cp", "-a", files, a.root().resolve("a")).succeed();
            Files.writeString(b.root().resolve("b"), "b's own");

            assertThat(a.root().resolve("b")).doesNotExist();
            assertThat(b.root().resolve("a")).doesNotExist();
            Tool.of("diff", "-r", files, a.root().resolve("a")).succeed();
        }
        Type.EXT4.check(first);
        Type.EXT4.check(second);
    }

    @Test
    void bonnieCompletes() throws Exception {
        Requirements.tools("bonnie++");
        Type.EXT4.require();
        Path base = home.sparseFile("base", 512 * MIB);
        Type.EXT4.make(base);
        Path device = home.attach(home.create("vm.cow", base));
        try (TempMount mount = TempMount.of(device)) {
            Tool.Result result = Tool.of(
                            "bonnie++", "-d", mount.root(), "-u", "root", "-r", "64", "-s", "128", "-n", "2", "-q")
                    .within(Duration.ofSeconds(100))
                    .succeed();

            // One line of figures; a test that it could not finish has no figure.
            assertThat(result.stdout().strip().lines().reduce((a, b) -> b).orElse(""))
                    .startsWith("1.98,");
        }
        Type.EXT4.check(device);
    }

    /** Copies {@code files} to {@code name} in a file system on {@code disk}, a device or a file. */
    private static void fill(Path disk, Path files, String name) throws IOException {
        try (TempMount mount = TempMount.of(disk)) {
            Tool.of("cp", "-a", files, mount.root().resolve(name)).succeed();
            Tool.of("sync", "-f", mount.root()).succeed();
        }
    }

    /** A directory with files of all sizes, {@code mebibytes} in sum, in a tree of directories. */
    private Path files(String name, int mebibytes, long seed) throws IOException {
        Random random = new Random(seed);
        Path top = Files.createDirectory(home.path(name));
        long left = mebibytes * MIB;
        for (int i = 0; left > 0; i++) {
            Path directory = Files.createDirectories(top.resolve("d" + i % 7).resolve("e" + i % 3));
            byte[] bytes = new byte[(int) Math.min(left, 1L << random.nextInt(21))];
            random.nextBytes(bytes);
            Files.write(directory.resolve("f" + i), bytes);
            left -= bytes.length;
        }
        return top;
    }
}
