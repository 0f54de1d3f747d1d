package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_lseek_in}: 24 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 fh   8 u64 offset   16 u32 whence  SEEK_DATA 3, SEEK_HOLE 4   20 u32 padding
 * </pre>
 */
public final class LseekIn {
    public static final int OFFSET = 8, WHENCE = 16, SIZE = 24;

    private LseekIn() {}

    public static long offset(ByteBuffer body) {
        return body.getLong(OFFSET);
    }

    public static int whence(ByteBuffer body) {
        return body.getInt(WHENCE);
    }
}
