package io.ucow.store.journal;

import io.ucow.store.CheckReport;
import io.ucow.store.Compression;
import io.ucow.store.ContentId;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.CreateOptions;
import io.ucow.store.ExceptionStore;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.Geometry;
import io.ucow.store.MetadataCopy;
import io.ucow.store.Origin;
import io.ucow.store.OriginReference;
import io.ucow.store.Preallocation;
import io.ucow.store.RepairReport;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreFullException;
import io.ucow.store.StoreOptions;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * ucow's own format, version 1: one file with a journal, a checkpointed map and the slots.
 *
 * <p>Threading: stateless.
 */
public final class UcowFormat implements ExceptionStoreProvider {
    /** Where the journal starts; the space before it, behind the superblocks, is for later versions. */
    private static final long JOURNAL_OFFSET = 64 << 10;

    private static final long MIN_JOURNAL_BYTES = 4 << 20;
    private static final long MAX_JOURNAL_BYTES = 16 << 20;
    /** Problems that {@code check} lists before it stops: a wrecked map would name millions. */
    private static final int MAX_PROBLEMS = 1000;

    /** Called by {@link java.util.ServiceLoader}. */
    public UcowFormat() {}

    @Override
    public String name() {
        return "ucow";
    }

    @Override
    public String description() {
        return "ucow's own single-file store: journaled remaps, checkpointed map, CRC32C on all metadata";
    }

    @Override
    public boolean recognises(ByteBuffer head) {
        return Superblock.hasMagic(head, 0) || Superblock.hasMagic(head, Superblock.SIZE);
    }

    @Override
    public List<String> options() {
        return List.of(
                StoreOptions.CHUNK,
                StoreOptions.MAX_SIZE,
                StoreOptions.COMPRESS,
                StoreOptions.CHECKSUMS,
                StoreOptions.PREALLOCATE);
    }

    @Override
    public void create(PositionalFile file, long sizeBytes, OriginReference origin, StoreOptions options)
            throws IOException {
        int chunkBytes = options.chunkBytes().orElse(CreateOptions.DEFAULT_CHUNK_BYTES);
        if (Integer.bitCount(chunkBytes) != 1
                || chunkBytes < 1 << Geometry.MIN_CHUNK_SHIFT
                || chunkBytes > 1 << Geometry.MAX_CHUNK_SHIFT) {
            throw new IllegalArgumentException(
                    "chunk size " + chunkBytes + " is not a power of two between 4K and 1M bytes");
        }
        Geometry geometry = new Geometry(sizeBytes, Integer.numberOfTrailingZeros(chunkBytes));
        long journalBytes = options.maxBytes().isPresent() ? MIN_JOURNAL_BYTES : journalBytes(sizeBytes);
        long records = journalBytes / JournalRecord.SIZE;
        create(file, geometry, origin, options, records, UUID.randomUUID());
    }

    /**
     * A 64th of the device: until half of that is used, and a checkpoint due, each 4 KiB can have a record of its own. A
     * checkpoint syncs all data, and after many small first writes a file system is long busy with that.
     */
    private static long journalBytes(long deviceBytes) {
        return Math.max(MIN_JOURNAL_BYTES, Math.min(MAX_JOURNAL_BYTES, deviceBytes / 64 & -Superblock.SIZE));
    }

