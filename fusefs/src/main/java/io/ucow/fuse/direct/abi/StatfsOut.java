package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_statfs_out}: 80 bytes, all of it {@code struct fuse_kstatfs}. Source: {@code
 * include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 blocks  in frsize   16 u64 bavail   32 u64 ffree   44 u32 namelen   52 u32 padding
 *   8 u64 bfree               24 u64 files    40 u32 bsize   48 u32 frsize    56 u32 spare[6]
 * </pre>
 */
public final class StatfsOut {
    public static final int BLOCKS = 0, FILES = 24, BSIZE = 40, NAMELEN = 44, FRSIZE = 48, SIZE = 80;

    private StatfsOut() {}

    /** Sets every field; nothing is free. */
    public static void put(ByteBuffer body, long blocks, long files, int blockBytes, int unitBytes, int maxNameBytes) {
        for (int at = 0; at < SIZE; at += Long.BYTES) {
            body.putLong(at, 0);
        }
        body.putLong(BLOCKS, blocks).putLong(FILES, files);
        body.putInt(BSIZE, blockBytes).putInt(NAMELEN, maxNameBytes).putInt(FRSIZE, unitBytes);
    }
}
