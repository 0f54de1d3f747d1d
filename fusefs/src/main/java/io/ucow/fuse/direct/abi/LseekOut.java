package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_lseek_out}: 8 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 offset
 * </pre>
 */
public final class LseekOut {
    public static final int OFFSET = 0, SIZE = 8;

    private LseekOut() {}

    public static void put(ByteBuffer body, long offset) {
        body.putLong(OFFSET, offset);
    }
}
