package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CheckReport;
import io.ucow.store.Images;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Of damaged images {@code check} says what {@code qemu-img check} says, and all of them can be repaired. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class CheckTest {
    private static final int SOUND = 0, CORRUPT = 2, LEAKS = 3;
    private static final int ROUNDS = 25;

    @TempDir
    Path directory;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=512", "refcount_bits=1,cluster_size=4096", "extended_l2=on,cluster_size=16k"})
    void verdictIsQemus(String options) throws Exception {
        Path image = directory.resolve("vm.qcow2");
        Random random = new Random(7);
        Qemu.img("create", "-f", "qcow2", "-o", options, image, "1M");
        Qemu.io(image, List.of("write -P 1 0 200k", "write -z 256k 100k", "write -P 2 500k 100k", "discard 64k 64k"));
        if (!options.contains("refcount_bits=1")) {
            Qemu.img("snapshot", "-c", "one", image);
            Qemu.io(image, List.of("write -P 3 100k 100k"));
        }
        byte[] sound = Files.readAllBytes(image);
        Header header = Header.decode(ByteBuffer.wrap(sound));
        int sawCorrupt = 0;
        int sawLeaks = 0;
        for (int round = 0; round < ROUNDS; round++) {
            byte[] bytes = sound.clone();
            ByteBuffer b = ByteBuffer.wrap(bytes);
            int l2 = (int) L1Entry.offset(b.getLong((int) header.l1TableOffset()));
            int block = (int) b.getLong((int) header.refcountTableOffset());
            int entry = l2 + random.nextInt(32) * 8;
            switch (random.nextInt(3)) {
                case 0 -> b.put(block + random.nextInt(20), (byte) random.nextInt());
                case 1 -> b.putLong(entry, 0);
                default -> b.putLong(entry, b.getLong(entry) ^ L2Entry.COPIED);
            }
            Files.write(image, bytes);
            Qemu.Result expected = Qemu.run("qemu-img", "check", image);
            CheckReport report = Images.check(image);
            String saw = "round " + round + ": " + report + "\n" + expected.output();
            int verdict = !report.isSound() ? CORRUPT : report.leakedBytes() > 0 ? LEAKS : SOUND;
            assertThat(verdict).as(saw).isEqualTo(expected.status());
            sawCorrupt += verdict == CORRUPT ? 1 : 0;
            if (verdict == LEAKS) {
                sawLeaks++;
                Matcher leaks = Pattern.compile("(\\d+) leaked clusters").matcher(expected.output());
                assertThat(leaks.find()).as(saw).isTrue();
                assertThat(report.leakedBytes())
                        .as(saw)
                        .isEqualTo(Long.parseLong(leaks.group(1)) * header.clusterSize());
            }
            assertThat(Qemu.repaired(image)).as(saw).isTrue();
        }
        assertThat(sawCorrupt).isPositive();
        assertThat(sawLeaks).isPositive();
    }
}
