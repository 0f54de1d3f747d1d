package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.format.DeltaHeader;
import io.ucow.store.format.DeltaRecord;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Changes since a layer, and streams of them from one directory, a host, to another. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class DeltaTest {
    private static final int BYTES = 400_000;

    @TempDir
    Path root;

    private Path here;
    private Path there;
    private Path image;
    private Path copy;
    private byte[] model;
    private Random random = new Random(5);

    private record Range(long offset, long length) {}

    @BeforeEach
    void makeHosts() throws IOException {
        here = Files.createDirectory(root.resolve("here"));
        there = Files.createDirectory(root.resolve("there"));
        image = here.resolve("vm.cow");
        copy = there.resolve("copy.cow");
    }

    private void makeImage(int chunkBytes) throws IOException {
        model = new byte[BYTES];
        random.nextBytes(model);
        Arrays.fill(model, 100_000, 180_000, (byte) 0);
        Path base = Files.write(here.resolve("base.img"), model);
        Images.create(new CreateOptions(image, Optional.of(base), OptionalLong.empty(), chunkBytes, "ucow"));
    }

    /** Weeks of a disk that is written to, grows and shrinks, and is exported after each snapshot. */
    @ParameterizedTest
    @ValueSource(ints = {12, 13, 15, 16, 18, 20})
    void copyFollowsItsOriginal(int shift) throws IOException {
        random = new Random(shift);
        makeImage(1 << shift);
        Path last = snapshot();
        importAll(export(last, Optional.empty()));
        byte[] before = model.clone();
        assertHolds(copy, model);
        for (int week = 0; week < 8; week++) {
            change();
            if (random.nextInt(3) == 0) {
                resize(1 + random.nextInt(BYTES * 2));
                change();
            }
            if (random.nextInt(3) == 0) {
                snapshot(); // one that is not exported by itself, and may be smaller than what is below it and on it
                if (random.nextBoolean()) {
                    resize(1 + random.nextInt(BYTES * 2));
                }
                change();
            }
            Path next = snapshot();
            assertChangesCover(changes(next, last), before, model);
            assertThat(changes(image, last)).isEqualTo(changes(next, last));
            byte[] stream = export(next, Optional.of(last));
            Path layer = importOnto(stream);
            assertHolds(copy, model);
            assertHolds(layer, before);
            assertThat(Images.check(copy).isSound()).isTrue();
            assertThat(Images.contentId(copy)).isEqualTo(Images.contentId(next)).isPresent();
            before = model.clone();
            last = next;
        }
    }

    private static void assertChangesCover(List<Range> changes, byte[] before, byte[] now) {
        byte[] expected = Arrays.copyOf(before, now.length);
        long end = -1;
        for (Range range : changes) {
            assertThat(range.offset()).as("ranges are maximal").isGreaterThan(end);
            end = range.offset() + range.length();
            assertThat(end).isLessThanOrEqualTo(now.length);
            System.arraycopy(now, (int) range.offset(), expected, (int) range.offset(), (int) range.length());
        }
        assertThat(Arrays.mismatch(expected, now)).as("%s", changes).isEqualTo(-1);
    }

    @Test
    void changesAreExactToBlocks() throws IOException {
        makeImage(64 << 10);
        Path since = snapshot();
        assertThat(changes(image, since)).isEmpty();
        write(5000, 3);
        write(300_000, 1);
        try (CowDevice device = Images.open(image, false)) {
            device.discard(65536, 65536);
        }
        Images.snapshot(image, Optional.empty());
        write(12_288, 4096);
        write(BYTES - 1, 1);
        List<Range> expected = List.of(
                new Range(4096, 4096),
                new Range(12_288, 4096),
                new Range(65536, 65536),
                new Range(299_008, 4096),
                new Range(397_312, BYTES - 397_312));
        assertThat(changes(image, since)).isEqualTo(expected);
        try (CowDevice served = Images.open(image, false);
                Changes below = Changes.below(served.info(), since)) {
            List<Range> found = new ArrayList<>();
            below.forEach(served::forEachExtent, (offset, length) -> found.add(new Range(offset, length)));
            assertThat(found).isEqualTo(expected);
        }
    }

    @Test
    void whatIsNoLayerBelowIsRefused() throws IOException {
        makeImage(4096);
        assertThatThrownBy(() -> changes(image, here.resolve("base.img")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("is no layer below " + image + "; there is none: ucow snapshot makes one");
        Path first = snapshot();
        Path second = snapshot();
        for (Path no : List.of(image, here.resolve("base.img"))) {
            assertThatThrownBy(() -> changes(image, no))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("those are: " + second + ", " + first);
        }
        assertThatThrownBy(() -> changes(first, second)).isInstanceOf(IllegalArgumentException.class);
        assertThat(changes(second, first)).isEmpty();
    }

    @Test
    void layersAreExportedWhileTheDiskIsInUse() throws IOException {
        makeImage(8192);
        Path first = snapshot();
        change();
        Path second = snapshot();
        try (CowDevice device = Images.open(image, false)) {
            device.write(0, TestDevices.direct(new byte[] {1}, 0, 1));
            importAll(export(first, Optional.empty()));
            importOnto(export(second, Optional.of(first)));
            assertThatThrownBy(() -> export(image, Optional.of(first)))
                    .isInstanceOf(StoreInUseException.class)
                    .hasMessageContaining("export the layer that 'ucow snapshot' makes of it");
        }
        assertHolds(copy, model);
    }

    @Test
    void streamForSomethingElseIsRefused() throws IOException {
        makeImage(8192);
        Path first = snapshot();
        change();
        Path second = snapshot();
        change();
        Path third = snapshot();
        byte[] all = export(first, Optional.empty());
        byte[] toSecond = export(second, Optional.of(first));
        byte[] toThird = export(third, Optional.of(second));

        assertThatThrownBy(() -> importOnto(toSecond)).isInstanceOf(NoSuchFileException.class);
        importAll(all);
        assertThatThrownBy(() -> importAll(all)).isInstanceOf(FileAlreadyExistsException.class);
        assertRefused(toThird); // left one out
        importOnto(toSecond);
        // Once is enough: as after a kill of which nobody knows whether it came too late.
        assertRefused(toSecond, "copy.cow: holds what stream brings already");
        Path flat = there.resolve("flat.cow");
        try (CowDevice device = Images.open(copy, true)) {
            Flattening.toImage(device, flat, "ucow", StoreOptions.ofChunk(8192), Images.contentId(copy), n -> {});
        }
        Images.open(copy, false).close(); // somebody might have written to it
        assertRefused(toThird);
        Files.move(flat, copy, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        importOnto(toThird);
        assertHolds(copy, model);
    }

    private void assertRefused(byte[] stream) throws IOException {
        assertRefused(stream, "does not hold what stream is relative to");
    }

    private void assertRefused(byte[] stream, String message) throws IOException {
        List<String> before = files();
        byte[] held = Files.readAllBytes(copy);
        assertThatThrownBy(() -> importOnto(stream))
                .isInstanceOf(OriginChangedException.class)
                .hasMessageContaining(message);
        assertThat(files()).isEqualTo(before);
        assertThat(Files.readAllBytes(copy)).isEqualTo(held);
    }

    /** One byte of it is another, or is missing, or too much: no image changes, and no other exception comes. */
    @Test
    void damagedStreamChangesNothing() throws IOException {
        makeImage(8192);
        Path first = snapshot();
        write(5000, 20_000);
        try (CowDevice device = Images.open(image, false)) {
            device.discard(50_000, 100_000);
        }
        Arrays.fill(model, 50_000, 150_000, (byte) 0);
        byte[] stream = export(snapshot(), Optional.of(first));
        importAll(export(first, Optional.empty()));
        byte[] held = Files.readAllBytes(copy);
        List<String> before = files();
        for (int i = 0; i < 120; i++) {
            int at = random.nextInt(i < 60 ? Math.min(300, stream.length) : stream.length);
            byte[] damaged =
                    switch (i % 4) {
                        case 0 -> Arrays.copyOf(stream, at);
                        case 1 -> Arrays.copyOf(stream, stream.length + 1 + at);
                        default -> stream.clone();
                    };
            if (damaged.length == stream.length) {
                damaged[at] ^= (byte) (1 << random.nextInt(8));
            }
            assertThatThrownBy(() -> importOnto(damaged))
                    .as("damage %d at %d", i % 4, at)
                    .isInstanceOfAny(
                            CorruptStoreException.class, UnsupportedFormatException.class, OriginChangedException.class)
                    .hasMessageContaining("stream");
        }
        assertThat(files()).isEqualTo(before);
        assertThat(Files.readAllBytes(copy)).isEqualTo(held);
        importOnto(stream);
        assertHolds(copy, model);
    }

    /** Streams whose checksums are right, and nothing else. */
    @Test
    void hostileStreamIsRefusedWithItsPlace() throws IOException {
        DeltaHeader header = new DeltaHeader(new Geometry(1 << 20, 12), new ContentId(1), Optional.empty());
        long[][] records = {
            {DeltaRecord.ZEROS, 1 << 20, 1},
            {DeltaRecord.ZEROS, 0, (1 << 20) + 1},
            {DeltaRecord.ZEROS, Long.MAX_VALUE, 2},
            {DeltaRecord.ZEROS, -1, 2},
            {DeltaRecord.ZEROS, 5, 0},
            {DeltaRecord.ZEROS, 5, -1},
            {DeltaRecord.DATA, 5, 0},
            {DeltaRecord.DATA, 5, Long.MIN_VALUE},
            {DeltaRecord.DATA, 5, DeltaRecord.MAX_DATA_BYTES + 1},
            {0, 0, 1},
            {4, 0, 1},
            {DeltaRecord.END, 1, 0}
        };
        for (long[] r : records) {
            assertThatThrownBy(() -> importAll(stream(header, r)))
                    .as("%s", Arrays.toString(r))
                    .isInstanceOf(CorruptStoreException.class)
                    .hasMessageStartingWith("stream at 0x80: record 0 ");
            assertThat(files()).isEmpty();
        }
        assertThatThrownBy(() -> importAll(
                        stream(header, new long[] {DeltaRecord.ZEROS, 10, 10}, new long[] {DeltaRecord.ZEROS, 19, 10})))
                .isInstanceOf(CorruptStoreException.class)
                .hasMessageStartingWith("stream at 0xa0: record 1 is of 10 bytes at 19, expected some within 20..");
    }

    @Test
    void streamThatFindsNoRoomIsNoSuccess() throws IOException {
        Path image = root.resolve("nowhere.cow");
        Images.create(new CreateOptions(image, Optional.empty(), OptionalLong.of(1 << 20), 4096, "ucow"));
        try (DeltaExport export = DeltaExport.open(image, Optional.empty());
                FileChannel full = FileChannel.open(Path.of("/dev/full"), StandardOpenOption.WRITE)) {
            assertThatThrownBy(() -> export.writeTo(full, n -> {}))
                    .isInstanceOf(StoreFullException.class)
                    .hasMessageStartingWith("the stream ends too early: ");
        }
    }

    /** A few bytes that say a lot take neither time nor space. */
    @Test
    @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void zerosOfALargeDeviceCostNothing() throws IOException {
        long size = Geometry.MAX_CHUNKS << 20;
        DeltaHeader header = new DeltaHeader(new Geometry(size, 20), new ContentId(1), Optional.empty());
        importAll(stream(header, new long[] {DeltaRecord.ZEROS, 0, size}));
        assertThat(Images.info(copy).zeroChunks()).isZero();
        makeImage(4096);
        Path first = snapshot();
        Path other = there.resolve("other.cow");
        open(export(first, Optional.empty())).to(other);
        DeltaHeader.Since since;
        try (LayerOrigin layer = Images.openNewLayer(other)) {
            since = new DeltaHeader.Since(
                    BYTES,
                    Images.contentId(other).orElseThrow(),
                    layer.reference("").fingerprint());
        }
        long most = Geometry.MAX_CHUNKS << 12;
        DeltaHeader relative = new DeltaHeader(new Geometry(most, 12), new ContentId(1), Optional.of(since));
        open(stream(relative, new long[] {DeltaRecord.ZEROS, 0, most})).onto(other, Optional.empty());
        assertThat(Images.info(other).zeroChunks()).isLessThanOrEqualTo(BYTES / 4096 + 1);
        try (CowDevice device = Images.open(other, true)) {
            assertThat(TestDevices.read(device, 0, BYTES)).containsOnly(0);
        }
    }

    private static byte[] stream(DeltaHeader header, long[]... records) {
        ByteBuffer bytes = ByteBuffer.allocate(DeltaHeader.SIZE + DeltaRecord.SIZE * (records.length + 1))
                .order(ByteOrder.LITTLE_ENDIAN);
        header.encode(bytes);
        int at = DeltaHeader.SIZE;
        ByteBuffer record = ByteBuffer.allocate(DeltaRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < records.length; i++) {
            long[] r = records[i];
            DeltaRecord.encode(record, (int) r[0], i, r[1], r[2], ByteBuffer.allocate(0));
            bytes.put(at, record.array());
            at += DeltaRecord.SIZE;
        }
        CRC32C whole = new CRC32C();
        whole.update(bytes.array(), 0, at);
        DeltaRecord.encode(record, DeltaRecord.END, records.length, 0, whole.getValue(), ByteBuffer.allocate(0));
        bytes.put(at, record.array());
        return bytes.array();
    }

    /** What is on disk after each step is what a kill there leaves. */
    @Test
    void killedAfterAnyStepLeavesTheOldOrTheNew() throws IOException {
        makeImage(8192);
        Path first = snapshot();
        importAll(export(first, Optional.empty()));
        byte[] before = model.clone();
        change();
        byte[] stream = export(snapshot(), Optional.of(first));
        List<Path> remains = new ArrayList<>();
        open(stream).onto(copy, Optional.empty(), step -> remains.add(copyOf(there, step.name())));
        assertThat(remains).hasSize(Snapshot.Step.values().length);
        for (Path remain : remains) {
            Path found = remain.resolve("copy.cow");
            boolean replaced = remain.endsWith(Snapshot.Step.IMAGE_REPLACED.name());
            assertHolds(found, replaced ? model : before);
            if (!replaced) {
                open(stream).onto(found, Optional.empty());
                assertHolds(found, model);
            }
            assertThat(remain.resolve(".copy.cow.snapshot")).doesNotExist();
        }
    }

    @Test
    void streamGoesToAFileAsAWhole() throws IOException {
        makeImage(8192);
        Path layer = snapshot();
        Path file = here.resolve("all.delta");
        long[] told = new long[1];
        try (DeltaExport export = DeltaExport.open(layer, Optional.empty())) {
            export.writeTo(file, n -> told[0] += n);
            assertThat(told[0]).isEqualTo(export.totalBytes()).isEqualTo(BYTES);
            assertThatThrownBy(() -> export.writeTo(file, n -> {})).isInstanceOf(FileAlreadyExistsException.class);
        }
        assertThat(Files.readAllBytes(file)).isEqualTo(export(layer, Optional.empty()));
        assertThat(Files.size(file)).as("zeros are left out").isLessThan(BYTES - 70_000);
        importAll(Files.readAllBytes(file));
        assertHolds(copy, model);
        assertThat(Images.info(copy).geometry()).isEqualTo(Images.info(layer).geometry());
    }

    private Path snapshot() throws IOException {
        return Images.snapshot(image, Optional.empty());
    }

    private void resize(int size) throws IOException {
        Images.resize(image, size, true);
        model = Arrays.copyOf(model, size);
    }

    private void write(int at, int length) throws IOException {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        try (CowDevice device = Images.open(image, false)) {
            device.write(at, TestDevices.direct(bytes, 0, length));
        }
        System.arraycopy(bytes, 0, model, at, length);
    }

    private void change() throws IOException {
        try (CowDevice device = Images.open(image, false)) {
            for (int i = 0; i < 6; i++) {
                int at = random.nextInt(model.length);
                byte[] bytes = new byte[1 + random.nextInt(Math.min(20_000, model.length - at))];
                if (random.nextInt(3) == 0) {
                    device.discard(at, bytes.length);
                } else {
                    random.nextBytes(bytes);
                    device.write(at, TestDevices.direct(bytes, 0, bytes.length));
                }
                System.arraycopy(bytes, 0, model, at, bytes.length);
            }
        }
    }

    private static List<Range> changes(Path of, Path since) throws IOException {
        List<Range> found = new ArrayList<>();
        try (Changes changes = Changes.of(of, since)) {
            changes.forEach((offset, length) -> found.add(new Range(offset, length)));
        }
        return found;
    }

    private static byte[] export(Path of, Optional<Path> since) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DeltaExport export = DeltaExport.open(of, since)) {
            export.writeTo(Channels.newChannel(bytes), n -> {});
        }
        return bytes.toByteArray();
    }

    private static DeltaImport open(byte[] stream) throws IOException {
        return DeltaImport.open(Channels.newChannel(new ByteArrayInputStream(stream)), "stream", n -> {});
    }

    private void importAll(byte[] stream) throws IOException {
        DeltaImport delta = open(stream);
        assertThat(delta.isRelative()).isFalse();
        delta.to(copy);
    }

    private Path importOnto(byte[] stream) throws IOException {
        DeltaImport delta = open(stream);
        assertThat(delta.isRelative()).isTrue();
        return delta.onto(copy, Optional.empty());
    }

    private static void assertHolds(Path path, byte[] expected) throws IOException {
        try (CowDevice device = Images.open(path, true)) {
            assertThat(device.sizeBytes()).isEqualTo(expected.length);
            assertThat(Arrays.mismatch(TestDevices.read(device, 0, expected.length), expected))
                    .as("%s", path)
                    .isEqualTo(-1);
        }
    }

    private List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(there)) {
            return files.map(f -> f.getFileName().toString()).sorted().toList();
        }
    }

    /** With times to the nanosecond, which {@link Files#copy} rounds, and with what is linked. */
    private Path copyOf(Path directory, String name) {
        Path to = root.resolve(name);
        try {
            Process cp = new ProcessBuilder("cp", "-a", directory.toString(), to.toString()).start();
            assertThat(cp.waitFor()).isZero();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        return to;
    }
}
