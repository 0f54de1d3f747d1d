package io.ucow.store.journal;

import io.ucow.store.ContentId;
import io.ucow.store.Geometry;
import io.ucow.store.Origin;
import io.ucow.store.StoreFullException;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.store.remap.SlotRun;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/**
 * Gives a store that is closed another size. One superblock makes the change: it has the new size and the root of a map of
 * that size, which was written to free places before (I5). So a kill or power loss leaves the old store or the new one.
 *
 * <p>What a device gains reads as zeros. Where the origin has data past the old end, entries say so: ZERO for whole
 * chunks; of the last chunk, if it was a part of one, a slot holds the rest. What a slot has past the device's end means
 * nothing while the old superblock counts, and is overwritten in place.
 *
 * <p>A last chunk that is a part of one must not be packed, and no checksums of its slot known.
 *
 * <p>Both superblocks have the new size before anything that only the old one refers to is given back.
 *
 * <p>Threading: confined to one thread.
 */
final class Resize {
    private static final int SUPERBLOCKS = 2;
    private static final String NO_ROOM_FOR_MAP =
            "its max size leaves no room for the map of a larger device; discard what is not needed, or flatten it";

    private final PositionalFile file;
    private final Path image;
    private final UUID bootId;
    private final Origin origin;

    /**
     * @param bootId this boot
     * @param origin what is behind the store
     */
    Resize(PositionalFile file, Path image, UUID bootId, Origin origin) {
        this.file = file;
        this.image = image;
        this.bootId = bootId;
        this.origin = origin;
    }

    /** As {@link io.ucow.store.ExceptionStoreProvider#resize}. */
    void run(long sizeBytes, boolean mayShrink) throws IOException {
        Superblock now = Recovery.readSuperblock(file);
        if (!now.bootId().equals(Superblock.CLEAN)) {
            throw full("no room to write its map, which takes place before its size changes; make room");
        }
        Geometry geometry = new Geometry(sizeBytes, now.geometry().chunkShift());
        if (sizeBytes == now.geometry().sizeBytes()) {
            return;
        }
        if (sizeBytes < now.geometry().sizeBytes() && !mayShrink) {
            throw new IllegalArgumentException(image + ": has " + now.geometry().sizeBytes()
                    + " bytes, and what is past " + sizeBytes + " would be lost; add --shrink if nobody needs it");
        }
        if (now.isReserved() && sizeBytes > now.geometry().sizeBytes()) {
            throw new IllegalArgumentException(image
                    + ": space was set aside for the size that it has, by --preallocate, so"
                    + " it cannot grow; flatten it to an image that can: ucow flatten -O ucow " + image + " NEW-IMAGE");
        }
        UcowFormat.requireRoom(image.toString(), now.resized(geometry, 0, 0));
        Superblock next = prepare(geometry);
        ContentId content = ContentId.random();
        UcowFormat.write(file, next, content);
        UcowFormat.write(file, next.advanced(next.rootPage(), next.journalHead(), Superblock.CLEAN), content);
        if (next.rootPage() != now.rootPage()
                || next.sumsRoot() != now.sumsRoot()
                || UcowFormat.slotsSetAside(next) != UcowFormat.slotsSetAside(now)) {
            Repair.giveBackLeaks(file, bootId);
        }
    }

    /** Writes all that the new superblock is to refer to, durably. @return that superblock */
    private Superblock prepare(Geometry geometry) throws IOException {
        try (Recovery old = new Recovery(file, bootId, Problems.STRICT, geometry.chunkCount())) {
            Superblock now = old.superblock();
            long head = Repair.nextHead(now, SUPERBLOCKS, image);
            long root = writeMap(old, geometry);
            long sumsRoot = now.checksums() ? old.sumTree().writeChanges(now.generation() + 1) : 0;
            Superblock next = withReserve(old, now.resized(geometry, root, head).withSumsRoot(sumsRoot));
            file.sync();
            return next;
        } catch (IOException | RuntimeException e) {
            giveBackAfter(e);
            throw e;
        }
    }

    /**
     * Sets aside what the map of a larger device can need, if that was asked for when the store was made: where it was if it
     * has nothing behind it, else at the end of the file. Pages that are where it was stay there until they are written again.
     */
    private Superblock withReserve(Recovery old, Superblock next) throws IOException {
        Superblock now = old.superblock();
        long setAside = UcowFormat.slotsSetAside(now);
        long wanted = UcowFormat.slotsSetAside(next);
        if (wanted <= setAside) {
            return next;
        }
        long end = old.slots().endOfUsed();
        Superblock grown = next.withMapReserve(now.mapReserve() + setAside == end ? now.mapReserve() : end);
        long room = (now.maxBytes() >>> next.geometry().chunkShift()) - UcowFormat.slotsForMap(now, next.geometry());
        if (now.maxBytes() != 0 && grown.mapReserve() + wanted > room) {
            throw full(NO_ROOM_FOR_MAP);
        }
        UcowFormat.reserveMap(file, grown);
        return grown;
    }

