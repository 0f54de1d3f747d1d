package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_attr_out}: 104 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 attr_valid  seconds     8 u32 attr_valid_nsec   12 u32 dummy     16 struct fuse_attr
 * </pre>
 */
public final class AttrOut {
    public static final int ATTR_VALID = 0, ATTR_VALID_NSEC = 8, DUMMY = 12, ATTR = 16, SIZE = ATTR + Attr.SIZE;

    private AttrOut() {}

    /**
     * Puts all but the attributes.
     *
     * @param validSeconds how long the kernel may keep the attributes
     */
    public static void putValid(ByteBuffer body, long validSeconds) {
        body.putLong(ATTR_VALID, validSeconds).putInt(ATTR_VALID_NSEC, 0).putInt(DUMMY, 0);
    }
}
