package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_init_in}: 64 bytes after the header since 7.36, 16 before. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 major   4 u32 minor   8 u32 max_readahead  bytes   12 u32 flags   16 u32 flags2   20 u32 unused[11]
 * </pre>
 */
public final class InitIn {
    public static final int MAJOR = 0, MINOR = 4, MAX_READAHEAD = 8, FLAGS = 12, FLAGS2 = 16, MIN_SIZE = 16, SIZE = 64;

    private InitIn() {}

    public static int major(ByteBuffer body) {
        return body.getInt(MAJOR);
    }

    public static int minor(ByteBuffer body) {
        return body.getInt(MINOR);
    }

    public static int maxReadahead(ByteBuffer body) {
        return body.getInt(MAX_READAHEAD);
    }

    /** {@link InitFlags} the kernel offers; the upper half only where it says that it is there. */
    public static long flags(ByteBuffer body) {
        long low = Integer.toUnsignedLong(body.getInt(FLAGS));
        boolean extended = (low & InitFlags.INIT_EXT) != 0 && body.limit() >= FLAGS2 + Integer.BYTES;
        return extended ? low | (long) body.getInt(FLAGS2) << 32 : low;
    }
}
