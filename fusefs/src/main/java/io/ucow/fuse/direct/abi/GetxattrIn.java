package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_getxattr_in}: 8 bytes, for {@code GETXATTR} followed by the name and a zero byte. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 size  bytes of room; 0 asks how many are needed     4 u32 padding
 * </pre>
 */
public final class GetxattrIn {
    public static final int ROOM = 0, SIZE = 8;

    private GetxattrIn() {}

    public static int size(ByteBuffer body) {
        return body.getInt(ROOM);
    }
}
