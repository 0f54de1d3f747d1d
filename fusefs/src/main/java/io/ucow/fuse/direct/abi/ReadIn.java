package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_read_in}: 40 bytes; {@code READDIR} and {@code READDIRPLUS} have it, too. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 fh   8 u64 offset   16 u32 size   20 u32 read_flags   24 u64 lock_owner   32 u32 flags   36 u32 padding
 * </pre>
 */
public final class ReadIn {
    public static final int OFFSET = 8, LENGTH = 16, SIZE = 40;

    private ReadIn() {}

    public static long offset(ByteBuffer body) {
        return body.getLong(OFFSET);
    }

    /** Bytes wanted. */
    public static int size(ByteBuffer body) {
        return body.getInt(LENGTH);
    }
}
