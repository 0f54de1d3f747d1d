package io.ucow.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * What the engine relies on in any format's store. A plug-in's test extends this class and says which plug-in.
 *
 * <p>Nothing is assumed about entries but what {@link RemapEntry} says of their kinds, nor about where slots lie.
 */
public abstract class ExceptionStoreContract {
    /** Chunks of the device, the last one partial. */
    protected static final int CHUNKS = 40;

    private final FileSystem jimfs = Jimfs.newFileSystem(Configuration.unix());
    private final Path image = jimfs.getPath("/image.cow");
    private int copies;
    private ExceptionStore store;
    private int chunkSize;

    /** The plug-in under test. */
    protected abstract ExceptionStoreProvider format();

    /** Binary logarithm of the chunk size to create stores with. */
    protected int chunkShift() {
        return 16;
    }

    /** Bytes by which the last chunk is shorter than the others. */
    protected int missingBytes() {
        return 1000;
    }

    @BeforeEach
    void create() throws IOException {
        Geometry geometry = new Geometry(((long) CHUNKS << chunkShift()) - missingBytes(), chunkShift());
        try (ChannelFile file = new ChannelFile(image)) {
            create(file, geometry);
        }
        store = open(image, false, TestDevices.BOOT);
        chunkSize = store.geometry().chunkSize();
        assertThat(store.geometry().sizeBytes()).isEqualTo(geometry.sizeBytes());
    }

    /** Writes the store under test, on what {@link #reference} says. */
    protected void create(PositionalFile file, Geometry geometry) throws IOException {
        format().create(file, geometry.sizeBytes(), reference(), StoreOptions.ofChunk(geometry.chunkSize()));
    }

    @AfterEach
    void closeSoundly() throws IOException {
        store.close();
        assertThat(check(image)).isEmpty();
        jimfs.close();
    }

