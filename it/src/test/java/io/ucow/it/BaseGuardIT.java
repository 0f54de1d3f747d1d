package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The base is never written, and one that is not what it was is refused (G4). */
class BaseGuardIT {
    private static final int BASE_CHANGED = 15;
    private static final int MEBIBYTES = 8;

    /** What can happen to a base behind an image's back. */
    private enum Change {
        GROWN("it has 8388609 bytes, expected 8388608") {
            @Override
            void make(Path base) throws IOException {
                Tool.of("truncate", "-s", "+1", base).succeed();
            }
        },
        SHRUNK("it has 8388607 bytes, expected 8388608") {
            @Override
            void make(Path base) throws IOException {
                Tool.of("truncate", "-s", "-1", base).succeed();
            }
        },
        TOUCHED("it was modified at 2020-01-02T03:04:05Z, expected ") {
            @Override
            void make(Path base) throws IOException {
                Files.setLastModifiedTime(base, FileTime.from(Instant.parse("2020-01-02T03:04:05Z")));
            }
        },
        WRITTEN_WITH_THE_SAME_TIME("its content differs") {
            @Override
            void make(Path base) throws IOException {
                FileTime time = Files.getLastModifiedTime(base);
                try (RandomAccessFile file = new RandomAccessFile(base.toFile(), "rw")) {
                    int first = file.read();
                    file.seek(0);
                    file.write(first ^ 1);
                }
                Files.setLastModifiedTime(base, time);
            }
        },
        REPLACED("its content differs") {
            @Override
            void make(Path base) throws IOException {
                FileTime time = Files.getLastModifiedTime(base);
                byte[] bytes = Files.readAllBytes(base);
                for (int i = 0; i < bytes.length; i++) {
                    bytes[i]++;
                }
                Path other = Files.write(base.resolveSibling("other"), bytes);
                Files.setLastModifiedTime(other, time);
                Files.move(other, base, StandardCopyOption.REPLACE_EXISTING);
            }
        },
        MISSING("is missing; move it back") {
            @Override
            void make(Path base) throws IOException {
                Files.move(base, base.resolveSibling("moved away"));
            }
        },
        A_DIRECTORY_NOW("neither a regular file nor a block device") {
            @Override
            void make(Path base) throws IOException {
                Files.delete(base);
                Files.createDirectory(base);
            }
        };

        final String says;

        Change(String says) {
            this.says = says;
        }

        abstract void make(Path base) throws IOException;
    }

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path image;

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("cmp", "truncate", "sha256sum", "blkdiscard", "losetup");
    }

    @BeforeEach
    void createImage() throws IOException {
        base = home.randomFile("base", MEBIBYTES, 1);
        image = home.create("vm.cow", base);
    }

    @ParameterizedTest
    @Tag("once")
    @EnumSource(Change.class)
    void changedBaseIsRefused(Change change) throws Exception {
        Path dir = Files.createDirectory(home.path("dir"));
        Path before = Files.copy(image, home.path("before"));
        change.make(base);

        for (Tool command : new Tool[] {
            home.ucow("mount", image, dir),
            home.ucow("mount", "--read-only", image, dir),
            home.ucow("attach", image),
            home.ucow("map", image),
            home.ucow("table", image)
        }) {
            Tool.Result result = command.exit(BASE_CHANGED);
            assertThat(result.stderr().strip().lines()).as("%s", result).hasSize(1);
            assertThat(result.stderr()).startsWith("ucow: " + base).contains(change.says);
            assertThat(result.stdout()).isEmpty();
        }
        Tool.of("cmp", before, image).succeed();
        assertThat(home.leftInRunDirectories()).isEmpty();
        assertThat(home.loopDevices()).isEmpty();
        // Neither needs the base.
        home.check(image);
        home.ucow("info", image).succeed();
    }

    /** What the message proposes works. */
    @Test
    @Tag("once")
    void timeStampIsRestoredAsTheMessageSays() throws Exception {
        Change.TOUCHED.make(base);
        String message = home.ucow("attach", image).exit(BASE_CHANGED).stderr().strip();
        String proposed = message.substring(message.indexOf("touch -d"));

        Tool.of("sh", "-c", proposed).succeed();

        home.attach(image);
    }

    @Test
    @Tag("once")
    void baseBesideTheImageMovesWithIt() throws Exception {
        Path there = Files.createDirectory(home.path("there"));
        Files.move(base, there.resolve("base"));
        Files.move(image, there.resolve("vm.cow"));

        Tool.of("cmp", there.resolve("base"), home.attach(there.resolve("vm.cow")))
                .succeed();
    }

    @Test
    void nothingThatIsDoneToDevicesTouchesTheBase() throws Exception {
        Path before = Files.copy(base, home.path("before"));
        FileTime time = Files.getLastModifiedTime(base);
        Object changed = Files.getAttribute(base, "unix:ctime");

        Path device = home.attach(image);
        Tool.of("dd", "if=/dev/urandom", "of=" + device, "bs=1M", "count=" + MEBIBYTES / 2, "oflag=direct")
                .succeed();
        Tool.of("blkdiscard", "-o", (MEBIBYTES / 2) << 20, "-l", 1 << 20, device)
                .succeed();
        home.kill(home.daemonOf(image));
        home.attach(image);
        home.detach(image);
        MountedImage mounted = home.mount(image, home.create("b.cow", base));
        Tool.of("fallocate", "-p", "-o", 0, "-l", 1 << 20, mounted.files().get(1))
                .succeed();
        mounted.unmount();
        home.check(image);

        Tool.of("cmp", before, base).succeed();
        assertThat(Files.getLastModifiedTime(base)).isEqualTo(time);
        assertThat(Files.getAttribute(base, "unix:ctime")).isEqualTo(changed);
    }

    @Test
    void baseOnAReadOnlyFileAndAReadOnlyDeviceServes() throws Exception {
        assertThat(base.toFile().setReadOnly()).isTrue();
        Path disk = Path.of(Tool.of("losetup", "--find", "--show", "--read-only", base)
                .succeed()
                .line());
        Path onDevice = home.create("c.cow", disk);

        Path device = home.attach(onDevice);

        Tool.of("cmp", base, device).succeed();
        try (DirectFile file = DirectFile.open(device)) {
            file.write(0, new byte[DirectFile.BLOCK]);
            assertThat(file.read(0, DirectFile.BLOCK)).containsOnly(0);
        }
        home.detach(device);
        Tool.of("losetup", "--detach", disk).succeed();
    }
}
