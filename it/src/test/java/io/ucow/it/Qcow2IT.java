package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** QEMU's images through the command, judged by QEMU's own tools. */
class Qcow2IT {
    private static final int NOT_FOUND = 10;
    private static final int IN_USE = 12;
    private static final int LEAKS = 3;
    private static final int ROUNDS = 3;
    private static final int UNSUPPORTED = 17;

    /** Two versions of a package, in the base. */
    private static final String PACKAGES = """
            for version in 1 2; do
                mkdir -p /root/app/DEBIAN /root/app/usr/share/app /root/app/etc
                printf 'Package: app\\nVersion: %s\\nArchitecture: all\\nMaintainer: none\\nDescription: none\\n' \\
                    $version >/root/app/DEBIAN/control
                head -c ${version}000000 /usr/bin/perl >/root/app/usr/share/app/data
                cp /usr/bin/dpkg /root/app/usr/share/app/only-in-$version
                echo version $version >/root/app/etc/app.conf
                dpkg-deb -Znone --build /root/app /root/app_$version.deb
                rm -r /root/app
            done
            """;
    /** Its log would have the time. */
    private static final String INSTALL = """
            dpkg --install /root/app_1.deb
            rm /var/log/dpkg.log /root/app_1.deb
            mkdir -p /opt
            cp -a /usr/bin /opt/bin
            """;

