package io.ucow.qcow2;

/** An entry of an L1 table: bits 9..55 are the L2 table's offset, 0 for none; bit 63 says that nobody shares the table. */
final class L1Entry {
    static final int BYTES = 8;
    static final long COPIED = 1L << 63;

    /** Bits that are 0. */
    static final long RESERVED = 0x7f00_0000_0000_01ffL;

    private static final long OFFSET_MASK = 0x00ff_ffff_ffff_fe00L;

    private L1Entry() {}

    /** Where the L2 table is; 0 for none. */
    static long offset(long entry) {
        return entry & OFFSET_MASK;
    }

    /** True when the table's reference count is 1: it may be changed in place. */
    static boolean isCopied(long entry) {
        return (entry & COPIED) != 0;
    }
}
