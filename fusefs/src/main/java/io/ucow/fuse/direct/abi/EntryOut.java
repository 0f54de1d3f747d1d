package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_entry_out}: 128 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 nodeid  0: no such name    16 u64 entry_valid  seconds    32 u32 entry_valid_nsec   40 struct fuse_attr
 *   8 u64 generation                 24 u64 attr_valid   seconds    36 u32 attr_valid_nsec
 * </pre>
 */
public final class EntryOut {
    public static final int NODEID = 0, GENERATION = 8, ENTRY_VALID = 16, ATTR_VALID = 24;
    public static final int ENTRY_VALID_NSEC = 32, ATTR_VALID_NSEC = 36, ATTR = 40, SIZE = ATTR + Attr.SIZE;

    private EntryOut() {}

    /**
     * Puts all but the attributes.
     *
     * @param at where in {@code body} the structure starts
     */
    public static void put(ByteBuffer body, int at, long nodeid, long entryValidSeconds, long attrValidSeconds) {
        body.putLong(at + NODEID, nodeid).putLong(at + GENERATION, 0);
        body.putLong(at + ENTRY_VALID, entryValidSeconds).putLong(at + ATTR_VALID, attrValidSeconds);
        body.putInt(at + ENTRY_VALID_NSEC, 0).putInt(at + ATTR_VALID_NSEC, 0);
    }
}
