package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.journal.SmallStore;
import io.ucow.sys.FileStatus;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A rebase, cut at every write and sync of the image: it is on the old base or the new one, and holds the same. */
@Timeout(120)
class RebasePowerLossTest {
    private static final Path NAME = Path.of("/images/vm.cow");
    private static final int BYTES = 300_001;
    private static final int VARIANTS = Integer.getInteger("ucow.powerloss.variants", 3);

    @ParameterizedTest(name = "seed {0}, {4} from {1} bytes to {2}, chunks of 2^{3}")
    @CsvSource({
        "1, 300001, 300001, 12, ucow",
        "2, 200000, 300001, 15, ucow",
        "3, 300001, 100000, 16, ucow",
        "4, 400000, 350000, 14, ucow",
        "1, 300001, 300001, 12, qcow2",
        "2, 200000, 300001, 15, qcow2",
        "3, 300001, 100000, 12, qcow2"
    })
    void everyCutKeepsTheContent(long seed, int fromBytes, int toBytes, int chunkShift, String format)
            throws IOException {
        ExceptionStoreProvider plugin = Images.plugin(format);
        Random random = new Random(seed);
        byte[] from = new byte[fromBytes];
        random.nextBytes(from);
        byte[] to = Arrays.copyOf(from, toBytes);
        for (int i = 0; i < 20; i++) {
            to[random.nextInt(toBytes)] ^= 1;
        }
        byte[] model = Arrays.copyOf(from, BYTES);
        FaultFile made = new FaultFile(new byte[0]);
        SmallStore.create(plugin, made, new Geometry(BYTES, chunkShift), reference("from"));
        try (CowDevice device = TestDevices.open(plugin, made, TestDevices.origin(from), TestDevices.BOOT)) {
            for (int i = 0; i < 10; i++) {
                byte[] data = new byte[random.nextInt(20_000) + 1];
                int at = random.nextInt(BYTES - data.length);
                random.nextBytes(data);
                device.write(at, TestDevices.direct(data, 0, data.length));
                System.arraycopy(data, 0, model, at, data.length);
            }
        }
        FaultFile image = new FaultFile(made.killedAt(made.eventCount()));
        UUID boot = new UUID(1, random.nextLong());

        Rebase rebase = new Rebase(plugin, NAME, locked(image), boot);
        rebase.copyDifferences(TestDevices.origin(from), TestDevices.origin(to), bytes -> {});
        rebase.record(reference("to"));

        assertThat(image.eventCount()).isGreaterThan(20);
        for (int cut = 0; cut <= image.eventCount(); cut++) {
            for (int v = 0; v < VARIANTS; v++) {
                verify(plugin, image.powerLostAt(cut, random), from, to, model, new UUID(2, random.nextLong()));
            }
            verify(plugin, image.killedAt(cut), from, to, model, boot);
        }
        assertThat(plugin.origin(image, NAME).path()).isEqualTo("to");
    }

    private static void verify(
            ExceptionStoreProvider plugin, byte[] bytes, byte[] from, byte[] to, byte[] model, UUID boot)
            throws IOException {
        FaultFile image = new FaultFile(bytes);
        Origin base = TestDevices.origin(plugin.origin(image, NAME).path().equals("from") ? from : to);
        try (CowDevice device = TestDevices.openReadOnly(plugin, image, base, boot)) {
            assertThat(TestDevices.read(device, 0, BYTES)).isEqualTo(model);
        }
        assertThat(plugin.check(image, NAME, boot).corruptions()).isEmpty();
    }

    private static OriginReference reference(String path) {
        return new OriginReference(path, 1, 2, 3, "ab".repeat(32), false);
    }

    private static LockedFile locked(FaultFile file) {
        return new LockedFile() {
            @Override
            public PositionalFile another() {
                return file;
            }

            @Override
            public FileStatus durableStatus() {
                throw new UnsupportedOperationException();
            }
        };
    }
}
