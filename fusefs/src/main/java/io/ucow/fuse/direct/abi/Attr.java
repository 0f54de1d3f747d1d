package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_attr}: 88 bytes. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 ino       16 u64 blocks  512 bytes     48 u32 atimensec   60 u32 mode      76 u32 rdev
 *   8 u64 size      24 u64 atime, mtime, ctime   52 u32 mtimensec   64 u32 nlink     80 u32 blksize
 *                   seconds                      56 u32 ctimensec   68 u32 uid, gid  84 u32 flags
 * </pre>
 */
public final class Attr {
    public static final int INO = 0, FILE_SIZE = 8, BLOCKS = 16, ATIME = 24, MTIME = 32, CTIME = 40;
    public static final int ATIMENSEC = 48, MTIMENSEC = 52, CTIMENSEC = 56, MODE = 60, NLINK = 64;
    public static final int UID = 68, GID = 72, RDEV = 76, BLKSIZE = 80, FLAGS = 84, SIZE = 88;

    private Attr() {}

    /**
     * Puts all but owner and times.
     *
     * @param at where in {@code body} the structure starts
     */
    public static void put(
            ByteBuffer body, int at, long ino, long sizeBytes, long blocks, int mode, int links, int blockBytes) {
        body.putLong(at + INO, ino).putLong(at + FILE_SIZE, sizeBytes).putLong(at + BLOCKS, blocks);
        body.putInt(at + MODE, mode).putInt(at + NLINK, links).putInt(at + RDEV, 0);
        body.putInt(at + BLKSIZE, blockBytes).putInt(at + FLAGS, 0);
    }

    public static void putOwner(ByteBuffer body, int at, int uid, int gid) {
        body.putInt(at + UID, uid).putInt(at + GID, gid);
    }

    /** Sets all three times. */
    public static void putTimes(ByteBuffer body, int at, long seconds, int nanos) {
        body.putLong(at + ATIME, seconds).putLong(at + MTIME, seconds).putLong(at + CTIME, seconds);
        body.putInt(at + ATIMENSEC, nanos).putInt(at + MTIMENSEC, nanos).putInt(at + CTIMENSEC, nanos);
    }
}
