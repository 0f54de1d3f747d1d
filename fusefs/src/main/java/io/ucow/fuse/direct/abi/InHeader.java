package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_in_header}: 40 bytes, host order, at the start of every request. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 len     bytes, header included       16 u64 nodeid  1 is the root     36 u16 total_extlen  8-byte units
 *   4 u32 opcode                               24 u32 uid, gid, pid             38 u16 padding
 *   8 u64 unique  echoed in the reply
 * </pre>
 */
public final class InHeader {
    public static final int LEN = 0, OPCODE = 4, UNIQUE = 8, NODEID = 16, SIZE = 40;

    /** {@code FUSE_ROOT_ID}. */
    public static final long ROOT_ID = 1;

    private InHeader() {}

    public static int len(ByteBuffer request) {
        return request.getInt(LEN);
    }

    public static int opcode(ByteBuffer request) {
        return request.getInt(OPCODE);
    }

    /** With the top bit set when the request was handed out before and is sent again. */
    public static long unique(ByteBuffer request) {
        return request.getLong(UNIQUE);
    }

    public static long nodeid(ByteBuffer request) {
        return request.getLong(NODEID);
    }
}
