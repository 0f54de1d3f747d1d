package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code create --checksums}: damage under the image is an I/O error where it is, and a killed daemon makes none. */
class ChecksumsIT {
    private static final long MIB = 1 << 20;
    private static final int PART = 1 << 20;
    private static final int CORRUPT = 16;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("dd", "cmp");
    }

    @Test
    void damageIsAnErrorWhereItIsAndScrubNamesIt() throws Exception {
        Random random = new Random(3);
        Path base = home.sparseFile("base", 64 * MIB);
        Path image = home.create("vm.cow", base, "--checksums");
        byte[] content = new byte[PART];
        Path device = home.attachKept(image);
        try (DirectFile disk = DirectFile.open(device)) {
            for (int part = 0; part < 16; part++) {
                random.nextBytes(content);
                disk.write(part * MIB, content);
            }
            // In place, with the daemon killed in the middle of it.
            for (int i = 0; i < 200; i++) {
                if (i == 100) {
                    home.killOnly(home.daemonOf(image));
                }
                byte[] block = new byte[4096];
                random.nextBytes(block);
                disk.write(random.nextInt(4096) * 4096L, block);
            }
            for (int part = 0; part < 16; part++) {
                disk.read(part * MIB, PART);
            }
            disk.write(5 * MIB, content);
        }
        JsonObject online = UcowHome.object(
                home.ucow("scrub", "--json", "--rate", "1G", image).succeed().stdout());
        assertThat(online.getLong("checkedBytes")).isEqualTo(16 * MIB);
        assertThat(online.getLong("learnedBytes")).isPositive();
        assertThat(online.getLong("damagedBytes")).isZero();
        home.detach(device);
        assertThat(home.ucow("info", image).succeed().stdout()).contains("checksums: yes");
        assertThat(home.ucow("scrub", image).succeed().stdout()).contains("16 MiB read, 0 B of it had no checksum yet");

        JsonObject extent = home.objectsOf("map", image).stream()
                .filter(e -> e.getLong("start") <= 5 * MIB && 5 * MIB < e.getLong("start") + e.getLong("length"))
                .findFirst()
                .orElseThrow();
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            long at = extent.getLong("offset") + 5 * MIB - extent.getLong("start") + 4096 + 77;
            file.seek(at);
            int was = file.read();
            file.seek(at);
            file.write(was ^ 4);
        }
        String line = "DAMAGED 0x501000 + 0x1000";
        assertThat(home.ucow("scrub", image).exit(CORRUPT).stdout()).contains(line, "4 KiB damaged");
        device = home.attach(image);
        assertThat(dd(device, 5 * 256 + 1).stderr()).contains("Input/output error");
        assertThat(dd(device, 5 * 256 + 2).status()).isZero();
        assertThat(home.ucow("status", image).succeed().stdout()).contains("requests that met damaged data ");
        assertThat(home.ucow("scrub", device).exit(CORRUPT).stdout()).contains(line);
        try (DirectFile disk = DirectFile.open(device)) {
            disk.write(5 * MIB + 4096, new byte[4096]);
        }
        home.ucow("scrub", device).succeed();
        home.detach(device);
        home.check(image);
    }

    private static Tool.Result dd(Path device, long block) throws Exception {
        return Tool.of("dd", "if=" + device, "of=/dev/null", "bs=4k", "skip=" + block, "count=1", "iflag=direct")
                .run();
    }
}
