package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_write_out}: 8 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 size  bytes written     4 u32 padding
 * </pre>
 */
public final class WriteOut {
    public static final int WRITTEN = 0, PADDING = 4, SIZE = 8;

    private WriteOut() {}

    public static void put(ByteBuffer body, int writtenBytes) {
        body.putInt(WRITTEN, writtenBytes).putInt(PADDING, 0);
    }
}