    /** As the public method, with chunks of any size, and the journal's size and the identity given: for tests. */
    static void create(
            PositionalFile file,
            Geometry geometry,
            OriginReference origin,
            StoreOptions options,
            long records,
            UUID uuid)
            throws IOException {
        long maxBytes = options.maxBytes().orElse(0);
        boolean checksums = options.checksums();
        Compression compression = compression(options, geometry);
        requirePathFits(file, origin);
        long journalEnd = JOURNAL_OFFSET + records * JournalRecord.SIZE;
        long dataStart = journalEnd + geometry.chunkSize() - 1 & -(long) geometry.chunkSize();
        Superblock first = new Superblock(
                0,
                1,
                geometry,
                0,
                JOURNAL_OFFSET,
                records,
                0,
                dataStart,
                uuid,
                Superblock.CLEAN,
                origin,
                maxBytes,
                compression,
                checksums,
                0,
                options.preallocation() == Preallocation.METADATA ? dataStart >>> geometry.chunkShift() : 0);
        requireRoom(file.name(), first);
        try {
            // A full disk must still take a barrier and a superblock.
            file.preallocate(0, journalEnd);
        } catch (IOException e) {
            if (Errno.of(e) == Errno.ENOSPC) {
                throw new StoreFullException(
                        file.name() + ": no space for its journal, which takes " + journalEnd + " bytes; make room", e);
            }
            if (Errno.of(e) != Errno.EOPNOTSUPP) {
                throw e;
            }
        }
        file.truncate(dataStart);
        if (first.mapReserve() != 0) {
            reserveMap(file, first);
        }
        write(file, first);
        if (options.preallocation() == Preallocation.FULL) {
            reserve(file, first);
        }
    }

    private static Compression compression(StoreOptions options, Geometry geometry) {
        if (options.codec().isEmpty()) {
            return Compression.NONE;
        }
        String codec = options.codec().get();
        Compression compression = Compression.ofLabel(codec)
                .orElseThrow(() -> new IllegalArgumentException(
                        "'" + codec + "' is no codec of format 'ucow'; there are none, lz4"));
        if (geometry.chunkShift() < Compression.MIN_CHUNK_SHIFT) {
            throw new IllegalArgumentException("compression takes chunks of 16K or more: smaller ones save no space");
        }
        if (options.maxBytes().isPresent()) {
            throw new IllegalArgumentException("a max size and compression exclude each other: a compressed chunk whose"
                    + " neighbours are gone can keep two slots from others");
        }
        if (options.preallocation() == Preallocation.FULL) {
            throw new IllegalArgumentException(
                    "full preallocation and compression exclude each other: space that is set aside is not saved");
        }
        return compression;
    }

    @Override
    public StoreOptions optionsOf(PositionalFile file, Path image) throws IOException {
        Superblock now = Recovery.readSuperblock(file);
        return StoreOptions.ofChunk(now.geometry().chunkSize())
                .withMaxBytes(now.maxBytes())
                .withCodec(now.compression().label())
                .withChecksums(now.checksums())
                .withPreallocation(now.mapReserve() == 0 ? Preallocation.OFF : Preallocation.METADATA);
    }

    /** Has the file system set aside all that a store can need which was just made, up to its limit. */
    private static void reserve(PositionalFile file, Superblock now) throws IOException {
        Geometry geometry = now.geometry();
        // Every chunk, slots that were discarded and wait for a barrier, as far as writers let them, and twice the map;
        // so
        // the checksums, of which there are certainly no more than of a file of twice that.
        long waiting = Math.min(geometry.chunkCount(), UcowStore.MAX_WAITING_BYTES >>> geometry.chunkShift());
        long slots = geometry.chunkCount() + waiting;
        slots += PagePool.mostSlots(
                geometry, now.checksums() ? now.dataStart() + ((2 * slots) << geometry.chunkShift()) : 0);
        long most = now.dataStart() + (slots << geometry.chunkShift());
        long bytes = now.maxBytes() == 0 ? most : Math.min(most, now.maxBytes());
        long free = Files.getFileStore(Path.of(file.name()).toAbsolutePath().getParent())
                .getUsableSpace();
        try {
            file.preallocate(0, bytes);
        } catch (IOException e) {
            if (Errno.of(e) == Errno.ENOSPC) {
                throw new StoreFullException(
                        file.name() + ": all that it can take is " + bytes + " bytes, and its file system has " + free
                                + " free; make room, give it a smaller --size or --max-size, or create it without"
                                + " --preallocate",
                        e);
            }
            throw cannotSetAside(file, e);
        }
        write(
                file,
                now.advanced(now.rootPage(), now.journalHead(), Superblock.CLEAN)
                        .reserving(bytes));
    }