    @Test
    void createdFileIsRecognisedAndNothingElse() throws IOException {
        assertThat(format().recognises(head(image))).isTrue();
        assertThat(format().recognises(ByteBuffer.allocateDirect(0))).isFalse();
        assertThat(format().recognises(ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES)))
                .isFalse();
        assertThat(format().name()).matches("[a-z0-9]+");
        assertThat(format().description()).isNotBlank().doesNotContain("\n");
    }

    @Test
    void originIsReadWithoutRecovery() throws IOException {
        put(3, 'a');
        byte[] unclean = Files.readAllBytes(image);
        try (ChannelFile file = new ChannelFile(image)) {
            assertThat(format().origin(file, image)).isEqualTo(reference());
        }
        assertThat(Files.readAllBytes(image)).isEqualTo(unclean);
        Path without = image.resolveSibling("without.cow");
        try (ChannelFile file = new ChannelFile(without)) {
            format().create(
                            file,
                            store.geometry().sizeBytes(),
                            null,
                            StoreOptions.ofChunk(store.geometry().chunkSize()));
            assertThat(format().origin(file, without)).isNull();
        }
    }

    @Test
    void newStoreIsUnalteredEverywhere() throws IOException {
        for (long chunk = 0; chunk < chunks(); chunk++) {
            assertThat(store.lookup(chunk)).isEqualTo(RemapEntry.ORIGIN);
        }
        assertThat(store.isReadOnly()).isFalse();
        assertThat(store.locate(RemapEntry.ORIGIN)).isEqualTo(new ChunkSource.Origin());
        assertThat(store.reclaim()).isFalse();
        assertThat(store.maxCommit()).isPositive();
        assertAltered(0, 0);
    }

    @Test
    void allocationIsInvisibleUntilItIsCommitted() throws IOException {
        long entry = SlotRun.entry(store.allocate(3, 1));
        assertThat(RemapEntry.isSlot(entry)).isTrue();
        store.write(entry, 0, filled('a', chunkSize));
        assertThat(store.lookup(3)).isEqualTo(RemapEntry.ORIGIN);
        store.commit(3, 1, entry);
        assertThat(store.lookup(3)).isEqualTo(entry);
        assertHolds(store, 3, 'a');
        assertThat(store.lookup(2)).isEqualTo(RemapEntry.ORIGIN);
        assertThat(store.lookup(4)).isEqualTo(RemapEntry.ORIGIN);
        assertAltered(1, 0);
    }

    @Test
    void allocatedPlacesAreDistinct() throws IOException {
        Set<Long> entries = new HashSet<>();
        for (long chunk = 0; chunk < chunks(); chunk++) {
            assertThat(entries.add(put(chunk, 'a' + (int) chunk % 26))).isTrue();
        }
        for (long chunk = 0; chunk < chunks(); chunk++) {
            assertHolds(store, chunk, 'a' + (int) chunk % 26);
        }
        assertAltered(chunks(), 0);
    }

    @Test
    void releasedPlaceHoldsNothingAndMayServeAgain() throws IOException {
        long before = store.allocatedBytes();
        for (int i = 0; i < 50; i++) {
            long entry = SlotRun.entry(store.allocate(1, 1));
            store.write(entry, 0, filled('x', chunkSize));
            store.release(1, entry, 1);
        }
        assertThat(store.lookup(1)).isEqualTo(RemapEntry.ORIGIN);
        assertThat(store.allocatedBytes() - before).isLessThan((10L * chunkSize) << store.groupShift());
        put(1, 'b');
        assertHolds(store, 1, 'b');
    }

    @Test
    void runIsWrittenAndCommittedAsOne() throws IOException {
        put(2, 'o');
        long run = store.allocate(1, Math.min(5, store.maxCommit()));
        int count = SlotRun.count(run);
        assertThat(count).isBetween(1, 5);
        ByteBuffer letters = ByteBuffer.allocateDirect(count * chunkSize);
        for (int i = 0; i < count; i++) {
            letters.put(letters('a' + i, chunkSize));
        }
        store.write(SlotRun.entry(run), 0, letters.flip());
        assertThat(store.lookup(1)).isEqualTo(RemapEntry.ORIGIN);
        store.commit(1, count, SlotRun.entry(run));
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < count; i++) {
                assertHolds(store, 1 + i, 'a' + i);
            }
            assertThat(store.lookup(1 + count)).isEqualTo(RemapEntry.ORIGIN);
            assertAltered(count == 1 ? 2 : count, 0);
            reopen();
        }
    }

    @Test
    void releasedRunHoldsNothingAndMayServeAgain() throws IOException {
        long before = store.allocatedBytes();
        for (int i = 0; i < 50; i++) {
            long run = store.allocate(1, Math.min(8, store.maxCommit()));
            store.write(SlotRun.entry(run), 0, filled('x', SlotRun.count(run) * chunkSize));
            store.release(1, SlotRun.entry(run), SlotRun.count(run));
        }
        assertThat(store.lookup(1)).isEqualTo(RemapEntry.ORIGIN);
        assertThat(store.allocatedBytes() - before).isLessThan((20L * chunkSize) << store.groupShift());
    }

    @Test
    void blocksAreAPowerOfTwoAndSixteenAtTheMost() {
        int block = store.blockBytes();
        assertThat(Integer.bitCount(block)).isEqualTo(1);
        assertThat(block).isBetween(chunkSize / 16, chunkSize);
    }

    @Test
    void partialEntryIsFoundAgainAndHoldsItsBlocks() throws IOException {
        assumeBlocks();
        long entry = putBlock(39, blocks().all() & ~2, 'b');
        for (int round = 0; round < 2; round++) {
            assertThat(store.lookup(39)).isEqualTo(entry);
            assertHoldsBlock(store, entry, 1, 'b');
            assertAltered(1, 0);
            reopen();
        }
        store.flush();
        Path copy = copy();
        try (ExceptionStore next = open(copy, false, TestDevices.NEXT_BOOT)) {
            assertThat(next.lookup(39)).isEqualTo(entry);
            assertHoldsBlock(next, entry, 1, 'b');
        }
        assertThat(check(copy)).isEmpty();
    }

    @Test
    void slotCommittedAgainWithFewerBlocksMissingIsNotFreed() throws IOException {
        assumeBlocks();
        int block = store.blockBytes();
        long entry = putBlock(3, blocks().all() & ~1, 'a');
        for (int i = 1; i < chunkSize / block; i++) {
            store.write(entry, i * block, filled('a', block));
            entry = RemapEntry.withMissing(entry, RemapEntry.missing(entry) & ~(1 << i));
            store.commit(3, 1, entry);
            assertThat(store.lookup(3)).isEqualTo(entry);
        }
        assertThat(RemapEntry.isWhole(entry)).isTrue();
        assertThat(store.reclaim()).as("anything freed").isFalse();
        for (int chunk = 10; chunk < 20; chunk++) {
            put(chunk, 'x');
        }
        assertHolds(store, 3, 'a');
        assertAltered(11, 0);
        try (ExceptionStore next = open(copy(), false, TestDevices.BOOT)) {
            assertThat(next.reclaim()).as("anything freed by replay").isFalse();
            assertHolds(next, 3, 'a');
        }
        reopen();
        assertHolds(store, 3, 'a');
    }

    @Test
    void partialSlotIsFreedWithItsChunk() throws IOException {
        assumeBlocks();
        long entry = putBlock(3, blocks().all() & ~2, 'b');
        store.commit(3, 1, RemapEntry.withMissing(entry, blocks().all() & ~3));
        store.commit(3, 1, RemapEntry.ZERO);
        assertAltered(0, 1);
        assertThat(store.reclaim()).isTrue();
        assertThat(store.reclaim()).as("freed twice").isFalse();
    }

    @Test
    void partialEntriesNeverContinueEachOther() throws IOException {
        assumeBlocks();
        long first = putBlock(3, blocks().all() & ~2, 'b');
        long second = putBlock(4, blocks().all() & ~2, 'c');
        long whole = put(5, 'd');
        assertThat(RemapEntry.continues(first, second)).isFalse();
        assertThat(RemapEntry.continues(second, whole)).isFalse();
        assertHoldsBlock(store, first, 1, 'b');
        assertHoldsBlock(store, second, 1, 'c');
    }

    @Test
    void writesInPlaceChangeWhatTheyCoverOnly() throws IOException {
        long entry = put(5, 'a');
        put(6, 'n');
        store.write(entry, 100, filled('b', 50));
        store.write(entry, chunkSize - 1, filled('c', 1));
        byte[] expected = letters('a', chunkSize);
        Arrays.fill(expected, 100, 150, (byte) 'b');
        expected[chunkSize - 1] = 'c';
        assertThat(read(store, entry, 0, chunkSize)).isEqualTo(expected);
        assertThat(read(store, entry, 99, 3)).containsExactly('a', 'b', 'b');
        assertHolds(store, 6, 'n');
    }

    @Test
    void zeroWithinAChunkClearsThatPartOnly() throws IOException {
        long entry = put(5, 'a');
        put(6, 'n');
        store.zero(entry, 512, 5000 % chunkSize);
        store.zero(entry, chunkSize - 1, 1);
        byte[] expected = letters('a', chunkSize);
        Arrays.fill(expected, 512, 512 + 5000 % chunkSize, (byte) 0);
        expected[chunkSize - 1] = 0;
        assertThat(read(store, entry, 0, chunkSize)).isEqualTo(expected);
        assertHolds(store, 6, 'n');
    }

    @Test
    void oneCallServesChunksThatContinueEachOther() throws IOException {
        for (int chunk = 0; chunk < 8; chunk++) {
            put(chunk, 'a' + chunk);
        }
        int first = 0;
        for (int chunk = 1; chunk <= 8; chunk++) {
            if (chunk == 8 || !RemapEntry.continues(store.lookup(chunk - 1), store.lookup(chunk))) {
                int n = (chunk - first) * chunkSize;
                byte[] run = read(store, store.lookup(first), 0, n);
                for (int i = first; i < chunk; i++) {
                    assertThat(run[(i - first) * chunkSize]).isEqualTo((byte) ('a' + i));
                }
                store.write(store.lookup(first), 0, filled('z', n));
                for (int i = first; i < chunk; i++) {
                    assertHolds(store, i, 'z');
                }
                first = chunk;
            }
        }
    }

    @Test
    void zeroRunsAsLongAsCommitsMayBe() throws IOException {
        int count = (int) Math.min(store.maxCommit(), chunks() - 2);
        put(2, 'a');
        store.commit(1, count, RemapEntry.ZERO);
        for (int chunk = 1; chunk <= count; chunk++) {
            assertThat(store.lookup(chunk)).isEqualTo(RemapEntry.ZERO);
        }
        assertThat(store.lookup(0)).isEqualTo(RemapEntry.ORIGIN);
        assertThat(store.lookup(count + 1L)).isEqualTo(RemapEntry.ORIGIN);
        assertThat(store.locate(RemapEntry.ZERO)).isEqualTo(new ChunkSource.Zero());
        assertAltered(0, count);
        put(2, 'b');
        assertAltered(1, count - 1);
        reopen();
        assertHolds(store, 2, 'b');
        assertThat(store.lookup(1)).isEqualTo(RemapEntry.ZERO);
        assertAltered(1, count - 1);
    }

    @Test
    void freedSpaceServesAgainAfterReclaim() throws IOException {
        put(0, 'a');
        store.commit(0, 1, RemapEntry.ZERO);
        store.reclaim();
        assertThat(store.reclaim()).isFalse();
        long size = Files.size(image);
        for (int i = 0; i < 50; i++) {
            put(i % 10, 'a');
            store.commit(i % 10, 1, RemapEntry.ZERO);
            store.reclaim();
        }
        assertThat(Files.size(image) - size).isLessThan((10L * chunkSize) << store.groupShift());
    }

    @Test
    void replacedPlaceIsFreed() throws IOException {
        put(7, 'z'); // a format may lay things out with the first
        long size = Files.size(image);
        for (int i = 0; i < 50; i++) {
            put(7, 'a' + i % 26);
            assertHolds(store, 7, 'a' + i % 26);
            store.reclaim();
        }
        assertThat(Files.size(image) - size).isLessThan((10L * chunkSize) << store.groupShift());
        assertAltered(1, 0);
    }

    @Test
    void nextPresentNeverSkipsAnAlteredChunk() throws IOException {
        put(3, 'a');
        store.commit(17, 1, RemapEntry.ZERO);
        put(chunks() - 1, 'z');
        for (int round = 0; round < 2; round++) {
            for (long chunk = 0; chunk <= chunks(); chunk++) {
                long next = store.nextPresent(chunk);
                assertThat(next).isBetween(chunk, chunks());
                for (long skipped = chunk; skipped < next; skipped++) {
                    assertThat(store.lookup(skipped)).isEqualTo(RemapEntry.ORIGIN);
                }
            }
            reopen();
        }
    }

    @Test
    void locateNamesThePlaceInTheFile() throws IOException {
        long entry = put(3, 'q');
        assertThat(store.locate(entry)).isInstanceOf(ChunkSource.Slot.class);
        ChunkSource.Slot slot = (ChunkSource.Slot) store.locate(entry);
        assertThat(slot.storedBytes()).isEqualTo(chunkSize);
        byte[] file = Files.readAllBytes(image);
        assertThat(Arrays.copyOfRange(file, (int) slot.storeOffset(), (int) slot.storeOffset() + chunkSize))
                .isEqualTo(letters('q', chunkSize));
    }

    @Test
    void closedStoreIsFoundAgain() throws IOException {
        scatter();
        reopen();
        assertScattered(store);
        reopen();
        assertScattered(store);
        store.close();
        try (ExceptionStore other = open(image, false, TestDevices.NEXT_BOOT)) {
            assertScattered(other);
        }
    }

    @Test
    void killedStoreIsFoundAgainInTheSameBoot() throws IOException {
        scatter();
        try (ExceptionStore next = open(copy(), false, TestDevices.BOOT)) {
            assertScattered(next);
        }
    }

    @Test
    void flushedStoreIsFoundAgainInAnotherBoot() throws IOException {
        scatter();
        store.flush();
        Path copy = copy();
        try (ExceptionStore next = open(copy, false, TestDevices.NEXT_BOOT)) {
            assertScattered(next);
        }
        assertThat(check(copy)).isEmpty();
    }

    @Test
    void readOnlyStoreChangesNothing() throws IOException {
        scatter();
        store.flush();
        for (UUID boot : new UUID[] {TestDevices.BOOT, TestDevices.NEXT_BOOT}) {
            Path copy = copy();
            byte[] before = Files.readAllBytes(copy);
            ExceptionStore reader = open(copy, true, boot);
            assertThat(reader.isReadOnly()).isTrue();
            assertScattered(reader);
            reader.flush();
            reader.close();
            assertThat(Files.readAllBytes(copy)).isEqualTo(before);
        }
    }

    @Test
    void infoSaysWhatIsInside() throws IOException {
        put(3, 'a');
        store.commit(5, 1, RemapEntry.ZERO);
        ImageInfo info = store.info();
        assertThat(info.format()).isEqualTo(format().name());
        assertThat(info.geometry()).isEqualTo(store.geometry());
        assertThat(info.alteredChunks()).isEqualTo(1);
        assertThat(info.zeroChunks()).isEqualTo(1);
        assertThat(info.baseSizeBytes()).isEqualTo(reference().sizeBytes());
        assertThat(info.base()).isPresent();
        assertThat(info.base().get().toString()).isEqualTo("/base.img");
        assertThat(info.clean()).isFalse();
        assertThat(store.allocatedBytes()).isPositive();
    }

    @Test
    void secondCloseDoesNothing() throws IOException {
        put(3, 'a');
        store.close();
        assertThatCode(store::close).doesNotThrowAnyException();
    }

    private void scatter() throws IOException {
        put(0, 'a');
        put(9, 'b');
        put(9, 'c');
        put(11, 'd');
        store.commit(11, 1, RemapEntry.ZERO);
        store.commit(20, 1, RemapEntry.ZERO);
        put(chunks() - 1, 'z');
    }

    private void assertScattered(ExceptionStore found) throws IOException {
        for (long chunk = 0; chunk < chunks(); chunk++) {
            if (chunk == 11 || chunk == 20) {
                assertThat(found.lookup(chunk)).isEqualTo(RemapEntry.ZERO);
            } else if (chunk == 0 || chunk == 9 || chunk == chunks() - 1) {
                assertHolds(found, chunk, chunk == 0 ? 'a' : chunk == 9 ? 'c' : 'z');
            } else {
                assertThat(found.lookup(chunk)).as("chunk %d", chunk).isEqualTo(RemapEntry.ORIGIN);
            }
        }
        assertThat(found.info().alteredChunks()).isEqualTo(3);
    }

    private long chunks() {
        return store.geometry().chunkCount();
    }

    private void assertAltered(long altered, long zero) {
        assertThat(store.stats().alteredChunks()).isEqualTo(altered);
        assertThat(store.stats().zeroChunks()).isEqualTo(zero);
    }

    private long put(long chunk, int letter) throws IOException {
        long entry = SlotRun.entry(store.allocate(chunk, 1));
        store.write(entry, 0, filled(letter, chunkSize));
        store.commit(chunk, 1, entry);
        return entry;
    }

    private Blocks blocks() {
        return new Blocks(store.geometry().chunkShift(), Integer.numberOfTrailingZeros(store.blockBytes()));
    }

    private void assumeBlocks() {
        assumeTrue(store.blockBytes() < chunkSize, "the format records whole chunks only");
    }

    /** Gives a chunk a slot of which nothing but the second block, or but the first, was ever written. */
    private long putBlock(long chunk, int missing, int letter) throws IOException {
        long entry = RemapEntry.withMissing(SlotRun.entry(store.allocate(chunk, 1)), missing);
        int at = blocks().contains(missing, 0) ? store.blockBytes() : 0;
        store.write(entry, at, filled(letter, store.blockBytes()));
        store.commit(chunk, 1, entry);
        return entry;
    }

    private static void assertHoldsBlock(ExceptionStore found, long entry, int block, int letter) throws IOException {
        int size = found.blockBytes();
        assertThat(read(found, entry, block * size, size)).isEqualTo(letters(letter, size));
    }

    private void assertHolds(ExceptionStore found, long chunk, int letter) throws IOException {
        long entry = found.lookup(chunk);
        assertThat(RemapEntry.isSlot(entry)).as("chunk %d has a slot", chunk).isTrue();
        assertThat(read(found, entry, 0, chunkSize)).isEqualTo(letters(letter, chunkSize));
    }

    private static byte[] read(ExceptionStore store, long entry, int offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(length);
        store.read(entry, offset, buffer);
        assertThat(buffer.hasRemaining()).isFalse();
        byte[] bytes = new byte[length];
        buffer.flip().get(bytes);
        return bytes;
    }

    private static byte[] letters(int letter, int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) letter);
        return bytes;
    }

    private static ByteBuffer filled(int letter, int length) {
        return TestDevices.direct(letters(letter, length), 0, length);
    }

    /** What stores are created on; of it all is recorded. */
    protected OriginReference reference() {
        return new OriginReference("base.img", 123_456, 77, 88, "c0".repeat(32), true);
    }

    private void reopen() throws IOException {
        store.close();
        assertThat(check(image)).isEmpty();
        store = open(image, false, TestDevices.BOOT);
    }

    private ExceptionStore open(Path path, boolean readOnly, UUID boot) throws IOException {
        return format().open(new ChannelFile(path), path, new StoreContext(readOnly, boot, new GracePeriod(), false));
    }

    private Path copy() throws IOException {
        return Files.copy(image, jimfs.getPath("/copy" + copies++ + ".cow"));
    }

    private List<String> check(Path path) throws IOException {
        try (ChannelFile file = new ChannelFile(path)) {
            return format().check(file, path, TestDevices.NEXT_BOOT).corruptions();
        }
    }

    private static ByteBuffer head(Path path) throws IOException {
        try (ChannelFile file = new ChannelFile(path)) {
            ByteBuffer head = ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES);
            file.read(head, 0);
            return head.order(ByteOrder.LITTLE_ENDIAN).flip();
        }
    }
}
