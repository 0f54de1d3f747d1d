package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Flattening;
import io.ucow.store.GracePeriod;
import io.ucow.store.HookedFile;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a killed process leaves in the log, to the next one and to QEMU. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class PendingLogTest {
    private static final int SIZE = 8 << 20;
    private static final int BLOCK = 4096;
    private static final int SOUND = 0, LEAKS = 3;

    @TempDir
    Path directory;

    private final Random random = new Random(3);
    private byte[] model;
    private Path image;

    @BeforeEach
    void makeBase() throws IOException {
        Qemu.require();
        model = new byte[SIZE];
        random.nextBytes(model);
        Files.write(directory.resolve("base.raw"), model);
        image = directory.resolve("vm.qcow2");
    }

    private void create(Object... options) throws Exception {
        List<Object> arguments = new ArrayList<>(List.of("create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base.raw"));
        arguments.addAll(List.of(options));
        arguments.add(image);
        Qemu.img(arguments.toArray());
    }

    private void change(CowDevice device, int times) throws IOException {
        for (int i = 0; i < times; i++) {
            int length = BLOCK * (1 + random.nextInt(8));
            int offset = BLOCK * random.nextInt((SIZE - length) / BLOCK);
            byte[] bytes = new byte[length];
            if (random.nextInt(4) == 0) {
                device.discard(offset, length);
            } else {
                random.nextBytes(bytes);
                device.write(
                        offset, ByteBuffer.allocateDirect(length).put(bytes).flip());
            }
            System.arraycopy(bytes, 0, model, offset, length);
        }
    }

    /** Changes the image as a process that is killed before any flush, which leaves the file as it is then. */
    private void changeAndDie() throws Exception {
        Path killed = directory.resolve("killed");
        try (CowDevice device = Images.open(image, false)) {
            change(device, 100);
            Files.copy(image, killed);
        }
        Files.move(killed, image, StandardCopyOption.REPLACE_EXISTING);
    }

    private void assertHolds(byte[] expected) throws IOException {
        try (CowDevice device = Images.open(image, true)) {
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, SIZE), expected))
                    .isEqualTo(-1);
        }
    }

    private long autoclear() throws IOException {
        return ByteBuffer.wrap(Files.readAllBytes(image)).getLong(Header.AUTOCLEAR_AT);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "cluster_size=64k",
                "cluster_size=4k",
                "cluster_size=512",
                "cluster_size=2M",
                "cluster_size=128k,extended_l2=on",
                "cluster_size=64k,data_file=DIR/data",
                "cluster_size=16k,extended_l2=on,data_file=DIR/data"
            })
    void nextProcessFindsWhatNoTableHas(String options) throws Exception {
        create("-o", options.replace("DIR", directory.toString()));
        for (int life = 0; life < 3; life++) {
            changeAndDie();
            assertThat(autoclear()).isEqualTo(Header.PENDING_LOG);
            assertThat(Images.check(image).corruptions()).isEmpty();
            assertThat(Qemu.run("qemu-img", "check", image).status()).isIn(SOUND, LEAKS);
            // Looking at it takes nothing away.
            assertThat(autoclear()).isEqualTo(Header.PENDING_LOG);
            assertHolds(model);
        }
        try (CowDevice device = Images.open(image, false)) {
            change(device, 10);
        }
        assertCleanlyClosed();
    }

    /** Where one subcluster gets another cluster, all that the old one holds gets it, too, also what no record names. */
    @Test
    void nextProcessFindsSubclustersThatWereBroughtAlong() throws Exception {
        create("-o", "cluster_size=128k,extended_l2=on");
        Qemu.io(image, List.of("write -c -P 7 1M 4M"));
        Arrays.fill(model, 1 << 20, 5 << 20, (byte) 7);
        try (CowDevice device = Images.open(image, false)) {
            change(device, 50);
        }
        Qemu.img("snapshot", "-c", "before", image);
        byte[] before = model.clone();
        for (int life = 0; life < 3; life++) {
            changeAndDie();
            assertThat(Images.check(image).corruptions()).isEmpty();
            assertHolds(model);
        }
        try (CowDevice device = Images.open(image, false)) {
            change(device, 10);
        }
        assertCleanlyClosed();
        assertThat(Qemu.run("qemu-img", "check", image).status()).isIn(SOUND, LEAKS);
        Qemu.img("snapshot", "-a", "before", image);
        assertHolds(before);
    }

    /** By who has no need of the data file otherwise, or has it open to read. */
    @ParameterizedTest
    @ValueSource(strings = {"repair", "commit"})
    void logOfAnImageWithADataFileIsSettled(String verb) throws Exception {
        create("-o", "data_file=" + directory.resolve("data"));
        changeAndDie();

        if (verb.equals("repair")) {
            assertThat(Images.repair(image).obstacle()).isEmpty();
        } else {
            Images.commit(image, bytesDone -> {});
        }

        assertThat(Qemu.run("qemu-img", "check", image).status()).isEqualTo(SOUND);
        assertCleanlyClosed();
    }

    private void assertCleanlyClosed() throws Exception {
        assertThat(autoclear()).isZero();
        Path raw = directory.resolve("raw");
        Qemu.img("convert", "-O", "raw", image, raw);
        assertThat(Arrays.mismatch(Files.readAllBytes(raw), model)).isEqualTo(-1);
        assertThat(Qemu.img("info", image)).contains("backing file: base.raw", "backing file format: raw");
        assertHolds(model);
    }

    @Test
    void cleanCloseLeavesNothingBehind() throws Exception {
        create();
        byte[] before = Arrays.copyOf(Files.readAllBytes(image), 112);
        try (CowDevice device = Images.open(image, false)) {
            change(device, 100);
        }
        assertCleanlyClosed();
        assertThat(Qemu.run("qemu-img", "check", image).status()).isEqualTo(SOUND);
        ByteBuffer after = ByteBuffer.wrap(Files.readAllBytes(image), 0, 65536);
        // The name may have moved.
        after.putLong(8, ByteBuffer.wrap(before).getLong(8));
        assertThat(Arrays.mismatch(Arrays.copyOf(after.array(), 112), before)).isEqualTo(-1);
        assertThat(LogExtension.isNamed(after, Header.decode(after))).isFalse();
    }

    /** An image that nobody has opened since its process was killed. */
    private void createAndDie() throws Exception {
        create();
        changeAndDie();
        assertThat(autoclear()).isEqualTo(Header.PENDING_LOG);
    }

    /** To QEMU, which knows nothing of a log. */
    private void assertQemuHas(byte[] expected, Path disk) throws Exception {
        Path raw = directory.resolve("raw");
        Qemu.img("convert", "-O", "raw", disk, raw);
        assertThat(Arrays.mismatch(Files.readAllBytes(raw), expected)).isEqualTo(-1);
        assertThat(Qemu.run("qemu-img", "check", disk).status()).isIn(SOUND, LEAKS);
    }

    @Test
    void commitOfAKilledImage() throws Exception {
        createAndDie();
        Images.commit(image, n -> {});
        assertThat(Arrays.mismatch(Files.readAllBytes(directory.resolve("base.raw")), model))
                .isEqualTo(-1);
        assertCleanlyClosed();
        assertQemuHas(model, image);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void rebaseOfAKilledImage(boolean unsafe) throws Exception {
        createAndDie();
        Path other = directory.resolve("other.raw");
        if (unsafe) {
            Files.move(directory.resolve("base.raw"), other);
            Images.rebaseUnsafely(image, Optional.of(other));
        } else {
            byte[] bytes = new byte[SIZE / 2];
            random.nextBytes(bytes);
            Files.write(other, bytes);
            Images.rebase(image, Optional.of(other), n -> {});
        }
        assertThat(autoclear()).isZero();
        assertQemuHas(model, image);
        assertHolds(model);
    }

    @Test
    void repairOfAKilledImage() throws Exception {
        createAndDie();
        assertThat(Images.repair(image).obstacle()).isEmpty();
        assertCleanlyClosed();
        assertThat(Qemu.run("qemu-img", "check", image).status()).isEqualTo(SOUND);
    }

    @ParameterizedTest
    @ValueSource(ints = {SIZE / 2, SIZE + (3 << 20)})
    void resizeOfAKilledImage(int size) throws Exception {
        createAndDie();
        Images.resize(image, size, true);
        assertThat(autoclear()).isZero();
        assertQemuHas(Arrays.copyOf(model, size), image);
    }

    @Test
    void snapshotOfAKilledImage() throws Exception {
        createAndDie();
        Path layer = Images.snapshot(image, Optional.empty());
        assertThat(autoclear()).isZero();
        assertQemuHas(model, layer);
        assertQemuHas(model, image);
    }

    /** It reads, so the log stays. */
    @Test
    void flatteningOfAKilledImage() throws Exception {
        createAndDie();
        Path flat = directory.resolve("flat.qcow2");
        try (CowDevice device = Images.open(image, true)) {
            Flattening.toImage(device, flat, Qcow2Format.NAME, StoreOptions.NONE, Optional.empty(), n -> {});
        }
        assertQemuHas(model, flat);
        assertThat(autoclear()).isEqualTo(Header.PENDING_LOG);
        assertHolds(model);
    }

    /** Else a write that is repeated after a kill takes the base for what it has to copy, and hides what was acknowledged. */
    @Test
    void lookupWhileATableIsLoadedSeesWhatIsPending() throws Exception {
        create("-o", "cluster_size=128k"); // of which a table is read in two parts
        Path killed = directory.resolve("killed");
        NativeFile own = NativeFile.open(image, Libc.O_RDWR);
        try (CowDevice device = TestDevices.open(new Qcow2Format(), own, TestDevices.origin(model), TestDevices.BOOT)) {
            device.write(0, ByteBuffer.allocateDirect(BLOCK));
            Files.copy(image, killed);
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(killed));
        long table = L1Entry.offset(bytes.getLong((int) Header.decode(bytes).l1TableOffset()));
        HookedFile file = new HookedFile(NativeFile.open(killed, Libc.O_RDONLY));
        StoreContext context = new StoreContext(true, TestDevices.BOOT, new GracePeriod(), false);
        List<FutureTask<Long>> seen = new ArrayList<>();
        try (Qcow2Store store = new Qcow2Store(file, file, Qcow2Image.read(file, killed), context, 0)) {
            file.hook((call, offset, length) -> {
                if (offset == table + 65536) {
                    FutureTask<Long> found = new FutureTask<>(() -> store.lookup(0));
                    Thread reader = new Thread(found);
                    reader.start();
                    while (reader.isAlive() && reader.getState() != Thread.State.WAITING) {
                        Thread.onSpinWait();
                    }
                    seen.add(found);
                }
            });
            store.lookup(1);
            assertThat(seen).hasSize(1);
            assertThat(RemapEntry.isSlot(seen.get(0).get(10, TimeUnit.SECONDS))).isTrue();
        }
    }

    /** It opens the image for writing, clears the bit, and the log is void: what was not flushed is lost, and no more. */
    @Test
    void logIsVoidOnceQemuHasWritten() throws Exception {
        create();
        byte[] flushed;
        Path killed = directory.resolve("killed");
        try (CowDevice device = Images.open(image, false)) {
            change(device, 100);
            device.flush();
            flushed = model.clone();
            device.discard(0, 1 << 20);
            Files.copy(image, killed);
        }
        Files.move(killed, image, StandardCopyOption.REPLACE_EXISTING);
        Qemu.io(image, List.of("write -P 7 1M 64k"));
        Arrays.fill(flushed, 1 << 20, (1 << 20) + 65536, (byte) 7);
        assertThat(autoclear()).isZero();
        assertHolds(flushed);
        model = flushed;
        try (CowDevice device = Images.open(image, false)) {
            change(device, 100);
        }
        assertCleanlyClosed();
        assertThat(Qemu.run("qemu-img", "check", image).status()).isIn(SOUND, LEAKS);
    }

    /** The name of the backing file takes all that the header's cluster has: then each first write waits for a sync. */
    @Test
    void headerWithoutRoom() throws Exception {
        String name = "b".repeat(200);
        Files.write(directory.resolve(name), model);
        Qemu.img("create", "-q", "-f", "qcow2", "-o", "cluster_size=512", "-F", "raw", "-b", name, image);
        changeAndDie();
        assertThat(autoclear()).isZero();
        assertHolds(model);
        try (CowDevice device = Images.open(image, false)) {
            change(device, 100);
        }
        assertThat(Qemu.run("qemu-img", "check", image).status()).isIn(SOUND, LEAKS);
        assertHolds(model);
    }

    /** As docs/FORMAT.md has it. */
    @Test
    void layout() throws IOException {
        FaultFile created = new FaultFile(new byte[0]);
        new Qcow2Format().create(created, 1 << 20, null, StoreOptions.ofChunk(1 << 12));
        byte[] bytes = Arrays.copyOf(created.killedAt(created.eventCount()), 8 * BLOCK + 512);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        b.putLong(88, 1L << 63).putInt(112, 0x75636f77).putInt(116, 48);
        b.putLong(120, 8 * BLOCK)
                .putInt(128, 512)
                .putLong(136, 0x1111)
                .putLong(144, 0x2222)
                .putLong(152, 0x5a17);
        b.putInt(164, crc(b, 120, 44, 0));
        putRecord(b, 0, 18, 0, 0, 0);
        putRecord(b, 1 + 18 % 15, 18, 7, RemapEntry.slot(5), 2);
        putRecord(b, 1 + 20 % 15, 20, 9, RemapEntry.ZERO, 1);
        // Of a number below the head, and one that is damaged.
        putRecord(b, 1 + 17 % 15, 17, 1, RemapEntry.ZERO, 1);
        putRecord(b, 1 + 19 % 15, 19, 1, RemapEntry.ZERO, 1);
        b.put(8 * BLOCK + (1 + 19 % 15) * 32 + 20, (byte) 1);
        FaultFile file = new FaultFile(bytes);
        Qcow2Image header = Qcow2Image.read(file, Path.of("x"));

        try (PendingLog log = PendingLog.left(file, header, new UUID(0x1111, 0x2222))) {
            assertThat(log.place()).isEqualTo(new LogExtension(8 * BLOCK, 512, new UUID(0x1111, 0x2222), 0x5a17));
            assertThat(log.capacity()).isEqualTo(15);
            assertThat(log.head()).isEqualTo(18);
            assertThat(log.next()).isEqualTo(21);
            assertThat(log.chunk(18)).isEqualTo(7);
            assertThat(log.entry(18)).isEqualTo(RemapEntry.slot(5));
            assertThat(log.count(18)).isEqualTo(2);
            assertThat(log.chunk(19)).isEqualTo(-1);
            assertThat(log.chunk(20)).isEqualTo(9);
        }
        assertThat(PendingLog.left(file, header, new UUID(0x1111, 0x2223))).isNull();
    }

    private static void putRecord(ByteBuffer b, int place, long number, long chunk, long entry, int count) {
        int at = 8 * BLOCK + place * 32;
        b.putLong(at, number).putLong(at + 8, chunk).putLong(at + 16, entry).putInt(at + 24, count);
        b.putInt(at + 28, crc(b, at, 28, 0x5a17));
    }

    /** Of bytes, and of the salt behind them if it is not 0. */
    private static int crc(ByteBuffer b, int at, int length, long salt) {
        CRC32C crc = new CRC32C();
        crc.update(b.slice(at, length));
        if (salt != 0) {
            crc.update(ByteBuffer.allocate(Long.BYTES).putLong(0, salt).array());
        }
        return (int) crc.getValue();
    }

    /** A record that cannot be makes the image one that is not opened: whoever wrote it is not to be trusted. */
    @Test
    void recordThatCannotBeIsRefused() throws Exception {
        create("-o", "cluster_size=4k");
        changeAndDie();
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer b = ByteBuffer.wrap(bytes);
        LogExtension place;
        NativeFile file = NativeFile.open(image, Libc.O_RDONLY);
        try (file) {
            place = LogExtension.read(file, Qcow2Image.read(file, image));
        }
        int at = (int) place.offset() + 2 * 32;
        b.putLong(at + 8, SIZE / BLOCK);
        CRC32C crc = new CRC32C();
        crc.update(bytes, at, 28);
        crc.update(ByteBuffer.allocate(Long.BYTES).putLong(0, place.salt()).array());
        b.putInt(at + 28, (int) crc.getValue());
        Files.write(image, bytes);

        assertThatThrownBy(() -> Images.open(image, false))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageContaining("record 1 of the log of pending entries is impossible");
    }

    /** Whoever finds the log full, or half full, writes the tables, while others go on. */
    @Test
    void logThatIsFullIsWrittenToTheTables() throws Exception {
        create("-o", "cluster_size=4k");
        int crew = 4;
        Origin base = TestDevices.origin(model.clone());
        NativeFile file = NativeFile.open(image, Libc.O_RDWR);
        ExecutorService threads = Executors.newFixedThreadPool(crew);
        try (CowDevice device = TestDevices.open(new Qcow2Format(BLOCK), file, base, TestDevices.BOOT)) {
            List<Future<?>> done = new ArrayList<>();
            for (int t = 0; t < crew; t++) {
                int mine = t;
                done.add(threads.submit(() -> {
                    writeEach(device, mine, crew);
                    return null;
                }));
            }
            for (Future<?> f : done) {
                f.get();
            }
        } finally {
            threads.shutdownNow();
        }
        assertCleanlyClosed();
        assertThat(Qemu.run("qemu-img", "check", image).status()).isEqualTo(SOUND);
    }

    private void writeEach(CowDevice device, int first, int step) throws IOException {
        Random own = new Random(first);
        ByteBuffer block = ByteBuffer.allocateDirect(BLOCK);
        for (int at = first * BLOCK; at < SIZE; at += step * BLOCK) {
            byte[] bytes = new byte[BLOCK];
            own.nextBytes(bytes);
            device.write(at, block.clear().put(bytes).flip());
            System.arraycopy(bytes, 0, model, at, BLOCK);
        }
    }
}
