package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Damage done with {@code dd} to an image that was used, and what {@code check --repair} makes of it. */
@Timeout(120)
class CheckIT {
    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("dd", "cmp", "truncate");
    }

    @Test
    void lostSuperblockIsRepairedAndTheDiskIsUsedOn() throws Exception {
        Path image = home.path("vm.cow");
        Path expected = home.path("expected");
        Tool.of("truncate", "-s", "16M", expected).succeed();
        home.ucow("create", "--size", "16M", image).succeed();
        Path device = home.attach(image);
        for (Path target : new Path[] {device, expected}) {
            Tool.of("dd", "if=/dev/zero", "of=" + target, "bs=1M", "count=3", "seek=5", "conv=notrunc,fsync")
                    .succeed();
            Tool.of("dd", "if=/proc/self/exe", "of=" + target, "bs=4K", "count=8", "seek=512", "conv=notrunc,fsync")
                    .succeed();
        }
        home.detach(device);
        home.check(image);
        // One superblock: nothing is lost.
        Tool.of("dd", "if=/dev/zero", "of=" + image, "bs=4096", "count=1", "seek=" + older(image), "conv=notrunc")
                .succeed();
        assertThat(home.ucow("check", image).exit(2).stdout()).contains("ERROR", "superblock is damaged");

        String text = home.ucow("check", "--repair", image).succeed().stdout();

        assertThat(text).contains("Repaired.", image + ".metadata-1", "conv=notrunc,sparse");
        assertThat(home.path("vm.cow.metadata-1")).exists();
        home.check(image);
        device = home.attach(image);
        assertThat(home.ucow("check", "--repair", image).exit(1).stderr()).contains("in use");
        Tool.of("cmp", device, expected).succeed();
        home.detach(device);
        JsonObject again = UcowHome.object(
                home.ucow("check", "--repair", "--json", image).succeed().stdout());
        assertThat(again.getBoolean("repaired")).isTrue();
        assertThat(again.isNull("metadataCopy")).isTrue();
    }

    /** The page number of the superblock with the lower generation. */
    private static int older(Path image) throws Exception {
        ByteBuffer head;
        try (InputStream in = Files.newInputStream(image)) {
            head = ByteBuffer.wrap(in.readNBytes(8192)).order(ByteOrder.LITTLE_ENDIAN);
        }
        return head.getLong(40) < head.getLong(4096 + 40) ? 0 : 1;
    }
}
