package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_open_out}: 16 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 fh  echoed in every request on this open file    8 u32 open_flags  FOPEN_*    12 s32 backing_id
 * </pre>
 */
public final class OpenOut {
    public static final int FH = 0, OPEN_FLAGS = 8, BACKING_ID = 12, SIZE = 16;

    /** Data goes past the kernel's page cache. */
    public static final int FOPEN_DIRECT_IO = 1;
    /** What is cached from an earlier open is still true. */
    public static final int FOPEN_KEEP_CACHE = 1 << 1;
    /** {@code FLUSH} is of no use when the file is closed. */
    public static final int FOPEN_NOFLUSH = 1 << 5;
    /** Direct writes need not exclude each other. */
    public static final int FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;

    private OpenOut() {}

    public static void put(ByteBuffer body, long fh, int openFlags) {
        body.putLong(FH, fh).putInt(OPEN_FLAGS, openFlags).putInt(BACKING_ID, 0);
    }
}
