package io.ucow.store.remap;

/**
 * A run of adjacent slots, packed into a long so that allocating one costs nothing on the heap: the first slot in bits
 * 39..0, how many in bits 62..40.
 */
public final class SlotRun {
    private static final int COUNT_SHIFT = 40;

    private SlotRun() {}

    /** The run of {@code count} slots from {@code slot}, {@code 0 <= slot < RemapEntry.MAX_SLOTS}, {@code 1 <= count < 2^23}. */
    public static long of(long slot, int count) {
        return (long) count << COUNT_SHIFT | slot;
    }

    /** The first slot. */
    public static long slot(long run) {
        return run & (RemapEntry.MAX_SLOTS - 1);
    }

    /** How many slots there are, {@code >= 1}. */
    public static int count(long run) {
        return (int) (run >>> COUNT_SHIFT);
    }

    /** The entry of a chunk held whole in the first slot; those of the following chunks {@link RemapEntry#continues continue} it. */
    public static long entry(long run) {
        return RemapEntry.slot(slot(run));
    }
}
