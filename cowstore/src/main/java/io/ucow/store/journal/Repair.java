package io.ucow.store.journal;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.MetadataCopy;
import io.ucow.store.RepairReport;
import io.ucow.store.StoreFullException;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * Makes a damaged store sound with what {@link Salvage} could save. The order keeps it safe to kill: metadata is copied
 * aside; the new map is written past the end of the file, where the old store has nothing; then one superblock, over the
 * one that does not count, makes the new store the one that counts (I5); only after that is unused space given back.
 *
 * <p>Threading: confined to one thread.
 */
final class Repair {
    private final PositionalFile file;
    private final Path image;
    private final UUID bootId;
    private final MetadataCopy copy;

    /** @param bootId this boot */
    Repair(PositionalFile file, Path image, UUID bootId, MetadataCopy copy) {
        this.file = file;
        this.image = image;
        this.bootId = bootId;
        this.copy = copy;
    }

    /**
     * Changes nothing of a store in which nothing is wrong, and no metadata of one that only leaks.
     *
     * @param found what {@code check} says of it
     * @throws IOException if the copy, or the new map, cannot be written: the store is then as it was
     */
    RepairReport run(CheckReport found) throws IOException {
        if (found.isSound()) {
            giveBackLeaks(file, bootId);
            return RepairReport.sound(found, List.of());
        }
        Salvage salvage;
        try {
            salvage = new Salvage(file, bootId);
        } catch (CorruptStoreException e) {
            return RepairReport.refused(found, e.getMessage());
        }
        try (salvage) {
            long head = nextHead(salvage.superblock(), 2, image);
            Path kept = copy.make(salvage::copyMetadata);
            writeMap(salvage, head);
            giveBackLeaks(file, bootId);
            boolean dropped = salvage.superblock().checksums();
            return new RepairReport(found, Optional.empty(), Optional.of(kept), dropped, salvage.lost(), List.of());
        }
    }

    /**
     * Past all that the journal may hold, and by one more, so that no old record is taken for the one before it.
     *
     * @param superblocks how many will be written
     */
    static long nextHead(Superblock now, int superblocks, Path image) throws CorruptStoreException {
        long head = now.journalHead() + now.journalCapacity() + 1;
        if (now.generation() > Superblock.MAX_GENERATION - superblocks || head > Superblock.MAX_JOURNAL_HEAD) {
            throw new CorruptStoreException(image + ": generation " + now.generation() + " or journal head "
                    + now.journalHead() + " is at the end of its range; nothing was changed");
        }
        return head;
    }

    private void writeMap(Salvage salvage, long head) throws IOException {
        Superblock now = salvage.superblock();
        long oldSize = file.size();
        long firstSlot = salvage.endOfSlots();
        boolean written = false;
        long room = now.maxBytes() == 0 || now.isReserved()
                ? Recovery.MAX_FILE_SLOTS
                : now.maxBytes() >>> now.geometry().chunkShift();
        if (firstSlot >= room) {
            throw new StoreFullException(
                    image
                            + ": the new map goes past the end of the file, where its max size leaves no room; nothing was"
                            + " changed",
                    new NativeException("allocate slot", Errno.ENOSPC));
        }
        try (SlotAllocator slots = new SlotAllocator(image.toString(), firstSlot, room - firstSlot, 0);
                MapTree tree = new MapTree(
                        file,
                        salvage.table(),
                        new PagePool(slots, now.geometry().chunkShift()),
                        MapPage.MAGIC_VALUE,
                        salvage.uuidHead())) {
            long root = tree.writeChanges(now.generation() + 1);
            file.sync();
            written = true;
            Superblock next = now.advanced(root, head, Superblock.CLEAN).withSumsRoot(0);
            if (!Recovery.hasReserve(now, oldSize)) {
                next = next.withMapReserve(0);
            }
            if (now.isReserved()) {
                long chunkSize = now.geometry().chunkSize();
                long end = Math.max(now.maxBytes(), file.size() + chunkSize - 1 & -chunkSize);
                file.preallocate(0, end);
                next = next.reserving(end);
            }
            UcowFormat.write(file, next);
            if (!Recovery.hasBothSuperblocks(file)) {
                // The old one was not where its generation belongs.
                UcowFormat.write(file, next.advanced(root, head, Superblock.CLEAN));
            }
        } finally {
            if (!written) {
                file.truncate(oldSize);
            }
        }
    }

    /** Punches out what nothing in the store, which is sound, refers to. */
    static void giveBackLeaks(PositionalFile file, UUID bootId) throws IOException {
        try (Recovery recovery = new Recovery(file, bootId, Problems.STRICT)) {
            if (recovery.superblock().isReserved()) {
                return;
            }
            int shift = recovery.superblock().geometry().chunkShift();
            recovery.slots()
                    .forEachFreeRun(
                            recovery.endOfSlots(), (slot, count) -> file.tryPunchHole(slot << shift, count << shift));
            if (recovery.packs() != null) {
                recovery.packs().forEachUnusedBlocks((offset, length) -> file.tryPunchHole(offset, length));
            }
        }
    }
}
