package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Transport;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.loop.LoopOptions;
import io.ucow.store.CacheMode;
import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The power goes while a verb is at work on images in an ext4, names and directories included. The file system is on a
 * disk that records what it is told; the record is cut at many a place, and what is left of the disk is mounted, in what
 * is another boot of the machine. {@code -Ducow.powerloss.cuts=N} looks at more places.
 */
@Tag("once")
@Timeout(value = 300, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PowerLossIT {
    private static final int DISK_BYTES = 48 << 20;
    /** What the disk writes whole: ext4 does not survive a superblock of which half is written. */
    private static final int SECTOR_BYTES = 4096;

    private static final int BYTES = 600_000;
    private static final int GROWN_BYTES = 900_000;
    private static final int CUTS = Integer.getInteger("ucow.powerloss.cuts", 6);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final Random random = new Random(11);

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mkfs.ext4", "mount", "unshare", "sh", "truncate");
    }

    /** What is in the directory of each scenario to begin with. */
    private static final class Contents {
        final byte[] base;
        /** Of {@code vm.cow}. */
        final byte[] now;
        /** Of {@code vm.cow} when {@code vm.1.cow} was frozen, and of {@code copy.cow}. */
        final byte[] before;

        Contents(byte[] base, byte[] before, byte[] now) {
            this.base = base;
            this.before = before;
            this.now = now;
        }
    }

    /** A verb, with what it leaves of {@code vm.cow} and of what it makes, whenever the power goes. */
    private enum Verb {
        SNAPSHOT("snapshot vm.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                assertHolds(dir.resolve("vm.cow"), contents.now);
                Path layer = dir.resolve("vm.2.cow");
                if (returned) {
                    assertThat(Images.info(dir.resolve("vm.cow")).base()).contains(layer);
                }
                if (Files.exists(layer)) {
                    assertHolds(layer, contents.now);
                }
                Images.snapshot(dir.resolve("vm.cow"), Optional.empty());
                assertHolds(dir.resolve("vm.cow"), contents.now);
            }
        },
        IMPORT_ONTO("import since.delta copy.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                Path copy = dir.resolve("copy.cow");
                assertHoldsEither(copy, contents.now, contents.before, returned);
                Path layer = dir.resolve("copy.1.cow");
                if (Files.exists(layer)) {
                    // A second name of the image that is not replaced yet, or the layer.
                    assertHolds(layer, contents.before);
                }
            }
        },
        IMPORT_TO("import all.delta new.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                assertHoldsIfThere(dir.resolve("new.cow"), contents.before, returned);
            }
        },
        COMMIT("commit vm.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                Path image = dir.resolve("vm.cow");
                assertHolds(image, contents.now);
                if (returned) {
                    assertThat(Images.info(image).alteredChunks()).isZero();
                    assertHolds(dir.resolve("vm.1.cow"), contents.now);
                }
                Images.commit(image, bytes -> {});
                assertHolds(dir.resolve("vm.1.cow"), contents.now);
                assertHolds(image, contents.now);
            }
        },
        REBASE("rebase --base base.img vm.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                Path image = dir.resolve("vm.cow");
                assertHolds(image, contents.now);
                Path base = Images.info(image).base().orElseThrow();
                assertThat(base).isIn(dir.resolve("base.img"), dir.resolve("vm.1.cow"));
                if (returned) {
                    assertThat(base).isEqualTo(dir.resolve("base.img"));
                }
            }
        },
        RESIZE("resize vm.cow " + GROWN_BYTES) {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                assertHoldsEither(
                        dir.resolve("vm.cow"), Arrays.copyOf(contents.now, GROWN_BYTES), contents.now, returned);
            }
        },
        COMPACT("compact vm.cow") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                assertHolds(dir.resolve("vm.cow"), contents.now);
            }
        },
        FLATTEN("flatten vm.cow flat.img") {
            @Override
            void judge(Path dir, Contents contents, boolean returned) throws IOException {
                assertHoldsIfThere(dir.resolve("flat.img"), contents.now, returned);
            }
        };

        /** Words, with a space between each two. */
        final String command;

        Verb(String command) {
            this.command = command;
        }

        /** @param returned whether the command had ended, with success */
        abstract void judge(Path dir, Contents contents, boolean returned) throws IOException;
    }

    @ParameterizedTest
    @EnumSource
    void powerIsLostDuring(Verb verb) throws Exception {
        Path disk = home.path("disk.img");
        Contents contents = makeDisk(disk);
        FaultFile record = new FaultFile(Files.readAllBytes(disk), SECTOR_BYTES);
        int returned = record(record, verb);
        assertThat(returned).as("what the verb tells the disk").isGreaterThan(5);
        for (int i = 0; i <= CUTS; i++) {
            int cut = i == CUTS ? returned : random.nextInt(returned);
            verify(verb, contents, disk, record.powerLostAt(cut, random), cut, cut == returned);
            verify(verb, contents, disk, record.killedAt(cut), cut, cut == returned);
        }
    }

    /** A chain of base.img, vm.1.cow, vm.cow; copy.cow with what vm.1.cow holds, and the streams for it. */
    private Contents makeDisk(Path disk) throws IOException {
        Tool.of("truncate", "--size=" + DISK_BYTES, disk).succeed();
        Tool.of("mkfs.ext4", "-q", "-F", disk).succeed();
        byte[] base = new byte[BYTES];
        random.nextBytes(base);
        LoopDevice loop = LoopControl.attach(disk, LoopOptions.defaults());
        try (TempMount mount = TempMount.of(loop.path())) {
            Path dir = mount.root();
            Path image = dir.resolve("vm.cow");
            Files.write(dir.resolve("base.img"), base);
            home.ucow("create", "--base", dir.resolve("base.img"), "--chunk", "16K", "--checksums", image)
                    .succeed();
            byte[] before = base.clone();
            change(image, before);
            Path layer = Images.snapshot(image, Optional.empty());
            byte[] now = before.clone();
            change(image, now);
            change(image, now);
            home.ucow("export", layer, dir.resolve("all.delta")).succeed();
            home.ucow("export", "--since", layer, image, dir.resolve("since.delta"))
                    .succeed();
            home.ucow("import", dir.resolve("all.delta"), dir.resolve("copy.cow"))
                    .succeed();
            return new Contents(base, before, now);
        } finally {
            loop.detach();
        }
    }

    private void change(Path image, byte[] content) throws IOException {
        try (CowDevice device = Images.open(image, false)) {
            for (int i = 0; i < 12; i++) {
                byte[] bytes = new byte[random.nextInt(40_000) + 1];
                int at = random.nextInt(BYTES - bytes.length);
                if (i % 4 == 0) {
                    device.discard(at, bytes.length);
                } else {
                    random.nextBytes(bytes);
                    device.write(
                            at,
                            ByteBuffer.allocateDirect(bytes.length).put(bytes).flip());
                }
                System.arraycopy(bytes, 0, content, at, bytes.length);
            }
        }
    }

    /** Has the verb done on a disk that goes on where {@code record} ends. @return how long the record was on its return */
    private int record(FaultFile record, Verb verb) throws Exception {
        Path directory = Files.createDirectory(home.path("recorded"));
        // An image's session is told from that before a power loss by the boot that the kernel names.
        Path boot = Files.writeString(home.path("boot"), new UUID(5, 6) + "\n");
        Mount fuse = Transport.named(Requirements.transport())
                .mount(
                        directory,
                        List.of(new ImageFile("disk", new FileDevice(record, SECTOR_BYTES), Map.of())),
                        MountOptions.of(CacheMode.NONE));
        try {
            LoopDevice loop = LoopControl.attach(
                    directory.resolve("disk"), LoopOptions.defaults().withDirectIo(true));
            // Without what ext4 does for programs that forget to sync a file before they rename it.
            try (TempMount mount = TempMount.of(loop.path(), "-o", "noauto_da_alloc,data=writeback")) {
                String bind = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
                home.ucow((Object[]) verb.command.split(" ", -1))
                        .in(mount.root())
                        .by("unshare", "--mount", "sh", "-c", bind, boot)
                        .succeed();
                return record.eventCount();
            } finally {
                loop.detach();
            }
        } finally {
            fuse.unmount();
        }
    }

    private static void verify(Verb verb, Contents contents, Path disk, byte[] left, int cut, boolean returned)
            throws IOException {
        Files.write(disk, left);
        LoopDevice loop = LoopControl.attach(disk, LoopOptions.defaults());
        try (TempMount mount = TempMount.of(loop.path())) {
            Path dir = mount.root();
            verb.judge(dir, contents, returned);
            assertThat(Files.readAllBytes(dir.resolve("base.img"))).isEqualTo(contents.base);
            for (String image : List.of("vm.cow", "vm.1.cow", "copy.cow")) {
                assertThat(Images.check(dir.resolve(image)).isSound()).as(image).isTrue();
            }
        } catch (IOException | AssertionError e) {
            throw new AssertionError("power lost after " + cut + " calls" + (returned ? ", all" : "") + ": " + e, e);
        } finally {
            loop.detach();
        }
    }

    private static void assertHoldsIfThere(Path file, byte[] content, boolean returned) throws IOException {
        if (returned || Files.exists(file)) {
            assertHolds(file, content);
        }
    }

    private static void assertHoldsEither(Path image, byte[] after, byte[] before, boolean returned)
            throws IOException {
        ImageInfo info = Images.info(image);
        byte[] held = read(image);
        assertThat(held).hasSize((int) info.geometry().sizeBytes());
        if (returned || !Arrays.equals(held, before)) {
            assertThat(held).isEqualTo(after);
        }
    }

    private static void assertHolds(Path file, byte[] content) throws IOException {
        assertThat(Arrays.equals(read(file), content))
                .as("%s holds what it must", file)
                .isTrue();
    }

    private static byte[] read(Path file) throws IOException {
        try (Origin origin = Images.openContent(file)) {
            ByteBuffer bytes = ByteBuffer.allocateDirect((int) origin.sizeBytes());
            origin.read(bytes, 0);
            byte[] content = new byte[bytes.flip().remaining()];
            bytes.get(content);
            return content;
        }
    }
}
