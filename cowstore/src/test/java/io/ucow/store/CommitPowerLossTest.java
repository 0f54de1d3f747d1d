package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.journal.SmallStore;
import io.ucow.sys.FileStatus;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A commit, cut at every write and sync of image and base: whatever power loss or a kill may leave of both, the image is not
 * refused, holds what it held, and is committed by another run.
 */
@Timeout(120)
class CommitPowerLossTest {
    private static final Path NAME = Path.of("/images/vm.cow");
    private static final FileStatus STATUS = new FileStatus(0x8180, 0, 0, 1, 1, 0, 0, 0, 7, 8, 0, 0);
    private static final int VARIANTS = Integer.getInteger("ucow.powerloss.variants", 3);
    private static final int RAW_BYTES = 200_000;

    /** An image and its base, as they are, or as they are left. */
    private record Files(FaultFile image, FaultFile base) {}

    /** How many calls either had seen after each of all calls. */
    private record Cut(int image, int base) {}

    @ParameterizedTest(name = "seed {0}, {2} of {1} on {3}")
    @CsvSource({
        "1, 250001, ucow, raw",
        "2, 200000, ucow, raw",
        "3, 120000, ucow, raw",
        "4, 250001, ucow, ucow",
        "5, 200000, ucow, ucow",
        "6, 120001, ucow, ucow",
        "1, 250001, qcow2, raw",
        "4, 250001, qcow2, qcow2",
        "5, 200000, qcow2, ucow",
        "6, 120001, ucow, qcow2"
    })
    void everyCutKeepsTheContentAndCanBeCommitted(long seed, int bytes, String format, String baseFormat)
            throws IOException {
        new Scenario(seed, bytes, format, baseFormat).cutEverywhere(false);
    }

    /** The test is tested. */
    @Test
    void checkerCatchesABaseThatIsNotSynced() {
        boolean caught = false;
        for (long seed = 1; seed < 20 && !caught; seed++) {
            try {
                new Scenario(seed, 200_000, "ucow", "raw").cutEverywhere(true);
            } catch (AssertionError | IOException e) {
                caught = true;
            }
        }
        assertThat(caught).as("the planted bug was noticed").isTrue();
    }

    /** One image on one base, raw or a layer. */
    private static final class Scenario {
        private final int deviceBytes;
        private final ExceptionStoreProvider plugin;
        /** The base's; null for a raw one. */
        private final ExceptionStoreProvider layerPlugin;

        private final Random random;
        private final byte[] below = new byte[RAW_BYTES];
        private byte[] model;

        Scenario(long seed, int deviceBytes, String format, String baseFormat) throws IOException {
            this.random = new Random(seed);
            this.deviceBytes = deviceBytes;
            this.plugin = Images.plugin(format);
            this.layerPlugin = baseFormat.equals("raw") ? null : Images.plugin(baseFormat);
            random.nextBytes(below);
        }

        void cutEverywhere(boolean forgetSyncsOfBase) throws IOException {
            Files files = makeFiles();
            UUID boot = new UUID(5, random.nextLong());
            List<Cut> cuts = new ArrayList<>();
            FaultFile image = files.image();
            FaultFile base = files.base();
            commit(image, noting(image, files, cuts), noting(base, files, cuts), boot);
            assertThat(cuts).as("the commit writes").hasSizeGreaterThan(8);
            if (forgetSyncsOfBase) {
                base = base.forgetting(i -> true);
            }
            for (Cut cut : cuts) {
                for (int v = 0; v < VARIANTS; v++) {
                    verify(
                            image.powerLostAt(cut.image(), random),
                            base.powerLostAt(cut.base(), random),
                            new UUID(6, random.nextLong()));
                }
                verify(image.killedAt(cut.image()), base.killedAt(cut.base()), boot);
            }
        }

        private Files makeFiles() throws IOException {
            FaultFile base = new FaultFile(below);
            byte[] held = below;
            if (layerPlugin != null) {
                base = new FaultFile(new byte[0]);
                SmallStore.create(layerPlugin, base, new Geometry(250_001, 14), null);
                held = new byte[250_001];
                try (CowDevice device =
                        TestDevices.open(layerPlugin, base, new Images.ZeroOrigin(), TestDevices.BOOT)) {
                    change(device, held, held.length);
                }
            }
            model = Arrays.copyOf(held, deviceBytes);
            FaultFile image = new FaultFile(new byte[0]);
            try (CommitTarget target = target(base, TestDevices.BOOT)) {
                OriginReference reference = target.finish("base");
                SmallStore.create(plugin, image, new Geometry(deviceBytes, 15), reference);
                try (CowDevice device = TestDevices.open(plugin, image, new LentOrigin(target), TestDevices.BOOT)) {
                    change(device, model, deviceBytes);
                }
            }
            // All of this is on disk by now.
            return new Files(
                    new FaultFile(image.killedAt(image.eventCount())), new FaultFile(base.killedAt(base.eventCount())));
        }

