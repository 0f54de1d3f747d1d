package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code rebase}: the disk holds the same on another base, whatever ends the command. */
@Tag("once")
@Timeout(120)
class RebaseIT {
    private static final int BASE_CHANGED = 15;
    private static final int TIMEOUT_MILLIS = 60_000;
    /** {@code inotify_add_watch}: a file was written to. */
    private static final int IN_MODIFY = 0x02;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("cmp", "dd", "cp", "qemu-img");
    }

    @Test
    void diskStaysTheSameOnOtherBasesAndOnNone() throws Exception {
        Path base = home.randomFile("base", 24, 1);
        Path image = home.create("vm.cow", base);
        Path device = home.attach(image);
        Path data = home.randomFile("data", 3, 2);
        Tool.of("dd", "if=" + data, "of=" + device, "bs=1M", "seek=5", "oflag=direct")
                .succeed();
        home.detach(device);
        Path flat = home.path("flat.img");
        home.ucow("flatten", image, flat).succeed();
        Path newer = home.path("newer");
        Tool.of("cp", base, newer).succeed();
        Tool.of("dd", "if=" + data, "of=" + newer, "bs=1M", "seek=9", "conv=notrunc")
                .succeed();
        Path layer = home.create("layer.cow", newer);

        Tool.Result result = home.ucow("rebase", "--base", layer, image).succeed();

        assertThat(result.stdout() + result.stderr()).isEmpty();
        Files.move(base, home.path("elsewhere"));
        Tool.of("qemu-img", "compare", "-f", "raw", "-F", "raw", flat, home.attach(image))
                .succeed();
        home.ucow("detach", image).succeed();
        JsonObject info =
                UcowHome.object(home.ucow("info", "--json", image).succeed().stdout());
        assertThat(info.getString("base")).isEqualTo(layer.toString());
        assertThat(info.getLong("alteredChunks")).isLessThan(24L * 32 / 3);

        home.ucow("rebase", "--no-base", image).succeed();

        Files.delete(layer);
        Files.delete(newer);
        home.check(image);
        home.ucow("diff", flat, image).succeed();
    }

    @Test
    void baseThatMovedIsPutRight() throws Exception {
        Path base = home.randomFile("base", 1, 1);
        Path image = home.create("vm.cow", base);
        Path moved = home.path("moved");
        Files.move(base, moved);
        Tool.Result refused = home.ucow("rebase", "--base", moved, image).exit(BASE_CHANGED);
        assertThat(refused.stderr()).contains("ucow rebase --unsafe --base BASE " + image);

        home.ucow("rebase", "--unsafe", "--base", moved, image).succeed();

        home.ucow("diff", moved, image).succeed();
    }

    @Test
    void killedInTheMiddleItIsRunAgain() throws Exception {
        Path base = home.randomFile("base", 128, 1);
        Path newer = home.randomFile("newer", 128, 2);
        Path image = home.create("vm.cow", base);
        try (Tool.Running rebase = home.ucow("rebase", "--base", newer, image).start()) {
            awaitSize(image, 16L << 20, rebase);
            rebase.kill();
            assertThat(rebase.await().status()).isEqualTo(128 + 9);
        }
        home.ucow("diff", base, image).succeed();

        home.ucow("rebase", "--base", newer, image).succeed();

        Files.delete(base);
        home.check(image);
        home.randomFile("base", 128, 1);
        Tool.of("cmp", base, home.attach(image)).succeed();
    }

    /** Returns when {@code file}, to which {@code writer} writes, has become so large. */
    private static void awaitSize(Path file, long bytes, Tool.Running writer) throws IOException {
        int changes = Libc.watch(file.toString(), IN_MODIFY);
        try {
            while (Files.size(file) < bytes) {
                assertThat(Libc.awaitReadable(changes, TIMEOUT_MILLIS))
                        .as("a write to %s; %s", file, writer.stderr())
                        .isTrue();
                Libc.drain(changes);
            }
        } finally {
            Libc.close(changes);
        }
    }
}
