package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_getxattr_out}: 8 bytes, the reply to one that asked how much room is needed. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 size  bytes     4 u32 padding
 * </pre>
 */
public final class GetxattrOut {
    public static final int NEEDED = 0, PADDING = 4, SIZE = 8;

    private GetxattrOut() {}

    public static void put(ByteBuffer body, int neededBytes) {
        body.putInt(NEEDED, neededBytes).putInt(PADDING, 0);
    }
}