        private void change(CowDevice device, byte[] content, int bytes) throws IOException {
            for (int i = 0; i < 30; i++) {
                int at = random.nextInt(bytes - 40_000);
                byte[] data = new byte[random.nextInt(random.nextInt(3) == 0 ? 40_000 : 3000) + 1];
                if (random.nextInt(4) == 0) {
                    device.discard(at, data.length);
                } else {
                    random.nextBytes(data);
                    device.write(at, TestDevices.direct(data, 0, data.length));
                }
                System.arraycopy(data, 0, content, at, data.length);
            }
        }

        private CommitTarget target(PositionalFile base, UUID boot) throws IOException {
            LockedFile locked = locked(base);
            return layerPlugin != null
                    ? new LayerTarget(
                            layerPlugin, Path.of("/images/base"), locked, STATUS, new Images.ZeroOrigin(), boot)
                    : new FileTarget(locked, STATUS);
        }

        private LockedFile locked(PositionalFile file) {
            return new LockedFile() {
                @Override
                public PositionalFile another() {
                    return file;
                }

                @Override
                public FileStatus durableStatus() throws IOException {
                    file.sync();
                    return STATUS;
                }
            };
        }

        /** @param image to look at; {@code imageFile} and {@code baseFile} are what the commit writes to */
        private void commit(FaultFile image, PositionalFile imageFile, PositionalFile baseFile, UUID boot)
                throws IOException {
            OriginReference recorded = plugin.origin(image, NAME);
            try (Commit commit = new Commit(plugin, NAME, locked(imageFile), recorded, target(baseFile, boot), boot)) {
                commit.run(bytes -> {});
            }
        }

        private PositionalFile noting(FaultFile file, Files files, List<Cut> cuts) {
            return new NotingFile(file, () -> {
                synchronized (cuts) {
                    cuts.add(new Cut(files.image().eventCount(), files.base().eventCount()));
                }
            });
        }

        private void verify(byte[] imageBytes, byte[] baseBytes, UUID boot) throws IOException {
            FaultFile image = new FaultFile(imageBytes);
            FaultFile base = new FaultFile(baseBytes);
            OriginReference recorded = plugin.origin(image, NAME);
            try (CommitTarget target = target(base, boot)) {
                target.requireSame(recorded, NAME);
                try (CowDevice device = TestDevices.openReadOnly(plugin, image, new LentOrigin(target), boot)) {
                    assertThat(TestDevices.read(device, 0, deviceBytes)).isEqualTo(model);
                }
            }
            commit(image, image, base, boot);
            try (CommitTarget target = target(base, boot)) {
                target.requireSame(plugin.origin(image, NAME), NAME);
                ByteBuffer held = ByteBuffer.allocateDirect(deviceBytes);
                target.read(held, 0);
                byte[] bytes = new byte[deviceBytes];
                held.flip().get(bytes);
                assertThat(bytes).isEqualTo(model);
            }
            CheckReport report = plugin.check(image, NAME, boot);
            assertThat(report.corruptions()).isEmpty();
            assertThat(report.checkedChunks()).as("altered chunks").isZero();
        }
    }

    /** Shows each call that changes anything, or makes it durable, after it was made. */
    private static final class NotingFile implements PositionalFile {
        private final PositionalFile file;
        private final Runnable note;

        NotingFile(PositionalFile file, Runnable note) {
            this.file = file;
            this.note = note;
        }

        @Override
        public String name() {
            return file.name();
        }

        @Override
        public int read(ByteBuffer dst, long offset) throws IOException {
            return file.read(dst, offset);
        }

        @Override
        public void write(ByteBuffer src, long offset) throws IOException {
            file.write(src, offset);
            note.run();
        }

        @Override
        public void sync() throws IOException {
            file.sync();
            note.run();
        }

        @Override
        public void punchHole(long offset, long lengthBytes) throws IOException {
            file.punchHole(offset, lengthBytes);
            note.run();
        }

        @Override
        public void preallocate(long offset, long lengthBytes) throws IOException {
            file.preallocate(offset, lengthBytes);
            note.run();
        }

        @Override
        public long size() throws IOException {
            return file.size();
        }

        @Override
        public void truncate(long sizeBytes) throws IOException {
            file.truncate(sizeBytes);
            note.run();
        }

        @Override
        public long allocatedBytes() throws IOException {
            return file.allocatedBytes();
        }

        @Override
        public long dataBytes(long offset, long lengthBytes) throws IOException {
            return file.dataBytes(offset, lengthBytes);
        }

        @Override
        public boolean tryLock(boolean exclusive) throws IOException {
            return file.tryLock(exclusive);
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
