package io.ucow.store.journal;

import io.ucow.store.Geometry;
import io.ucow.store.format.MapPage;
import io.ucow.store.remap.SumTable;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.util.function.LongConsumer;

/**
 * The pages of a store's metadata slots that no tree occupies; it takes another slot when there are none left, one of
 * those that are set aside for it if there are any.
 *
 * <p>Threading: confined to recovery and then to the holder of the checkpoint lock.
 */
final class PagePool implements AutoCloseable {
    private final SlotAllocator slots;
    private final int pagesPerSlotShift;
    private final LongStack free = new LongStack();
    /** Free pages that are not to be used, because their slots are to be given back. */
    private final LongStack withheld = new LongStack();
    /** Slots that are set aside, used where a page is, or was and is free now; null where none are. */
    private SlotAllocator reserve;

    PagePool(SlotAllocator slots, int chunkShift) {
        this.slots = slots;
        this.pagesPerSlotShift = chunkShift - MapPage.SHIFT;
    }

    /**
     * Slots that all pages of a store's trees take twice: never more are in use, because a new one is taken only when every
     * page of those there are belongs to the current trees or to the ones that are being written.
     *
     * @param summedBytes what the file may grow to if there are checksums of it, else 0
     */
    static long mostSlots(Geometry geometry, long summedBytes) {
        long pages = MapPage.pages(geometry.chunkCount());
        if (summedBytes > 0) {
            pages += MapPage.pages(SumTable.valuesOf(summedBytes)) + SumTable.LEVELS;
        }
        int pagesPerSlot = 1 << (geometry.chunkShift() - MapPage.SHIFT);
        return (2 * pages + pagesPerSlot - 1) / pagesPerSlot;
    }

    /** Has the allocator keep these slots for this pool's pages, which go there first. To be called once, before any is taken. */
    void setAside(long firstSlot, long count) throws NativeException {
        reserve = new SlotAllocator("reserve", firstSlot, count, 0);
        for (long slot = firstSlot; slot < firstSlot + count; slot++) {
            slots.take(slot);
        }
    }

    /** True when the slot is one of those set aside. */
    private boolean isSetAside(long slot) {
        return reserve != null && reserve.isInRange(slot);
    }

    /** Takes a slot that is set aside out of the reserve. @return false if it is none, or is taken already */
    boolean takeSetAside(long slot) {
        return isSetAside(slot) && reserve.take(slot);
    }

    /** Adds a page of a metadata slot that no node occupies. */
    void add(long pageNumber) {
        free.push(pageNumber);
    }

    /** A page for a node. */
    long take() throws IOException {
        if (free.isEmpty()) {
            long first = takeSlot() << pagesPerSlotShift;
            for (long number = first + (1L << pagesPerSlotShift) - 1; number >= first; number--) {
                free.push(number);
            }
        }
        return free.pop();
    }

    private long takeSlot() throws IOException {
        long slot = reserve == null ? SlotAllocator.NONE : reserve.takeOne();
        return slot == SlotAllocator.NONE ? slots.allocateForMap() : slot;
    }

    /** True when a page there is to move to a place before {@code firstPage}: those that are set aside stay. */
    boolean isToMove(long pageNumber, long firstPage) {
        return pageNumber >= firstPage && !isSetAside(pageNumber >>> pagesPerSlotShift);
    }

    /** Keeps free pages that {@link #isToMove} from being used; of the others the first is taken first. */
    void withhold(long firstPage) {
        long[] pages = free.sorted();
        free.clear();
        for (int i = pages.length - 1; i >= 0; i--) {
            (isToMove(pages[i], firstPage) ? withheld : free).push(pages[i]);
        }
    }

    /** Ends what {@link #withhold} began: all free pages may be used again. */
    void settle() {
        while (!withheld.isEmpty()) {
            free.push(withheld.pop());
        }
    }

    /**
     * Passes on each slot of pages none of which is in use any more: they are no longer this pool's. What is set aside goes
     * back to its reserve.
     */
    void releaseFreeSlots(LongConsumer owner) {
        long[] pages = free.sorted();
        free.clear();
        int whole = 1 << pagesPerSlotShift;
        for (int end = pages.length; end > 0; ) {
            long slot = pages[end - 1] >>> pagesPerSlotShift;
            if (end >= whole && pages[end - whole] >>> pagesPerSlotShift == slot) {
                if (isSetAside(slot)) {
                    reserve.free(slot, 1);
                } else {
                    owner.accept(slot);
                }
                end -= whole;
            } else {
                free.push(pages[--end]);
            }
        }
    }

    @Override
    public void close() throws NativeException {
        if (reserve != null) {
            reserve.close();
        }
    }
}
