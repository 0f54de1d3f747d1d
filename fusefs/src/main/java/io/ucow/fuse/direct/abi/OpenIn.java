package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_open_in}: 8 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 flags  O_* of open(2)     4 u32 open_flags
 * </pre>
 */
public final class OpenIn {
    public static final int FLAGS = 0, SIZE = 8;

    private OpenIn() {}

    public static int flags(ByteBuffer body) {
        return body.getInt(FLAGS);
    }
}
