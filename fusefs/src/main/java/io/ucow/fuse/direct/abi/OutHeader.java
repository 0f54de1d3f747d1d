package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_out_header}: 16 bytes, host order, at the start of every reply. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 len    bytes, header included     8 u64 unique  the request's, or 0: a message that answers nothing
 *   4 s32 error  0 or -errno; with unique 0 the message's code
 * </pre>
 */
public final class OutHeader {
    public static final int LEN = 0, ERROR = 4, UNIQUE = 8, SIZE = 16;

    /** {@code FUSE_NOTIFY_RESEND}, since 7.40: hand out again what was handed out and not answered. */
    public static final int NOTIFY_RESEND = 7;

    private OutHeader() {}

    public static long unique(ByteBuffer reply) {
        return reply.getLong(UNIQUE);
    }

    public static void put(ByteBuffer reply, int len, int error, long unique) {
        reply.putInt(LEN, len).putInt(ERROR, error).putLong(UNIQUE, unique);
    }
}
