package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_fallocate_in}: 32 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 fh   8 u64 offset   16 u64 length   24 u32 mode  FALLOC_FL_*   28 u32 padding
 * </pre>
 */
public final class FallocateIn {
    public static final int OFFSET = 8, LENGTH = 16, MODE = 24, SIZE = 32;

    private FallocateIn() {}

    public static long offset(ByteBuffer body) {
        return body.getLong(OFFSET);
    }

    public static long length(ByteBuffer body) {
        return body.getLong(LENGTH);
    }

    public static int mode(ByteBuffer body) {
        return body.getInt(MODE);
    }
}
