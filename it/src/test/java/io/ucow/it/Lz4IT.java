package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** {@code create --compress lz4}: what is cold becomes smaller while the disk is in use, and reads the same. */
@Timeout(120)
class Lz4IT {
    private static final int MIB = 1 << 20;
    private static final int TEXT_MIB = 60;
    private static final int CHUNK = 32 << 10;
    private static final int CORRUPT = 2;
    private static final Duration DRAIN_LIMIT = Duration.ofSeconds(60);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("mount", "umount", "cmp", "cp", "du", "mkfs.ext4", "e2fsck", "truncate", "dd", "sync");
    }

    @Test
    void coldFilesAreCompressedWhileTheDiskIsInUse() throws Exception {
        Requirements.fileSystem("ext4");
        Path base = home.sparseFile("base", 128 * MIB);
        Tool.of("mkfs.ext4", "-q", base).succeed();
        Path image = home.create("vm.cow", base, "--compress", "lz4");
        Path text = home.path("text");
        Files.writeString(text, text(TEXT_MIB * MIB));
        Path device = home.attachKept(image);
        try (TempMount mount = TempMount.of(device)) {
            Tool.of("cp", text, mount.root().resolve("a")).succeed();
            Tool.of("sync", "-f", mount.root()).succeed();
            long plain = occupied(image);

            // In the middle of it the daemon dies.
            awaitPacked(image, 10);
            long killed = home.daemonOf(image);
            home.killOnly(killed);
            home.awaitRow(image, row -> row.getString("state").equals("running") && row.getLong("pid") != killed);
            awaitPacked(image, TEXT_MIB * MIB / CHUNK * 9 / 10);

            Tool.of("cmp", text, mount.root().resolve("a")).succeed();
            assertThat(home.ucow("status", image).succeed().stdout()).contains("compressed chunks ");
            Tool.of("sync", "-f", mount.root()).succeed();
            assertThat(occupied(image)).isLessThan(plain * 7 / 10);
        }
        home.detach(device);
        home.check(image);

        JsonObject info =
                UcowHome.object(home.ucow("info", "--json", image).succeed().stdout());
        assertThat(info.getString("compression")).isEqualTo("lz4");
        assertThat(info.getLong("storedBytes") + info.getLong("savedBytes")).isEqualTo(info.getLong("logicalBytes"));
        assertThat(info.getLong("savedBytes")).isGreaterThan(info.getLong("logicalBytes") * 4 / 10);
        List<JsonObject> map = home.objectsOf("map", image);
        assertThat(map.stream().filter(e -> e.getBoolean("compressed", false)).count())
                .isEqualTo(info.getLong("packedChunks"));
        assertThat(home.ucow("table", image).succeed().stdout()).contains(" cow ");
        Path flat = home.path("flat.img");
        home.ucow("flatten", image, flat).succeed();
        Tool.of("e2fsck", "-f", "-n", flat).succeed();
    }

    @Test
    void flattenCompressesAllAtOnceAndDamageStaysWhereItIs() throws Exception {
        Path base = home.path("base");
        Files.writeString(base, text(48 * MIB));
        Path image = home.create("vm.cow", base);
        Path packed = home.path("packed.cow");

        home.ucow("flatten", "-O", "ucow", "--compress", "lz4", image, packed).succeed();

        assertThat(occupied(packed)).isLessThan(4 * MIB + 48 * MIB * 6 / 10);
        home.check(packed);
        home.ucow("diff", packed, base).succeed();
        JsonObject extent = home.objectsOf("map", packed).stream()
                .filter(e -> e.getLong("start") == 7 * CHUNK)
                .findFirst()
                .orElseThrow();
        assertThat(extent).containsEntry("compressed", true);
        try (RandomAccessFile file = new RandomAccessFile(packed.toFile(), "rw")) {
            file.seek(extent.getLong("offset") + 100);
            file.write(new byte[50]);
        }
        String found = home.ucow("check", packed).exit(CORRUPT).stdout();
        assertThat(found).contains("0x" + Long.toHexString(extent.getLong("offset")) + ": packed chunk 7: ");
        Path device = home.attach("--read-only", packed);
        try (DirectFile disk = DirectFile.open(device)) {
            assertThat(new String(disk.read(8 * CHUNK, 4096), StandardCharsets.US_ASCII))
                    .isEqualTo(text(48 * MIB).substring(8 * CHUNK, 8 * CHUNK + 4096));
        }
        Tool.Result read = Tool.of("dd", "if=" + device, "of=/dev/null", "bs=32k", "skip=7", "count=1", "iflag=direct")
                .run();
        assertThat(read.status()).isNotZero();
        assertThat(read.stderr()).contains("Input/output error");
        home.detach(device);
    }

    /** Waits until so many chunks are compressed. @return how many are */
    private long awaitPacked(Path image, long wanted) throws IOException {
        long deadline = System.nanoTime() + DRAIN_LIMIT.toNanos();
        while (true) {
            JsonObject store = (JsonObject)
                    home.objectsOf("status", image).get(0).getArray("stores").get(0);
            long packed = store.getLong("packedChunks");
            if (packed >= wanted) {
                return packed;
            }
            assertThat(System.nanoTime())
                    .as("%d chunks compressed, %d wanted", packed, wanted)
                    .isLessThan(deadline);
        }
    }

    /** Some words again and again, so that it compresses as text does. */
    private static String text(int length) {
        Random random = new Random(1);
        String[] words = new String[200];
        for (int i = 0; i < words.length; i++) {
            words[i] = Long.toString(random.nextLong() >>> (8 + random.nextInt(20)), 36);
        }
        StringBuilder text = new StringBuilder(length + 20);
        while (text.length() < length) {
            text.append(words[(int) Math.abs(random.nextGaussian() * 30) % words.length])
                    .append(random.nextInt(12) == 0 ? '\n' : ' ');
        }
        return text.substring(0, length);
    }

    /** As {@code du} has it. */
    private static long occupied(Path file) throws IOException {
        return Long.parseLong(Tool.of("du", "-k", file).succeed().stdout().split("\t", -1)[0]) << 10;
    }
}
