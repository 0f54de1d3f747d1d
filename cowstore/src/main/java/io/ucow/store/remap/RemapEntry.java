package io.ucow.store.remap;

/**
 * Where one chunk's bytes are, packed into a long: the element of {@link RemapTable}, of a map page and of a journal
 * record alike, so that a recorded entry is the published one bit for bit.
 * <pre>
 *   63 62  61     60 .. 56   55 .. 40    39 .. 0
 *   kind   frozen  reserved  missing     slot                   kind SLOT
 *   kind   frozen  reserved  stored length and offset, sectors  kind PACKED: bits 55 .. 44 and 43 .. 0
 * </pre>
 * Kind 0 with every other bit clear is ORIGIN, so an untouched page of memory means "unaltered". A bit of <em>missing</em>
 * is set for each of the chunk's {@link Blocks} that the slot does not hold: the origin has its bytes. A chunk held
 * whole misses nothing. Reserved bits are 0 in version 1; 56 is set aside for slots pinned by the kernel. FROZEN is set in
 * memory alone, by whoever is about to move the chunk; an entry on disk that has it is corrupt.
 */
public final class RemapEntry {
    /** Unaltered: the origin has the bytes. */
    public static final long ORIGIN = 0;
    /** Reads as zeros, holds no slot. */
    public static final long ZERO = 1L << 62;

    /** Slots are numbered below this. */
    public static final long MAX_SLOTS = 1L << 40;

    /** Set, in memory alone, while the chunk is about to move: what says so is of no kind that is written in place. */
    private static final long FROZEN = 1L << 61;

    private static final int KIND_SHIFT = 62;
    private static final int RESERVED_SHIFT = 56;
    private static final int MISSING_SHIFT = 40;
    private static final long SLOT_KIND = 2;
    private static final long PACKED_KIND = 3;
    private static final long SLOT_MASK = MAX_SLOTS - 1;
    private static final int MISSING_MASK = 0xffff;
    private static final int SECTOR_SHIFT = 9;
    private static final int STORED_SHIFT = 44;
    private static final long OFFSET_MASK = (1L << STORED_SHIFT) - 1;
    private static final int STORED_MASK = 0xfff;

    private RemapEntry() {}

    /** The entry of a chunk held whole in {@code slot}, {@code 0 <= slot < MAX_SLOTS}. */
    public static long slot(long slot) {
        return SLOT_KIND << KIND_SHIFT | slot;
    }

    /** The entry of the same slot, lacking the blocks of {@code missing}, {@code 0 .. 0xffff}. */
    public static long withMissing(long entry, int missing) {
        return slot(slotOf(entry)) | (long) missing << MISSING_SHIFT;
    }

    /** The slot of an entry for which {@link #isSlot} holds. */
    public static long slotOf(long entry) {
        return entry & SLOT_MASK;
    }

    /** The blocks, one bit each, that the slot of an entry for which {@link #isSlot} holds does not have. */
    public static int missing(long entry) {
        return (int) (entry >>> MISSING_SHIFT) & MISSING_MASK;
    }

    /** The same entry, frozen: neither {@link #isSlot} nor any other kind but packed. */
    static long frozen(long entry) {
        return entry | FROZEN;
    }

    /** The same entry, not frozen. */
    static long thawed(long entry) {
        return entry & ~FROZEN;
    }

    /** True when the chunk is unaltered. */
    public static boolean isOrigin(long entry) {
        return entry == ORIGIN;
    }

    /** True when the chunk reads as zeros without a slot. */
    public static boolean isZero(long entry) {
        return entry == ZERO;
    }

    /** True when a slot holds the chunk or blocks of it; those it holds may be written in place. */
    public static boolean isSlot(long entry) {
        return entry >>> RESERVED_SHIFT == SLOT_KIND << (KIND_SHIFT - RESERVED_SHIFT);
    }

    /** True when a slot holds the whole chunk. */
    public static boolean isWhole(long entry) {
        return entry >>> MISSING_SHIFT == SLOT_KIND << (KIND_SHIFT - MISSING_SHIFT);
    }

    /** True when a slot holds some blocks of the chunk, and the origin has the others. */
    public static boolean isPartial(long entry) {
        return isSlot(entry) && missing(entry) != 0;
    }

    /** True when both are of the same slot. */
    public static boolean isSameSlot(long entry, long other) {
        return isSlot(entry) && isSlot(other) && slotOf(entry) == slotOf(other);
    }

    /**
     * The entry of a chunk that takes {@code storedBytes} at {@code storeOffset} in another form than a slot's: multiples
     * of 512, {@code 0 <= storeOffset < 2^53}, {@code 0 < storedBytes < 2^21}.
     */
    public static long packed(long storeOffset, int storedBytes) {
        return PACKED_KIND << KIND_SHIFT
                | (long) (storedBytes >>> SECTOR_SHIFT) << STORED_SHIFT
                | storeOffset >>> SECTOR_SHIFT;
    }

    /** Where in the file an entry for which {@link #isPacked} holds has the bytes. */
    public static long packedOffset(long entry) {
        return (entry & OFFSET_MASK) << SECTOR_SHIFT;
    }

    /** How many bytes the file has there. */
    public static int packedBytes(long entry) {
        return ((int) (entry >>> STORED_SHIFT) & STORED_MASK) << SECTOR_SHIFT;
    }

    /** True when the store has the bytes in a form that must be copied before it is written. */
    public static boolean isPacked(long entry) {
        return entry >>> RESERVED_SHIFT == PACKED_KIND << (KIND_SHIFT - RESERVED_SHIFT);
    }

    /**
     * True when {@code next}, the following chunk's entry, carries on where {@code entry} ends: one I/O serves both. A
     * chunk of which blocks are missing neither carries on nor is carried on.
     */
    public static boolean continues(long entry, long next) {
        return isWhole(entry)
                ? next == entry + 1 && isWhole(next)
                : next == entry && (isOrigin(entry) || isZero(entry));
    }

    /** True for packed entries that a store with compression may have on disk: they take something, and less than a slot. */
    public static boolean isValidPacked(long entry, Blocks blocks) {
        return isPacked(entry) && packedBytes(entry) > 0 && packedBytes(entry) < 1 << blocks.chunkShift();
    }

    /**
     * True for the bit patterns that version 1 allows on disk, in a store without compression and of such blocks: a slot misses some of them, but
     * not all, and none that do not exist.
     */
    public static boolean isValid(long entry, Blocks blocks) {
        return entry == ORIGIN || entry == ZERO || isWhole(entry) || (isSlot(entry) && missing(entry) < blocks.all());
    }
}
