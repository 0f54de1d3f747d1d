package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CheckReport;
import io.ucow.store.FaultFile;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import io.ucow.store.RepairReport;
import io.ucow.store.RepairReport.LostRange;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Images that were damaged in a known way: what is kept, what is lost, and that QEMU finds nothing wrong afterwards. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class Qcow2RepairTest {
    private static final int CLUSTER = 4096;
    private static final int SIZE = 1 << 20;
    private static final UUID BOOT = new UUID(1, 2);
    private static final int VARIANTS = Integer.getInteger("ucow.powerloss.variants", 3);

    @TempDir
    Path directory;

    private Path image;
    private byte[] model;
    /** The image's file, to be damaged. */
    private byte[] bytes;

    @BeforeAll
    static void needs() {
        Qemu.require();
    }

    /** Guest cluster n of the first 100 is full of bytes n + 1. */
    private ByteBuffer make(String options) throws Exception {
        image = directory.resolve("vm.qcow2");
        Path raw = directory.resolve("raw");
        model = new byte[SIZE];
        for (int i = 0; i < 100; i++) {
            Arrays.fill(model, i * CLUSTER, (i + 1) * CLUSTER, (byte) (i + 1));
        }
        Files.write(raw, model);
        Qemu.img("convert", "-O", "qcow2", "-o", options, raw, image);
        return reread();
    }

    private ByteBuffer reread() throws IOException {
        bytes = Files.readAllBytes(image);
        return ByteBuffer.wrap(bytes);
    }

    private ByteBuffer make() throws Exception {
        return make("cluster_size=4k");
    }

    private static int l2(ByteBuffer b) {
        return (int) L1Entry.offset(b.getLong((int) Header.decode(b).l1TableOffset()));
    }

    private static int block(ByteBuffer b) {
        return (int) b.getLong((int) Header.decode(b).refcountTableOffset());
    }

    private RepairReport repair() throws Exception {
        Files.write(image, bytes);
        RepairReport report = Images.repair(image);
        assertThat(report.obstacle()).isEmpty();
        Qemu.Result judged = Qemu.run("qemu-img", "check", image);
        assertThat(judged.status()).as(judged.output()).isZero();
        CheckReport now = Images.check(image);
        assertThat(now.corruptions()).isEmpty();
        assertThat(now.leakedBytes()).isZero();
        return report;
    }

    private void assertHolds(byte[] expected) throws IOException {
        try (Origin origin = Images.openContent(image)) {
            ByteBuffer all = ByteBuffer.allocateDirect(SIZE);
            origin.read(all, 0);
            assertThat(all.flip().mismatch(ByteBuffer.wrap(expected))).isEqualTo(-1);
        }
    }

    private void lose(int guestCluster) {
        Arrays.fill(model, guestCluster * CLUSTER, (guestCluster + 1) * CLUSTER, (byte) 0);
    }

    @Test
    void soundImageStaysAsItIs() throws Exception {
        make();
        RepairReport report = repair();
        assertThat(report.metadataCopy()).isEmpty();
        assertThat(report.remarks()).isEmpty();
        // Opened for writing it has given nothing up.
        assertHolds(model);
    }

    @Test
    void leaksAreGivenBackInPlace() throws Exception {
        ByteBuffer b = make();
        int end = bytes.length / CLUSTER;
        bytes = Arrays.copyOf(bytes, bytes.length + 10 * CLUSTER);
        for (int i = 0; i < 10; i++) {
            ByteBuffer.wrap(bytes).putShort(block(b) + 2 * (end + i), (short) 1);
        }
        RepairReport report = repair();
        assertThat(report.found().leakedBytes()).isEqualTo(10L * CLUSTER);
        assertThat(report.metadataCopy()).isEmpty();
        assertHolds(model);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=4k",
                "cluster_size=4k,compat=0.10",
                "cluster_size=4k,refcount_bits=1",
                "cluster_size=512,refcount_bits=64",
                "cluster_size=16k,extended_l2=on",
                "cluster_size=2M,lazy_refcounts=on",
            })
    void refcountsAreMadeAnew(String options) throws Exception {
        ByteBuffer b = make(options);
        Header header = Header.decode(b);
        int cluster = header.clusterSize();
        int block = block(b);
        int counts = ((bytes.length / cluster) << header.refcountOrder()) / 8;
        byte[] random = new byte[Math.max(1, Math.min(cluster, counts))];
        new Random(1).nextBytes(random);
        System.arraycopy(random, 0, bytes, block, random.length);
        RepairReport report = repair();
        assertThat(report.lost()).isEmpty();
        assertThat(report.metadataCopy()).contains(directory.resolve("vm.qcow2.metadata-1"));
        assertHolds(model);
    }

    @ParameterizedTest
    @ValueSource(longs = {0x1234, 1L << 40, -1, 1L << 62, 0})
    void refcountTableThatIsNoneIsMadeAnew(long place) throws Exception {
        ByteBuffer b = make();
        b.putLong(Header.REFCOUNT_TABLE_OFFSET_AT, place);
        RepairReport report = repair();
        assertThat(report.lost()).isEmpty();
        assertHolds(model);
    }

    @Test
    void marksGoWhenAllIsRepaired() throws Exception {
        ByteBuffer b = make();
        Arrays.fill(bytes, block(b), block(b) + CLUSTER, (byte) 0);
        b.putLong(Header.INCOMPATIBLE_AT, Header.DIRTY | Header.CORRUPT);
        assertThat(repair().remarks()).hasSize(2);
        assertHolds(model);
        ByteBuffer sound = reread();
        sound.putLong(Header.INCOMPATIBLE_AT, Header.DIRTY);
        RepairReport report = repair();
        assertThat(report.remarks()).containsExactly("It is not marked as dirty any more.");
        assertThat(report.metadataCopy()).isEmpty();
    }

    @Test
    void clusterThatTwoHaveIsLostToBoth() throws Exception {
        ByteBuffer b = make();
        b.putLong(l2(b) + 8 * 20, b.getLong(l2(b) + 8 * 30));
        RepairReport report = repair();
        assertThat(report.lost())
                .containsExactly(new LostRange(20 * CLUSTER, CLUSTER), new LostRange(30 * CLUSTER, CLUSTER));
        lose(20);
        lose(30);
        assertHolds(model);
    }

    @Test
    void ownerOfAClusterIsToldByItsMark() throws Exception {
        ByteBuffer b = make();
        b.putLong(l2(b) + 8 * 20, b.getLong(l2(b) + 8 * 30) & ~L2Entry.COPIED);
        assertThat(repair().lost()).containsExactly(new LostRange(20 * CLUSTER, CLUSTER));
        lose(20);
        assertHolds(model);
    }

    @Test
    void markedOnceMoreIsMended() throws Exception {
        ByteBuffer b = make();
        for (int i = 10; i < 20; i++) {
            b.putLong(l2(b) + 8 * i, b.getLong(l2(b) + 8 * i) ^ L2Entry.COPIED);
        }
        b.putLong(l2(b) + 8 * 40, b.getLong(l2(b) + 8 * 40) | 1L << 57);
        assertThat(repair().lost()).isEmpty();
        assertHolds(model);
    }

    @ParameterizedTest
    @ValueSource(longs = {1L << 63 | 1L << 50, 1L << 63 | 0x5200, 1L << 62 | 1L << 50, 1L << 63})
    void entryThatCannotBeIsLost(long entry) throws Exception {
        ByteBuffer b = make();
        b.putLong(l2(b) + 8 * 20, entry);
        RepairReport report = repair();
        // A mark without a place says nothing: it is what it was before it was written to.
        assertThat(report.lost().size()).isEqualTo(L2Entry.offset(entry) == 0 ? 0 : 1);
        lose(20);
        assertHolds(model);
    }

    @Test
    void guestsClusterDoesNotBecomeATable() throws Exception {
        ByteBuffer b = make("cluster_size=512");
        int l1 = (int) Header.decode(b).l1TableOffset();
        // Of 64 clusters each; the one that the first table is said to be at is full of 2.
        b.putLong(l1, L1Entry.COPIED | L2Entry.offset(b.getLong((int) L1Entry.offset(b.getLong(l1 + 8)))));
        RepairReport report = repair();
        assertThat(report.lost()).containsExactly(new LostRange(0, 32768));
        Arrays.fill(model, 0, 32768, (byte) 0);
        assertHolds(model);
    }

    @Test
    void tableDoesNotBecomeAGuestsCluster() throws Exception {
        ByteBuffer b = make();
        b.putLong(l2(b) + 8 * 20, L2Entry.COPIED | l2(b));
        assertThat(repair().lost()).containsExactly(new LostRange(20 * CLUSTER, CLUSTER));
        lose(20);
        assertHolds(model);
    }

    @Test
    void tableIsNotOfTwoPlaces() throws Exception {
        ByteBuffer b = make("cluster_size=512");
        int l1 = (int) Header.decode(b).l1TableOffset();
        b.putLong(l1, b.getLong(l1 + 16));
        assertThat(repair().lost()).containsExactly(new LostRange(0, 32768), new LostRange(65536, 32768));
        Arrays.fill(model, 0, 32768, (byte) 0);
        Arrays.fill(model, 65536, 98304, (byte) 0);
        assertHolds(model);
    }

    @Test
    void snapshotsAreKept() throws Exception {
        make();
        Qemu.img("snapshot", "-c", "one", image);
        Qemu.io(image, List.of("write -P 200 40k 40k"));
        ByteBuffer b = reread();
        // What the snapshot shares counts once, and belongs to the disk alone.
        for (int i = 0; i < CLUSTER / 2; i++) {
            b.putShort(block(b) + 2 * i, (short) Math.min(1, b.getShort(block(b) + 2 * i)));
        }
        b.putLong(l2(b), b.getLong(l2(b)) | L2Entry.COPIED);
        assertThat(repair().lost()).isEmpty();
        byte[] now = model.clone();
        Arrays.fill(now, 40 << 10, 80 << 10, (byte) 200);
        assertHolds(now);
        Path before = directory.resolve("before");
        Qemu.img("convert", "-l", "one", "-O", "raw", image, before);
        assertThat(Arrays.mismatch(Files.readAllBytes(before), model)).isEqualTo(-1);
    }

    @Test
    void lossInASnapshotIsNamed() throws Exception {
        make();
        Qemu.img("snapshot", "-c", "one", image);
        Qemu.io(image, List.of("write -P 200 0 64k"));
        ByteBuffer b = reread();
        SnapshotEntry snapshot = SnapshotEntry.decode(
                b.duplicate().position((int) Header.decode(b).snapshotsOffset()), "");
        int old = (int) L1Entry.offset(b.getLong((int) snapshot.l1TableOffset()));
        b.putLong(old + 8 * 3, 1L << 50);
        RepairReport report = repair();
        assertThat(report.lost()).containsExactly(new LostRange(3 * CLUSTER, CLUSTER, "one"));
        Arrays.fill(model, 0, 65536, (byte) 200);
        assertHolds(model);
    }

    @Test
    void compressedClustersAreKept() throws Exception {
        make();
        Path packed = directory.resolve("packed.qcow2");
        Qemu.img("convert", "-c", "-O", "qcow2", "-o", "cluster_size=4k", image, packed);
        Files.copy(packed, image, StandardCopyOption.REPLACE_EXISTING);
        ByteBuffer b = reread();
        Arrays.fill(bytes, block(b), block(b) + 64, (byte) 0);
        assertThat(repair().lost()).isEmpty();
        assertHolds(model);
    }

    @Test
    void subclustersThatCannotBeAreLostAlone() throws Exception {
        ByteBuffer b = make("cluster_size=16k,extended_l2=on");
        long bitmap = b.getLong(l2(b) + 8);
        assertThat((int) bitmap).isEqualTo(-1);
        b.putLong(l2(b) + 8, bitmap | 1L << 36);
        assertThat(repair().lost()).containsExactly(new LostRange(4 * 512, 512));
        Arrays.fill(model, 4 * 512, 5 * 512, (byte) 0);
        assertHolds(model);
    }

    @Test
    void bitmapsOfALostClusterAreOutOfDate() throws Exception {
        make();
        Qemu.img("bitmap", "--add", "-g", "4k", image, "backup");
        Qemu.io(image, List.of("write -P 9 0 4k"));
        Arrays.fill(model, 0, CLUSTER, (byte) 9);
        ByteBuffer b = reread();
        b.putLong(l2(b) + 8 * 50, L2Entry.COPIED | 1L << 50);
        assertThat(repair().remarks().toString()).contains("bitmaps");
        lose(50);
        assertHolds(model);
    }

    @Test
    void metadataCanBePutBack() throws Exception {
        ByteBuffer b = make();
        b.putLong(l2(b) + 8 * 20, b.getLong(l2(b) + 8 * 30));
        Path copy = repair().metadataCopy().orElseThrow();
        Qemu.Result dd = Qemu.run("dd", "if=" + copy, "of=" + image, "bs=4096", "conv=notrunc,sparse");
        assertThat(dd.status()).as(dd.output()).isZero();
        byte[] now = Files.readAllBytes(image);
        assertThat(Arrays.mismatch(Arrays.copyOf(now, b.capacity()), bytes)).isEqualTo(-1);
    }

    @Test
    void whatCannotBeToldIsRefusedAndUnchanged() throws Exception {
        make();
        Qemu.img("snapshot", "-c", "one", image);
        ByteBuffer b = reread();
        b.putLong((int) Header.decode(b).snapshotsOffset(), Header.decode(b).l1TableOffset());
        Files.write(image, bytes);
        RepairReport report = Images.repair(image);
        assertThat(report.obstacle().orElseThrow()).contains("snapshot '1' L1 table", "is where something else is");
        assertThat(Files.readAllBytes(image)).isEqualTo(bytes);
        assertThat(directory.resolve("vm.qcow2.metadata-1")).doesNotExist();
    }

    /** Cut at every write and sync: the old image or the repaired one, and a second repair ends where the first would have. */
    @Test
    void mayEndAtAnyPoint() throws Exception {
        ByteBuffer b = make("cluster_size=512");
        int l1 = (int) Header.decode(b).l1TableOffset();
        int l2 = (int) L1Entry.offset(b.getLong(l1 + 8));
        b.putLong(l1, b.getLong(l1 + 16));
        b.putLong(l2, b.getLong(l2 + 8));
        b.putLong(Header.INCOMPATIBLE_AT, Header.DIRTY);
        Arrays.fill(bytes, block(b) + 40, block(b) + 80, (byte) 0);
        FaultFile file = new FaultFile(bytes);
        List<LostRange> lost = repair(file).lost();
        assertThat(lost).hasSize(2);
        assertThat(file.eventCount()).isGreaterThan(8);
        Random random = new Random(3);
        for (int cut = 0; cut <= file.eventCount(); cut++) {
            requireOldOrRepaired(file.killedAt(cut), bytes, lost);
            for (int v = 0; v < VARIANTS; v++) {
                requireOldOrRepaired(file.powerLostAt(cut, random), bytes, lost);
            }
        }
    }

    private static RepairReport repair(FaultFile file) throws IOException {
        Path name = Path.of("/vm.qcow2");
        return new Qcow2Format().repair(file, name, BOOT, content -> {
            content.writeTo(new FaultFile(new byte[0]));
            return name;
        });
    }

    private static void requireOldOrRepaired(byte[] bytes, byte[] old, List<LostRange> lost) throws IOException {
        FaultFile file = new FaultFile(bytes);
        RepairReport report = repair(file);
        assertThat(report.obstacle()).isEmpty();
        if (!report.found().isSound()) {
            assertThat(Arrays.mismatch(Arrays.copyOf(bytes, old.length), old)).isEqualTo(-1);
            assertThat(report.lost()).isEqualTo(lost);
        }
        CheckReport now = new Qcow2Format().check(file, Path.of("/vm.qcow2"), BOOT);
        assertThat(now.corruptions()).isEmpty();
        assertThat(now.leakedBytes()).isZero();
        assertThat(Qcow2Image.read(file, Path.of("/vm.qcow2")).header().incompatibleFeatures())
                .isZero();
    }
}