    private static final String UPGRADE = """
            dpkg --install /root/app_2.deb
            rm /var/log/dpkg.log /root/app_2.deb
            rm -r /usr/share/doc /opt/bin/[a-m]*
            mv /usr/share/perl5 /usr/share/moved
            """;
    private static final String CONFIGURE = """
            dpkg --remove app
            rm /var/log/dpkg.log
            sed -i 's/^/# /' /etc/*.conf
            echo changed | dd of=/usr/bin/perl bs=1 seek=1000000 conv=notrunc
            truncate -s 100000 /opt/bin/perl
            ln -s /usr/bin/perl /opt/link
            ln /usr/bin/dpkg /opt/hard
            chmod 4711 /opt/bin/tar
            chown 1234:99 /opt/bin/sed
            mkdir -p /srv/a/b/c
            """;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("qemu-img", "qemu-io", "cmp");
    }

    @Test
    void imageIsReadAsQemuReadsIt() throws Exception {
        Path base = home.randomFile("base", 8, 1);
        Path middle = home.path("middle.qcow2");
        Path image = home.path("vm.qcow2");
        Path expected = home.path("expected");
        Tool.of("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", base, middle)
                .succeed();
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "-F", "qcow2", "-b", middle, image)
                .succeed();
        Tool.of("qemu-io", "-c", "write -P 1 1M 100k", "-c", "write -z 3M 1M", "-c", "write -P 2 5000k 2k", image)
                .succeed();
        Tool.of("qemu-img", "convert", "-O", "raw", image, expected).succeed();

        Path device = home.attach("--read-only", image);
        Tool.of("cmp", expected, device).succeed();
        assertThat(Tool.of("qemu-io", "-c", "write 0 512", image).run().stderr())
                .contains("lock");
        Tool.of("qemu-img", "map", image).succeed();
        home.detach(device);

        home.ucow("flatten", image, home.path("flat")).succeed();
        Tool.of("cmp", expected, home.path("flat")).succeed();
        home.ucow("flatten", "-O", "qcow2", "--compress", "zstd", image, home.path("small.qcow2"))
                .succeed();
        Tool.of("qemu-img", "check", home.path("small.qcow2")).succeed();
        Tool.of("qemu-img", "compare", image, home.path("small.qcow2")).succeed();
        assertThat(home.ucow("info", "--chain", image).succeed().stdout())
                .contains("file format: qcow2 version 3", "base format: qcow2", "compression type: zstd");
        Path top = home.create("top.cow", image);
        Tool.of("cmp", expected, home.attach(top)).succeed();
    }

    /** As a virtual machine has it, whose system is upgraded: what QEMU reads then is what the same upgrade makes elsewhere. */
    @Test
    @Tag("once")
    void debianSystemIsTheSameToQemu() throws Exception {
        DebianRoot.needs();
        Requirements.tools("mount", "umount", "mkfs.ext4", "e2fsck", "blockdev");
        Requirements.fileSystem("ext4");
        Path expected = home.path("expected");
        DebianRoot.copyTo(expected);
        DebianRoot.run(expected, PACKAGES);
        Path raw = home.sparseFile("base.raw", 192 << 20);
        Tool.of("mkfs.ext4", "-q", "-d", expected, raw).succeed();
        Path base = home.path("base.qcow2");
        Tool.of("qemu-img", "convert", "-O", "qcow2", raw, base).succeed();
        Path image = home.path("vm.qcow2");
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, image)
                .succeed();

        Path device = home.attach(image);
        try (TempMount mount = TempMount.of(device)) {
            DebianRoot.run(mount.root(), INSTALL);
        }
        home.ucow("snapshot", image).succeed();
        try (TempMount mount = TempMount.of(device)) {
            DebianRoot.run(mount.root(), UPGRADE);
        }
        home.ucow("commit", image).succeed();
        home.ucow("resize", image, "+32M").succeed();
        assertThat(Tool.of("blockdev", "--getsize64", device).succeed().stdout())
                .startsWith(String.valueOf(224 << 20));
        try (TempMount mount = TempMount.of(device)) {
            DebianRoot.run(mount.root(), CONFIGURE);
        }
        home.detach(device);
        home.ucow("rebase", "--base", base, "--unsafe", home.path("vm.1.qcow2")).succeed();

        assertThat(Tool.of("qemu-img", "info", "--backing-chain", image)
                        .succeed()
                        .stdout())
                .contains("backing file: vm.1.qcow2", "backing file: base.qcow2", "backing file format: qcow2");
        Tool.of("qemu-img", "compare", raw, base).succeed();
        DebianRoot.run(expected, INSTALL + UPGRADE);
        assertQemuHas(expected, home.path("vm.1.qcow2"));
        DebianRoot.run(expected, CONFIGURE);
        assertQemuHas(expected, image);
    }

    private void assertQemuHas(Path expected, Path image) throws IOException {
        Path disk = home.path("converted");
        Tool.of("qemu-img", "check", image).succeed();
        Tool.of("qemu-img", "convert", "-O", "raw", image, disk).succeed();
        Tool.of("e2fsck", "-f", "-n", disk).succeed();
        try (TempMount mount = TempMount.of(disk, "-o", "ro,loop")) {
            DebianRoot.assertSame(expected, mount.root());
        }
    }

    @Test
    void internalSnapshotIsADiskToRead() throws Exception {
        Path image = home.path("vm.qcow2");
        Path expected = home.path("expected");
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", image, "8M").succeed();
        Tool.of("qemu-io", "-c", "write -P 1 1M 100k", image).succeed();
        Tool.of("qemu-img", "convert", "-O", "raw", image, expected).succeed();
        Tool.of("qemu-img", "snapshot", "-c", "before", image).succeed();
        Tool.of("qemu-io", "-c", "write -P 2 0 8M", image).succeed();
        Path device = home.attach("--snapshot", "before", image);
        Tool.of("cmp", expected, device).succeed();
        home.detach(device);
        Path dir = Files.createDirectory(home.path("mnt"));
        home.ucow("mount", "--snapshot", "never", image, dir).exit(NOT_FOUND);
        assertThat(home.ucow("diff", "--snapshot", "before", image, image).run().stdout())
                .contains("0x800000");
        home.ucow("diff", "--snapshot", "before", image, expected).succeed();
    }

    @Test
    void killedDaemonLosesNothing() throws Exception {
        Path base = home.randomFile("base", 16, 1);
        Path image = home.path("vm.qcow2");
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image)
                .succeed();
        StampedBlocks blocks = new StampedBlocks(base, Files.size(base));
        Path dir = Files.createDirectory(home.path("mnt"));
        Random random = new Random(2);
        for (int round = 0; round < ROUNDS; round++) {
            MountedImage mounted = home.mountAt(dir, image);
            home.awaitKeepers();
            blocks.verify(mounted.file());
            CountDownLatch acknowledgements = new CountDownLatch(300 + random.nextInt(500));
            Random own = new Random(random.nextLong());
            Thread writer = new Thread(() -> blocks.change(mounted.file(), 0, 1, own, acknowledgements));
            writer.start();
            assertThat(acknowledgements.await(60, TimeUnit.SECONDS)).isTrue();
            mounted.kill();
            writer.join(60_000);
            assertThat(writer.isAlive()).isFalse();
            assertThat(Tool.of("qemu-img", "check", image).run().status()).isIn(0, LEAKS);
        }
        MountedImage last = home.mountAt(dir, image);
        blocks.verify(last.file());
        last.unmount();
        home.ucow("check", "--repair", image).succeed();
        Tool.of("qemu-img", "check", image).succeed();
    }

    /** What no L2 table has yet is the successor's to find, and to go on with. */
    @Test
    void successorsGoOnUnderLoad() throws Exception {
        Requirements.survival();
        Requirements.tools("fio");
        Path image = home.path("vm.qcow2");
        home.ucow("create", "--format", "qcow2", "--chunk", "16K", "--base", home.randomFile("base", 64, 1), image)
                .succeed();
        Path device = home.attachKept(image);
        Random random = new Random(3);
        int kills = 0;
        Tool load = Tool.of(
                        "fio",
                        "--name=load",
                        "--filename=" + device,
                        "--size=64m",
                        "--rw=randrw",
                        "--bs=4k",
                        "--iodepth=16",
                        "--direct=1",
                        "--ioengine=libaio",
                        "--verify=crc32c",
                        "--verify_fatal=1",
                        "--verify_backlog=512",
                        "--time_based",
                        "--runtime=8")
                .in(home.root())
                .within(Duration.ofSeconds(90));
        try (Tool.Running fio = load.start()) {
            while (!fio.hasEndedWithin(Duration.ofMillis(300 + random.nextInt(700)))) {
                JsonObject row = home.rowOf(image);
                if (row.getString("state").equals("running")) {
                    home.killOnly(row.getLong("pid"));
                    kills++;
                }
            }
            assertThat(fio.await().status()).as("%s", fio.stderr()).isZero();
        }
        assertThat(kills).isPositive();
        home.awaitRow(image, row -> row.getString("state").equals("running"));
        home.detach(device);
        Tool.of("qemu-img", "check", "-r", "leaks", image).succeed();
    }

    @Test
    void whatCannotBeDoneIsRefusedAndChangesNothing() throws Exception {
        Path base = home.randomFile("base", 1, 1);
        Path image = home.path("vm.qcow2");
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, image)
                .succeed();
        byte[] before = Files.readAllBytes(image);
        home.ucow("compact", image).exit(UNSUPPORTED);
        Path device = home.attach("--read-only", image);
        home.ucow("snapshot", image).exit(IN_USE);
        home.detach(device);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }
}
