package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ExceptionStore;
import io.ucow.store.FaultFile;
import io.ucow.store.GracePeriod;
import io.ucow.store.HookedFile;
import io.ucow.store.Images;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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

    /** Neighbours, which share a cluster, and a subcluster where there are any, are different threads'. */
    @ParameterizedTest
    @ValueSource(strings = {"", "extended_l2=on", "-c", "-c extended_l2=on", "-c extended_l2=on,cluster_size=16k"})
    void threadsKeepOutOfEachOthersBlocks(String kind) throws Exception {
        int block = kind.contains("extended") ? 512 : BLOCK;
        int size = 4000 * block;
        byte[] model = new byte[size];
        Path image;
        if (kind.isEmpty()) {
            image = create(65536, size, 3);
        } else {
            Qemu.require();
            image = directory.resolve("vm.qcow2");
            for (int i = 0; i < size; i++) {
                model[i] = (byte) (i >> 10);
            }
            Path raw = Files.write(directory.resolve("raw"), model);
            List<Object> arguments = new ArrayList<>(List.of("convert", "-O", "qcow2", raw, image));
            for (String word : kind.split(" ", -1)) {
                arguments.addAll(1, word.equals("-c") ? List.of(word) : List.of("-o", word));
            }
            Qemu.img(arguments.toArray());
        }
        int crew = 4;
        ExecutorService threads = Executors.newFixedThreadPool(crew);
        try (CowDevice device = Images.open(image, false)) {
            List<Future<?>> done = new ArrayList<>();
            for (int t = 0; t < crew; t++) {
                int mine = t;
                done.add(threads.submit(() -> {
                    change(device, model, block, mine, crew);
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
            ByteBuffer found = ByteBuffer.allocateDirect(size);
            device.read(0, found);
            assertThat(found.flip().mismatch(ByteBuffer.wrap(model))).isEqualTo(-1);
        }
    }

    private static void change(CowDevice device, byte[] model, int block, int mine, int crew) throws IOException {
        Random random = new Random(mine);
        ByteBuffer buffer = ByteBuffer.allocateDirect(block);
        byte[] bytes = new byte[block];
        for (int i = 0; i < 3000; i++) {
            int at = (random.nextInt(model.length / block / crew) * crew + mine) * block;
            if (random.nextInt(4) == 0) {
                device.discard(at, block);
                Arrays.fill(model, at, at + block, (byte) 0);
            } else {
                random.nextBytes(bytes);
                device.write(at, buffer.clear().put(bytes).flip());
                System.arraycopy(bytes, 0, model, at, block);
            }
            if (random.nextInt(200) == 0) {
                device.flush();
            }
        }
    }

    @Test
    void firstWriteFillsTheSubclustersThatItTouches() throws Exception {
        Qemu.require();
        byte[] bytes = new byte[1 << 20];
        Arrays.fill(bytes, (byte) 'b');
        Files.write(directory.resolve("base"), bytes);
        Path image = directory.resolve("vm.qcow2");
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", "base", "-o", "extended_l2=on", image);
        try (CowDevice device = Images.open(image, false)) {
            device.write(65536 + 3 * 2048 + 5, ByteBuffer.allocateDirect(10).put(0, (byte) 'x'));
            device.discard(65536 + 7 * 2048, 2048);
            device.discard(2 * 65536, 65536);
            device.write(65536 + 31 * 2048, ByteBuffer.allocateDirect(2048));
        }
        assertThat(extendedEntry(image, 1)[1]).isEqualTo(L2Entry.bitmap(1 << 3 | 1 << 31, 1 << 7));
        assertThat(extendedEntry(image, 2)).containsExactly(0, L2Entry.bitmap(0, L2Entry.ALL));
        Arrays.fill(bytes, 65536 + 3 * 2048 + 5, 65536 + 3 * 2048 + 15, (byte) 0);
        bytes[65536 + 3 * 2048 + 5] = 'x';
        Arrays.fill(bytes, 65536 + 7 * 2048, 65536 + 8 * 2048, (byte) 0);
        Arrays.fill(bytes, 65536 + 31 * 2048, 3 * 65536, (byte) 0);
        Path raw = directory.resolve("raw");
        Qemu.img("convert", "-O", "raw", image, raw);
        assertThat(Arrays.mismatch(Files.readAllBytes(raw), bytes)).isEqualTo(-1);

        try (CowDevice device = Images.open(image, false)) {
            device.discard(65536, 65536);
        }
        assertThat(extendedEntry(image, 1)).containsExactly(0, L2Entry.bitmap(0, L2Entry.ALL));
        assertThat(Qemu.run("qemu-img", "check", image).status()).isZero();
    }

    /** The L2 table names it still, and that it is to be let go of is in the log alone. */
    @Test
    void subclustersGetNoClusterThatIsLetGoOf() throws Exception {
        FaultFile file = new FaultFile(new byte[0]);
        Qcow2Format format = new Qcow2Format();
        format.create(file, 1 << 20, null, StoreOptions.NONE.withOwn(Map.of(ImageOptions.EXTENDED_L2, "on")));
        StoreContext context = new StoreContext(false, new UUID(1, 2), new GracePeriod(), false);
        try (ExceptionStore store = format.open(file, Path.of("vm.qcow2"), context)) {
            store.commit(0, 1, SlotRun.entry(store.allocate(0, 1)));
            store.flush();
            store.commit(0, 1, RemapEntry.ZERO);

            long again = SlotRun.slot(store.allocate(0, 1));
            store.flush();
            long other = SlotRun.slot(store.allocate(32, 1));

            assertThat(again >>> L2Entry.SUBCLUSTER_SHIFT).isNotEqualTo(other >>> L2Entry.SUBCLUSTER_SHIFT);
        }
    }

    @Test
    void snapshotOfAnImageWithSubclustersHasThem() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        Qemu.img("create", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=32k", image, 1 << 20);
        write(image, 5000);
        Images.snapshot(image, Optional.empty());
        write(image, 9000);
        assertThat(Qemu.img("info", image)).contains("extended l2: true", "cluster_size: 32768");
        assertThat(Qemu.run("qemu-img", "check", image).status()).isZero();
        assertThat(Images.info(image).details()).containsEntry(Qcow2Format.EXTENDED_L2, "true");
    }

    /** The layer keeps the data file, and what comes on top of it is an image as any. */
    @Test
    void snapshotOfAnImageWithADataFileLeavesItToTheLayer() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        Path data = directory.resolve("vm.data");
        Qemu.img("create", "-f", "qcow2", "-o", "data_file=" + data, image, 1 << 20);
        byte[] bytes = new byte[1 << 20];
        new Random(4).nextBytes(bytes);
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, ByteBuffer.allocateDirect(bytes.length).put(bytes).flip());
        }
        Images.snapshot(image, Optional.empty());
        byte[] frozen = Files.readAllBytes(data);
        write(image, 5000);
        Arrays.fill(bytes, 5000, 5000 + BLOCK, (byte) 0);
        assertThat(Files.readAllBytes(data)).isEqualTo(frozen);
        Path raw = directory.resolve("raw");
        Qemu.img("convert", "-O", "raw", image, raw);
        assertThat(Arrays.mismatch(Files.readAllBytes(raw), bytes)).isEqualTo(-1);
    }

    private static long[] extendedEntry(Path image, int cluster) throws IOException {
        ByteBuffer b = ByteBuffer.wrap(Files.readAllBytes(image));
        int l2 = (int) L1Entry.offset(b.getLong((int) Header.decode(b).l1TableOffset()));
        int at = l2 + cluster * L2Entry.EXTENDED_BYTES;
        return new long[] {b.getLong(at), b.getLong(at + L2Entry.BYTES)};
    }

    /** Version 2 cannot record zeros, so they take clusters, but no storage. */
    @Test
    void discardInVersion2HidesTheBaseWithHoles() throws Exception {
        Qemu.require();
        int size = 8 << 20;
        byte[] bytes = new byte[size];
        Arrays.fill(bytes, (byte) 'b');
        Files.write(directory.resolve("base"), bytes);
        Path image = directory.resolve("vm.qcow2");
        Qemu.img("create", "-f", "qcow2", "-F", "raw", "-b", "base", "-o", "compat=0.10", image);
        try (CowDevice device = Images.open(image, false)) {
            device.write(1 << 20, ByteBuffer.allocateDirect(1 << 20));
            device.discard(100, size - 100);
            device.discard(100, size - 100);
            device.flush();
            ByteBuffer found = ByteBuffer.allocateDirect(size);
            device.read(0, found);
            Arrays.fill(bytes, 100, size, (byte) 0);
            assertThat(found.flip().mismatch(ByteBuffer.wrap(bytes))).isEqualTo(-1);
            assertThat(device.allocatedBytes()).isLessThan(1 << 20);
        }
        assertThat(Qemu.run("qemu-img", "check", image).status()).isZero();
    }

    /** What was zeros for want of a base must hide the one that it gets. */
    @Test
    void version2ImageWithoutABaseKeepsItsZerosOnOne() throws Exception {
        Path image = create(65536, 1 << 20, 2);
        byte[] bytes = new byte[1 << 20];
        Path base = directory.resolve("base");
        Arrays.fill(bytes, (byte) 'b');
        Files.write(base, bytes);
        Arrays.fill(bytes, (byte) 0);
        Arrays.fill(bytes, 100_000, 300_000, (byte) 'x');
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, ByteBuffer.allocateDirect(bytes.length).put(bytes).flip());
            device.discard(0, 65536);
            device.discard(500_000, 300_000);
        }
        Images.rebase(image, Optional.of(base), bytesDone -> {});
        try (CowDevice device = Images.open(image, true)) {
            assertThat(device.info().base()).contains(base);
            ByteBuffer found = ByteBuffer.allocateDirect(bytes.length);
            device.read(0, found);
            assertThat(found.flip().mismatch(ByteBuffer.wrap(bytes))).isEqualTo(-1);
        }
        assertThat(Images.check(image).corruptions()).isEmpty();
    }

    /** Where a data file is read without the image it must not look longer than the disk, or hold what was discarded. */
    @Test
    void rawDataFileStaysAsLongAsTheDisk() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        Path data = directory.resolve("vm.data");
        int size = 65536 + 512;
        Qemu.img("create", "-f", "qcow2", "-o", "data_file_raw=on,data_file=" + data, image, size);
        // QEMU makes it as long as its clusters; who has a disk already, and refers to it, has it as long as the disk.
        try (FileChannel channel = FileChannel.open(data, StandardOpenOption.WRITE)) {
            channel.truncate(size);
        }
        byte[] bytes = new byte[size];
        new Random(3).nextBytes(bytes);
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, ByteBuffer.allocateDirect(size).put(bytes).flip());
            device.discard(65536, 512);
            device.write(size - 5, ByteBuffer.allocateDirect(5));
        }
        Arrays.fill(bytes, 65536, size, (byte) 0);
        assertThat(Files.size(data)).isEqualTo(size);
        assertThat(Arrays.mismatch(Files.readAllBytes(data), bytes)).isEqualTo(-1);
        assertThat(Header.decode(ByteBuffer.wrap(Files.readAllBytes(image))).hasRawExternalData())
                .isTrue();
    }

    @Test
    void dataFileIsSyncedBeforeTheImage() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        Qemu.img("create", "-f", "qcow2", "-o", "data_file=" + directory.resolve("vm.data"), image, 1 << 20);
        List<String> syncs = new ArrayList<>();
        PositionalFile file = noting(image, syncs);
        PositionalFile data = noting(directory.resolve("vm.data"), syncs);
        Qcow2Image found = Qcow2Image.read(file, image);
        StoreContext context = new StoreContext(false, new UUID(1, 2), new GracePeriod(), false);
        try (Qcow2Store store = new Qcow2Store(file, data, found, context, LogExtension.MAX_BYTES)) {
            long entry = SlotRun.entry(store.allocate(3, 1));
            store.write(entry, 0, ByteBuffer.allocateDirect(65536));
            store.commit(3, 1, entry);
            syncs.clear();
            store.flush();
            assertThat(syncs).containsExactly("vm.data", "vm.qcow2");
        }
    }

    private static PositionalFile noting(Path path, List<String> syncs) throws IOException {
        return new HookedFile(NativeFile.open(path, Libc.O_RDWR)).hook((call, offset, length) -> {
            if (call == HookedFile.Call.SYNC) {
                syncs.add(path.getFileName().toString());
            }
        });
    }

    @Test
    void entryThatNamesAnotherPlaceOfTheDataFileIsRefused() throws Exception {
        Qemu.require();
        Path image = directory.resolve("vm.qcow2");
        Path data = directory.resolve("vm.data");
        Qemu.img("create", "-f", "qcow2", "-o", "cluster_size=4k,data_file=" + data, image, 1 << 20);
        write(image, 0);
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        int l2 = (int) L1Entry.offset(b.getLong((int) Header.decode(b).l1TableOffset()));
        b.putLong(l2, L2Entry.COPIED | 2 * BLOCK);
        Files.write(image, bytes);
        byte[] before = Files.readAllBytes(data);

        CowDevice device = Images.open(image, false);
        assertThatThrownBy(
                        () -> device.write(0, ByteBuffer.allocateDirect(BLOCK).put(0, (byte) 1)))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("is impossible");
        device.close();
        assertThat(Files.readAllBytes(data)).isEqualTo(before);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void clusterThatIsMetadataIsNotWritten(int version) throws IOException {
        Path image = create(BLOCK, 1 << 20, version);
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

    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void metadataThatCountsAsFreeIsNotAllocated(int version) throws IOException {
        Path image = create(BLOCK, 1 << 20, version);
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

    /** The corrupt bit is all that was written, and from then on the image is read-only; version 2 has none. */
    private static void assertRefusedAndUnchangedBut(Path image, byte[] before) throws IOException {
        byte[] after = Files.readAllBytes(image);
        if (Header.decode(ByteBuffer.wrap(before)).version() == 2) {
            assertThat(Arrays.mismatch(Arrays.copyOf(after, before.length), before))
                    .isEqualTo(-1);
            return;
        }
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

    private Path create(int cluster, long size, int version) throws IOException {
        Path image = directory.resolve("new.qcow2");
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(size), cluster, "qcow2"));
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer.wrap(bytes).putInt(Header.VERSION_AT, version);
        Files.write(image, bytes);
        return image;
    }
}
