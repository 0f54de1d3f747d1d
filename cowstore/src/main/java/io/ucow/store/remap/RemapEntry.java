package io.ucow.store.remap;

/**
 * Where one chunk's bytes are, packed into a long: the element of {@link RemapTable}, of a map page and of a journal
 * record alike, so that a recorded entry is the published one bit for bit.
 * <pre>
 *   63 62  61     60 .. 56   55 .. 40    39 .. 0
 *   kind   frozen  reserved  reserved    slot                   kind SLOT
 *   kind   frozen  reserved  stored length and offset, sectors  kind PACKED: 12 and 44 bits
 * </pre>
 * Kind 0 with every other bit clear is ORIGIN, so an untouched page of memory means "unaltered". Reserved bits are 0 in
 * version 1: 55..40 are set aside for which sixteenths of a slot are valid, 56 for slots pinned by the kernel. FROZEN
 * is set in memory alone, by whoever is about to move the chunk; an entry on disk that has it is corrupt.
 */
public final class RemapEntry {
    /** Unaltered: the origin has the bytes. */
    public static final long ORIGIN = 0;
    /** Reads as zeros, holds no slot. */
    public static final long ZERO = 1L << 62;

    /** Slots are numbered below this. */
    public static final long MAX_SLOTS = 1L << 40;

    private static final int KIND_SHIFT = 62;
    private static final long SLOT_KIND = 2;
    private static final long PACKED_KIND = 3;
    private static final long SLOT_MASK = MAX_SLOTS - 1;

    private RemapEntry() {}

    /** The entry of a chunk held whole in {@code slot}, {@code 0 <= slot < MAX_SLOTS}. */
    public static long slot(long slot) {
        return SLOT_KIND << KIND_SHIFT | slot;
    }

    /** The slot of an entry for which {@link #isSlot} holds. */
    public static long slotOf(long entry) {
        return entry & SLOT_MASK;
    }

    /** True when the chunk is unaltered. */
    public static boolean isOrigin(long entry) {
        return entry == ORIGIN;
    }

    /** True when the chunk reads as zeros without a slot. */
    public static boolean isZero(long entry) {
        return entry == ZERO;
    }

    /** True when the chunk is held whole in a slot and may be written in place. */
    public static boolean isSlot(long entry) {
        return entry >>> KIND_SHIFT == SLOT_KIND && (entry & ~(SLOT_KIND << KIND_SHIFT) & ~SLOT_MASK) == 0;
    }

    /** True when the store has the bytes in a form that must be copied before it is written. */
    public static boolean isPacked(long entry) {
        return entry >>> KIND_SHIFT == PACKED_KIND;
    }

    /** True when {@code next}, the following chunk's entry, carries on where {@code entry} ends: one I/O serves both. */
    public static boolean continues(long entry, long next) {
        return isSlot(entry) ? next == entry + 1 && isSlot(next) : next == entry && !isPacked(entry);
    }

    /** True for the bit patterns that version 1 allows on disk. */
    public static boolean isValid(long entry) {
        return entry == ORIGIN || entry == ZERO || isSlot(entry);
    }
}
