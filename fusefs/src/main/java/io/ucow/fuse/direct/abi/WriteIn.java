package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_write_in}: 40 bytes, then the payload. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 fh   8 u64 offset   16 u32 size   20 u32 write_flags   24 u64 lock_owner   32 u32 flags   36 u32 padding
 * </pre>
 */
public final class WriteIn {
    public static final int OFFSET = 8, LENGTH = 16, SIZE = 40;

    private WriteIn() {}

    public static long offset(ByteBuffer body) {
        return body.getLong(OFFSET);
    }

    /** Bytes of payload. */
    public static int size(ByteBuffer body) {
        return body.getInt(LENGTH);
    }
}
