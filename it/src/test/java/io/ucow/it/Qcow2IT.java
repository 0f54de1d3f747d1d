package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** QEMU's images through the command, judged by QEMU's own tools. */
class Qcow2IT {
    private static final int IN_USE = 12;
    private static final int UNSUPPORTED = 17;

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
        assertThat(home.ucow("info", "--chain", image).succeed().stdout())
                .contains("file format: qcow2 version 3", "base format: qcow2", "compression type: zstd");
        Path top = home.create("top.cow", image);
        Tool.of("cmp", expected, home.attach(top)).succeed();
    }

    @Test
    void whatWouldWriteRefuses() throws Exception {
        Path image = home.path("vm.qcow2");
        Tool.of("qemu-img", "create", "-q", "-f", "qcow2", image, "8M").succeed();
        byte[] before = Files.readAllBytes(image);
        home.ucow("attach", image).exit(UNSUPPORTED);
        home.ucow("snapshot", image).exit(UNSUPPORTED);
        home.ucow("resize", image, "16M").exit(UNSUPPORTED);
        home.ucow("compact", image).exit(UNSUPPORTED);
        home.ucow("rebase", "--no-base", image).exit(UNSUPPORTED);
        home.ucow("rebase", "--no-base", "--unsafe", image).exit(UNSUPPORTED);
        home.ucow("commit", image).exit(UNSUPPORTED);
        home.ucow("attach", "--read-only", image, "--cache", "none").succeed();
        home.ucow("snapshot", image).exit(IN_USE);
        assertThat(Files.readAllBytes(image)).isEqualTo(before);
    }
}