    /** Writes a superblock over the one that does not count, durably. */
    static void write(PositionalFile file, Superblock superblock) throws IOException {
        write(file, superblock, encoded(superblock));
    }

    /** As the other, with what identifies all that the device holds. */
    static void write(PositionalFile file, Superblock superblock, ContentId content) throws IOException {
        ByteBuffer block = encoded(superblock);
        Superblock.putContentId(block, content);
        write(file, superblock, block);
    }

    private static ByteBuffer encoded(Superblock superblock) {
        ByteBuffer block = ByteBuffer.allocateDirect(Superblock.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        superblock.encode(block, MapPage.levels(superblock.geometry().chunkCount()));
        return block;
    }

    private static void write(PositionalFile file, Superblock superblock, ByteBuffer block) throws IOException {
        file.write(block, superblock.offset());
        file.sync();
    }

    private static void requirePathFits(PositionalFile file, OriginReference origin) throws IOException {
        if (origin != null && origin.path().getBytes(StandardCharsets.UTF_8).length > Superblock.MAX_PATH_BYTES) {
            throw new IOException(file.name() + ": the base's path is longer than " + Superblock.MAX_PATH_BYTES
                    + " bytes; put the base nearer to the image");
        }
    }

    /** @throws IllegalArgumentException if no chunk would fit beside journal and map */
    static void requireRoom(String name, Superblock superblock) {
        Geometry geometry = superblock.geometry();
        long slots = slotsForMap(superblock, geometry) + slotsSetAside(superblock) + 1;
        long least = superblock.dataStart() + (slots << geometry.chunkShift());
        if (superblock.maxBytes() != 0 && superblock.maxBytes() < least) {
            throw new IllegalArgumentException(name + ": max size " + superblock.maxBytes() + " is less than " + least
                    + " bytes, which the journal, the map of a device of this size and one chunk need");
        }
    }

    /** Slots at the end of a store with a max size, and of a device of that geometry, that no chunk gets. */
    static long slotsForMap(Superblock superblock, Geometry geometry) {
        return PagePool.mostSlots(geometry, superblock.checksums() ? superblock.maxBytes() : 0);
    }

    /** Slots that are set aside for map pages, should any be: all pages there can be, twice. */
    static long slotsSetAside(Superblock superblock) {
        if (superblock.mapReserve() == 0) {
            return 0;
        }
        Geometry geometry = superblock.geometry();
        // More than every chunk, what writers let wait for a barrier, and these slots take.
        long slots = geometry.sizeBytes() + geometry.sizeBytes() / 8 + 2 * UcowStore.MAX_WAITING_BYTES;
        long most = superblock.dataStart() + slots;
        long bytes = superblock.maxBytes() == 0 ? most : Math.min(most, superblock.maxBytes());
        return PagePool.mostSlots(geometry, superblock.checksums() ? bytes : 0);
    }

    /** Has the file system set aside the slots that a superblock says are for map pages. */
    static void reserveMap(PositionalFile file, Superblock superblock) throws IOException {
        int shift = superblock.geometry().chunkShift();
        long bytes = slotsSetAside(superblock) << shift;
        long sizeBefore = file.size();
        try {
            file.preallocate(superblock.mapReserve() << shift, bytes);
        } catch (IOException e) {
            file.truncate(sizeBefore); // gives back what there was
            if (Errno.of(e) == Errno.ENOSPC) {
                throw new StoreFullException(
                        file.name() + ": no space for its map, which takes " + bytes + " bytes; make room", e);
            }
            throw cannotSetAside(file, e);
        }
    }

    private static IOException cannotSetAside(PositionalFile file, IOException e) {
        return Errno.of(e) == Errno.EOPNOTSUPP
                ? new IOException(
                        file.name() + ": its file system cannot set space aside; create it without --preallocate", e)
                : e;
    }

    @Override
    public OriginReference origin(PositionalFile file, Path image) throws IOException {
        return Recovery.readSuperblock(file).origin();
    }

    /**
     * Writes one superblock. One that forgets the map is of this boot, as if the store were open: what opens it next gives
     * back all that was altered, whatever became of this process.
     */
    @Override
    public void setOrigin(PositionalFile file, Path image, OriginReference origin, boolean emptied, UUID bootId)
            throws IOException {
        requirePathFits(file, origin);
        Superblock now = Recovery.readSuperblock(file);
        if (!now.bootId().equals(Superblock.CLEAN)) {
            throw new StoreFullException(image + ": no space left to close it properly; make room, and try again");
        }
        if (now.generation() == Superblock.MAX_GENERATION) {
            throw new CorruptStoreException(
                    image + ": generation " + now.generation() + " is the last one there can be; nothing was changed");
        }
        write(file, emptied ? now.emptiedOn(origin, bootId) : now.on(origin));
    }

    @Override
    public ExceptionStore open(PositionalFile file, Path image, StoreContext context) throws IOException {
        return UcowStore.open(file, image, context);
    }

    @Override
    public CheckReport check(PositionalFile file, Path image, UUID bootId) throws IOException {
        List<String> found = new ArrayList<>();
        Problems collect = problem -> {
            found.add(problem);
            if (found.size() == MAX_PROBLEMS) {
                throw new CorruptStoreException(image + ": more problems than the first " + MAX_PROBLEMS);
            }
        };
        try (Recovery recovery = new Recovery(file, bootId, collect)) {
            if (recovery.otherSuperblockProblem() != null) {
                found.add(recovery.otherSuperblockProblem());
            }
            if (found.isEmpty()) {
                new PackCheck(file, recovery.superblock(), recovery.table()).run(collect);
            }
            return new CheckReport(
                    found,
                    recovery.leakedBytes(),
                    recovery.table().alteredChunks() + recovery.table().zeroChunks());
        } catch (CorruptStoreException e) {
            found.add(e.getMessage());
            return new CheckReport(found, 0, 0);
        }
    }

    @Override
    public RepairReport repair(PositionalFile file, Path image, UUID bootId, MetadataCopy copy) throws IOException {
        CheckReport found = check(file, image, bootId);
        return new Repair(file, image, bootId, copy).run(found);
    }

    @Override
    public void resize(PositionalFile file, Path image, UUID bootId, Origin origin, long sizeBytes, boolean mayShrink)
            throws IOException {
        new Resize(file, image, bootId, origin).run(sizeBytes, mayShrink);
    }

    @Override
    public Optional<ContentId> contentId(PositionalFile file) throws IOException {
        Superblock now = Recovery.readSuperblock(file);
        if (!now.bootId().equals(Superblock.CLEAN)) {
            return Optional.empty();
        }
        return Optional.of(now.contentId(readBlock(file, now)));
    }

    @Override
    public void holdContent(PositionalFile file, ContentId id) throws IOException {
        Superblock now = Recovery.readSuperblock(file);
        if (!now.bootId().equals(Superblock.CLEAN)) {
            throw new StoreFullException(
                    file.name() + ": no room to write its map", new NativeException("checkpoint", Errno.ENOSPC));
        }
        // Both: whichever is lost, the other says the same.
        Superblock next = now;
        for (int i = 0; i < 2; i++) {
            next = next.advanced(now.rootPage(), now.journalHead(), Superblock.CLEAN);
            write(file, next, id);
        }
    }

    private static ByteBuffer readBlock(PositionalFile file, Superblock superblock) throws IOException {
        ByteBuffer block = ByteBuffer.allocateDirect(Superblock.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.read(block, superblock.offset());
        return block;
    }
}
