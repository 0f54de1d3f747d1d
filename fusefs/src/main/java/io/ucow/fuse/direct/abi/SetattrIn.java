package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_setattr_in}: 88 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 valid  which to set   8 u64 fh     24 u64 lock_owner           56 u32 atimensec, mtimensec, ctimensec
 *   4 u32 padding              16 u64 size   32 u64 atime, mtime, ctime  68 u32 mode, unused, uid, gid, unused
 * </pre>
 */
public final class SetattrIn {
    public static final int VALID = 0, FILE_SIZE = 16, SIZE = 88;
    /** Bits of {@code valid}. */
    public static final int FATTR_MODE = 1, FATTR_UID = 1 << 1, FATTR_GID = 1 << 2, FATTR_SIZE = 1 << 3;

    private SetattrIn() {}

    public static int valid(ByteBuffer body) {
        return body.getInt(VALID);
    }

    public static long size(ByteBuffer body) {
        return body.getLong(FILE_SIZE);
    }
}
