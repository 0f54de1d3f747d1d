package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.UnsupportedFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Writing where it is hard: tables that grow, threads that meet, images that would overwrite themselves. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class WritingTest {
    private static final int BLOCK = 4096;

    @TempDir
    Path directory;

    /** With 64-bit counts a table of one cluster counts 2 MiB of 512-byte clusters, so it grows, and so do its blocks. */
    @Test
    void refcountTableGrows() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        int size = 7 << 20;
        Qemu.img("create", "-f", "qcow2", "-o", "cluster_size=512,refcount_bits=64", image, size);
        byte[] bytes = new byte[size];
        new Random(1).nextBytes(bytes);
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, ByteBuffer.allocateDirect(size).put(bytes).flip());
        }
        Path raw = directory.resolve("raw");
        assertThat(Qemu.run("qemu-img", "check", image).status()).isZero();
        Qemu.img("convert", "-O", "raw", image, raw);
        assertThat(Arrays.mismatch(Files.readAllBytes(raw), bytes)).isEqualTo(-1);
    }

    @Test
    void threadsKeepOutOfEachOthersClusters() throws Exception {
        Path image = create(65536, 64 << 20);
        int blocks = (64 << 20) / BLOCK;
        byte[][] last = new byte[blocks][];
        int crew = 4;
        ExecutorService threads = Executors.newFixedThreadPool(crew);
        try (CowDevice device = Images.open(image, false)) {
            List<Future<?>> done = new ArrayList<>();
            for (int t = 0; t < crew; t++) {
                int mine = t;
                done.add(threads.submit(() -> {
                    change(device, last, mine, crew);
                    return null;
                }));
            }
            for (Future<?> f : done) {
                f.get();
            }
        } finally {
            threads.shutdownNow();
        }
        assertThat(Images.check(image).corruptions()).isEmpty();
        assertThat(Images.check(image).leakedBytes()).isZero();
        try (CowDevice device = Images.open(image, true)) {
            ByteBuffer found = ByteBuffer.allocateDirect(BLOCK);
            for (int i = 0; i < blocks; i++) {
                device.read((long) i * BLOCK, found.clear());
                byte[] expected = last[i] == null ? new byte[BLOCK] : last[i];
                assertThat(found.flip().mismatch(ByteBuffer.wrap(expected)))
                        .as("block %d", i)
                        .isEqualTo(-1);
            }
        }
    }

    /** Neighbours, which share a cluster, are different threads'. */
    private static void change(CowDevice device, byte[][] last, int mine, int crew) throws IOException {
        Random random = new Random(mine);
        ByteBuffer buffer = ByteBuffer.allocateDirect(BLOCK);
        for (int i = 0; i < 3000; i++) {
            int block = random.nextInt(last.length / crew / 4) * crew + mine;
            if (random.nextInt(4) == 0) {
                device.discard((long) block * BLOCK, BLOCK);
                last[block] = null;
            } else {
                byte[] bytes = new byte[BLOCK];
                random.nextBytes(bytes);
                device.write((long) block * BLOCK, buffer.clear().put(bytes).flip());
                last[block] = bytes;
            }
            if (random.nextInt(200) == 0) {
                device.flush();
            }
        }
    }

    @Test
    void clusterThatIsMetadataIsNotWritten() throws IOException {
        Path image = create(BLOCK, 1 << 20);
        write(image, 0);
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        int l1 = (int) Header.decode(b).l1TableOffset();
        int l2 = (int) L1Entry.offset(b.getLong(l1));
        b.putLong(l2, L2Entry.COPIED | l1);
        Files.write(image, bytes);

        assertThatThrownBy(() -> write(image, 0))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("a guest's cluster is where metadata is");

        assertRefusedAndUnchangedBut(image, bytes);
    }

    @Test
    void metadataThatCountsAsFreeIsNotAllocated() throws IOException {
        Path image = create(BLOCK, 1 << 20);
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        int block = (int) b.getLong((int) Header.decode(b).refcountTableOffset());
        b.putShort(block + 2, (short) 0);
        Files.write(image, bytes);

        assertThatThrownBy(() -> write(image, 0))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("counts as free");

        assertRefusedAndUnchangedBut(image, bytes);
    }

    /** The corrupt bit is all that was written, and from then on the image is read-only. */
    private static void assertRefusedAndUnchangedBut(Path image, byte[] before) throws IOException {
        byte[] after = Files.readAllBytes(image);
        assertThat(after[Header.INCOMPATIBLE_AT + 7]).isEqualTo((byte) Header.CORRUPT);
        after[Header.INCOMPATIBLE_AT + 7] = 0;
        assertThat(Arrays.mismatch(Arrays.copyOf(after, before.length), before)).isEqualTo(-1);
        assertThatThrownBy(() -> Images.open(image, false)).isInstanceOf(UnsupportedFormatException.class);
        Images.open(image, true).close();
    }

    private static void write(Path image, long offset) throws IOException {
        CowDevice device = Images.open(image, false);
        try {
            device.write(offset, ByteBuffer.allocateDirect(BLOCK));
        } catch (IOException e) {
            assertThatThrownBy(device::close).isInstanceOf(IOException.class);
            throw e;
        }
        device.close();
    }

    private Path create(int cluster, long size) throws IOException {
        Path image = directory.resolve("new.qcow2");
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(size), cluster, "qcow2"));
        return image;
    }
}