    /** The old superblock counts, and there is no other: what it does not refer to may go. */
    private void giveBackAfter(Exception failure) {
        try {
            Repair.giveBackLeaks(file, bootId);
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** @return the page of the map's root */
    private long writeMap(Recovery old, Geometry geometry) throws IOException {
        Superblock now = old.superblock();
        int uuidHead = (int) (now.uuid().getMostSignificantBits() >>> 32);
        try (RemapTable table = new RemapTable(geometry.chunkCount(), MapPage.FANOUT);
                MapTree tree = new MapTree(file, table, old.freePages(), MapPage.MAGIC_VALUE, uuidHead)) {
            copyEntries(old.table(), table);
            boolean grows = geometry.sizeBytes() > now.geometry().sizeBytes();
            boolean altered = false;
            if (grows) {
                altered = clearTail(old, table);
                altered |= hideOrigin(now.geometry(), geometry.sizeBytes(), table);
                requireRoomForMap(now, geometry, table);
            }
            if (grows && !altered && table.levels() == old.table().levels()) {
                return now.rootPage(); // a map of the old size is one of the new size
            }
            return tree.writeChanges(now.generation() + 1);
        }
    }

    private static void copyEntries(RemapTable from, RemapTable to) {
        for (long chunk = from.nextPresent(0); chunk < to.chunkCount(); chunk = from.nextPresent(chunk + 1)) {
            if (chunk >= from.chunkCount()) {
                return;
            }
            long entry = from.lookup(chunk);
            if (!RemapEntry.isOrigin(entry)) {
                to.publish(chunk, entry);
            }
        }
    }

    /**
     * Makes what lies past the device's end in its last chunk read as zeros.
     *
     * @return true if the chunk's entry is another now
     */
    private boolean clearTail(Recovery old, RemapTable table) throws IOException {
        Geometry from = old.superblock().geometry();
        Blocks blocks = Blocks.finest(from.chunkShift());
        long chunk = from.chunkCount() - 1;
        int length = from.lengthOf(chunk);
        long entry = table.lookup(chunk);
        boolean shows = origin.seekData(from.sizeBytes()) < from.startOf(chunk + 1);
        if (length == from.chunkSize() || RemapEntry.isZero(entry) || (RemapEntry.isOrigin(entry) && !shows)) {
            return false;
        }
        boolean unaltered = RemapEntry.isOrigin(entry);
        int missing = unaltered ? blocks.all() : RemapEntry.missing(entry);
        // The block that the device ends in comes as a whole, where the slot does not have it yet.
        int start = shows && blocks.contains(missing, length) ? blocks.startOf(length) : length;
        int end = shows ? from.chunkSize() : blocks.endOfHeld(missing);
        long slot = unaltered ? SlotRun.slot(old.slots().allocate(1)) : RemapEntry.slotOf(entry);
        if (start < end) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(end);
            origin.read(bytes.limit(length).position(Math.min(start, length)), from.startOf(chunk) + start);
            file.write(bytes.limit(end).position(start), (slot << from.chunkShift()) + start);
        }
        if (old.sums() != null) {
            int shift = from.chunkShift() - SumTable.BLOCK_SHIFT;
            old.sums().forget(slot << shift, (slot + 1) << shift);
        }
        if (shows) {
            int lacking = missing & ~blocks.touched(start, from.chunkSize());
            table.publish(chunk, RemapEntry.withMissing(RemapEntry.slot(slot), lacking));
        }
        return shows;
    }

    /** Makes whole chunks from the old end on ZERO where the origin has data. @return true if there were any */
    private boolean hideOrigin(Geometry from, long sizeBytes, RemapTable table) throws IOException {
        long shownEnd = Math.min(sizeBytes, origin.sizeBytes());
        boolean any = false;
        long chunk = from.chunkCount();
        while (from.startOf(chunk) < shownEnd) {
            long data = origin.seekData(from.startOf(chunk));
            if (data >= shownEnd) {
                break;
            }
            long dataEnd = Math.min(shownEnd, Math.max(data + 1, origin.seekHole(data)));
            any = true;
            for (chunk = from.chunkOf(data); from.startOf(chunk) < dataEnd; chunk++) {
                table.publish(chunk, RemapEntry.ZERO);
            }
        }
        return any;
    }

    /** A larger map has more slots kept for it, at the end of what the store may have: no chunk may be in them. */
    private void requireRoomForMap(Superblock now, Geometry geometry, RemapTable table) throws StoreFullException {
        if (now.maxBytes() == 0) {
            return;
        }
        long end = (now.maxBytes() >>> geometry.chunkShift()) - UcowFormat.slotsForMap(now, geometry);
        for (long chunk = table.nextPresent(0); chunk < table.chunkCount(); chunk = table.nextPresent(chunk + 1)) {
            long entry = table.lookup(chunk);
            if (lastSlot(entry, geometry.chunkShift()) >= end) {
                throw full(NO_ROOM_FOR_MAP);
            }
        }
    }

    /** The last slot that has any of the chunk, -1 if none has. */
    private static long lastSlot(long entry, int chunkShift) {
        if (RemapEntry.isPacked(entry)) {
            return (RemapEntry.packedOffset(entry) + RemapEntry.packedBytes(entry) - 1) >>> chunkShift;
        }
        return RemapEntry.isSlot(entry) ? RemapEntry.slotOf(entry) : -1;
    }

    private StoreFullException full(String why) {
        return new StoreFullException(image + ": " + why, new NativeException("resize", Errno.ENOSPC));
    }
}
