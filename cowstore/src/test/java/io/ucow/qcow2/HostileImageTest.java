package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CowDevice;
import io.ucow.store.ExceptionStore;
import io.ucow.store.GracePeriod;
import io.ucow.store.Images;
import io.ucow.store.StoreContext;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that somebody damaged on purpose: an error, or other bytes, soon; nothing else. Repaired, or refused. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class HostileImageTest {
    private static final int CLUSTER = 16 << 10;
    private static final int SIZE = 40 * CLUSTER;
    /** A process of QEMU's for each takes some seconds in all. {@code -Ducow.qcow2.repairEvery=1} repairs every one. */
    private static final int REPAIR_EVERY = Integer.getInteger("ucow.qcow2.repairEvery", 4);

    private static final int CHANGES = 12;

    @TempDir
    Path directory;

    /** Header, L1 table, L2 table, refcount table, then data, with an entry of every kind; a refcount block at the end. */
    private static byte[] sound(boolean extended) {
        byte[] bytes = new byte[13 * CLUSTER];
        ByteBuffer b = ByteBuffer.wrap(bytes);
        b.putInt(0, Header.MAGIC).putInt(4, 3).putInt(20, 14).putLong(24, SIZE);
        b.putInt(36, 1).putLong(40, CLUSTER).putLong(48, 3 * CLUSTER).putInt(56, 1);
        b.putLong(72, extended ? Header.EXTENDED_L2 : 0).putInt(96, 4).putInt(100, 112);
        b.putInt(112, HeaderExtensions.FEATURE_NAMES).putInt(116, 48).putLong(120, 0x0009_6e65_7765_7300L);
        b.putLong(CLUSTER, L1Entry.COPIED | 2 * CLUSTER);
        b.putLong(3 * CLUSTER, 12 * CLUSTER);
        for (int i = 0; i < 13; i++) {
            b.putShort(12 * CLUSTER + 2 * i, (short) (i < 4 || i == 12 ? 1 : 30));
        }
        int step = extended ? L2Entry.EXTENDED_BYTES : L2Entry.BYTES;
        for (int i = 0; i < 40; i++) {
            long offset = (4L + i % 8) * CLUSTER;
            int at = 2 * CLUSTER + i * step;
            switch (i % 4) {
                case 0 -> b.putLong(at, L2Entry.COPIED | offset);
                case 1 -> b.putLong(at, extended ? 0 : L2Entry.ZERO);
                case 2 -> b.putLong(at, L2Entry.COMPRESSED | offset | 1L << 57);
                default -> b.putLong(at, 0);
            }
            if (extended) {
                b.putLong(at + 8, i % 4 == 0 ? 0x0f0f_0000_f0f0_ffffL : i % 4 == 1 ? 0xffff_0000_0000_0000L : 0);
            }
        }
        return bytes;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void soundImageIsRead(boolean extended) throws IOException {
        Path file = Files.write(directory.resolve("x.qcow2"), sound(extended));
        assertThat(readAll(file)).isPositive();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void damagedImages(boolean extended) throws Exception {
        Qemu.require();
        byte[] sound = sound(extended);
        Random random = new Random(extended ? 2 : 1);
        Path file = directory.resolve("x.qcow2");
        int opened = 0;
        int refused = 0;
        int repaired = 0;
        for (int round = 0; round < 400; round++) {
            byte[] bytes = sound.clone();
            ByteBuffer b = ByteBuffer.wrap(bytes);
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                int at = (random.nextInt(3) == 0 ? 0 : (1 + random.nextInt(3)) * CLUSTER) + random.nextInt(24) * 8;
                b.putLong(at, hostile(random, b.getLong(at)));
            }
            int length = random.nextInt(4) == 0 ? random.nextInt(bytes.length) : bytes.length;
            Files.write(file, Arrays.copyOf(bytes, length));
            try {
                readAll(file);
                opened++;
            } catch (IOException e) {
                assertThat(e.getMessage()).isNotBlank().doesNotContain("\n");
                refused++;
            }
            if (round % REPAIR_EVERY == 0
                    && Header.hasMagic(ByteBuffer.wrap(bytes, 0, length).slice())) {
                repaired += Qemu.repaired(file) ? 1 : 0;
            }
        }
        assertThat(repaired).isPositive();
        assertThat(opened).isPositive();
        assertThat(refused).isPositive();
    }

    /** Whatever the tables say, what the header has before its refcount table stays as it was, and so does the L1 table's place. */
    @ParameterizedTest
    @ValueSource(strings = {"version 2", "version 3", "extended"})
    void damagedImagesAreWrittenTo(String kind) throws IOException {
        byte[] sound = sound(kind.equals("extended"));
        ByteBuffer.wrap(sound).putInt(Header.VERSION_AT, kind.equals("version 2") ? 2 : 3);
        Random random = new Random(kind.hashCode());
        Path file = directory.resolve("x.qcow2");
        int done = 0;
        for (int round = 0; round < 60; round++) {
            byte[] bytes = sound.clone();
            ByteBuffer b = ByteBuffer.wrap(bytes);
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                int page = random.nextInt(4) == 0 ? 12 : 1 + random.nextInt(3);
                int at = page * CLUSTER + random.nextInt(page == 12 ? 4 : 80) * 8;
                b.putLong(at, hostile(random, b.getLong(at)));
            }
            Files.write(file, bytes);
            done += change(file, random);
            try (InputStream in = Files.newInputStream(file)) {
                byte[] head = in.readNBytes(Header.REFCOUNT_TABLE_OFFSET_AT);
                assertThat(head).isEqualTo(Arrays.copyOf(bytes, head.length));
            }
        }
        assertThat(done).isBetween(1, 60 * CHANGES - 1);
    }

    /** @return how many changes of as many as were tried have been made */
    private static int change(Path path, Random random) {
        int done = 0;
        try (CowDevice device = Images.open(path, false)) {
            for (int i = 0; i < CHANGES; i++) {
                int length = 1 + random.nextInt(2 * CLUSTER);
                int offset = random.nextInt(SIZE - length);
                try {
                    if (i % 3 == 2) {
                        device.discard(offset, length);
                    } else {
                        device.write(offset, ByteBuffer.allocateDirect(length));
                    }
                    done++;
                } catch (IOException e) {
                    assertThat(e.getMessage()).isNotBlank().doesNotContain("\n");
                }
            }
        } catch (IOException e) {
            assertThat(e.getMessage()).isNotBlank().doesNotContain("\n");
        }
        return done;
    }

    private static long hostile(Random random, long old) {
        return switch (random.nextInt(6)) {
            case 0 -> random.nextLong();
            case 1 -> old ^ 1L << random.nextInt(64);
            case 2 -> (long) random.nextInt(16) * CLUSTER | (random.nextLong() & 3L << 62);
            case 3 -> Long.MAX_VALUE - random.nextInt(2) * 511L;
            case 4 -> -1;
            default -> old ^ (long) random.nextInt() << (32 * random.nextInt(2));
        };
    }

    @Test
    void largestDiskCostsNothingUntilItIsRead() throws IOException {
        byte[] bytes = sound(false);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        b.putLong(24, 1L << 46).putInt(36, 1 << 21);
        Arrays.fill(bytes, 12 * CLUSTER, 13 * CLUSTER, (byte) 0);
        Path file = Files.write(directory.resolve("x.qcow2"), Arrays.copyOf(bytes, (1 << 24) + 2 * CLUSTER));
        assertThat(readAll(file)).isPositive();
    }

    /** Looks every present chunk up and reads it. @return bytes read */
    private static long readAll(Path path) throws IOException {
        NativeFile file = NativeFile.open(path, Libc.O_RDONLY);
        StoreContext context = new StoreContext(true, new UUID(1, 2), new GracePeriod(), false);
        try (ExceptionStore store = new Qcow2Format().open(file, path, context)) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(store.geometry().chunkSize());
            long chunks = store.geometry().chunkCount();
            long read = 0;
            IOException failure = null;
            int looks = 0;
            for (long chunk = store.nextPresent(0);
                    chunk < chunks && looks < 4096;
                    chunk = store.nextPresent(chunk + 1)) {
                looks++;
                try {
                    long entry = store.lookup(chunk);
                    if (RemapEntry.isSlot(entry)) {
                        store.read(entry, 0, buffer.clear());
                        read += buffer.position();
                    } else if (RemapEntry.isPacked(entry)) {
                        store.readPacked(chunk, entry, 0, buffer.clear());
                        read += buffer.position();
                    }
                } catch (IOException e) {
                    failure = e;
                }
            }
            store.info();
            if (failure != null && read == 0) {
                throw failure;
            }
            return read;
        }
    }
}
