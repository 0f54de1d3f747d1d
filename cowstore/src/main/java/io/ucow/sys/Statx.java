package io.ucow.sys;

import java.nio.ByteBuffer;

/**
 * {@code struct statx}: 256 bytes, host order, the same on every architecture. Source: {@code include/uapi/linux/stat.h}.
 * <pre>
 *   0 u32 mask       28 u16 mode      48 u64 blocks (512 bytes)         128 u32 rdev_major
 *   4 u32 blksize    32 u64 ino      112 s64 mtime seconds              132 u32 rdev_minor
 *  20 u32 uid, gid   40 u64 size     120 u32 mtime nanoseconds          136 u32 dev_major, dev_minor
 *                                    152 u32 dio_mem_align              156 u32 dio_offset_align
 * </pre>
 */
final class Statx {
    static final int MASK = 0, UID = 20, GID = 24, MODE = 28, INO = 32, FILE_SIZE = 40, BLOCKS = 48;
    static final int MTIME_SEC = 112, MTIME_NSEC = 120, RDEV_MAJOR = 128, RDEV_MINOR = 132;
    static final int DEV_MAJOR = 136, DEV_MINOR = 140, DIO_MEM_ALIGN = 152, DIO_OFFSET_ALIGN = 156, SIZE = 256;
    static final int STATX_BASIC_STATS = 0x7ff, STATX_DIOALIGN = 0x2000;
    static final int WANTED = STATX_BASIC_STATS | STATX_DIOALIGN;

    /** Right for every disk, where the kernel (before 6.1) or the file system does not say what would do. */
    private static final int SAFE_ALIGN = 4096;

    private Statx() {}

    static FileStatus decode(ByteBuffer buffer) {
        boolean aligns = (buffer.getInt(MASK) & STATX_DIOALIGN) != 0;
        return new FileStatus(
                Short.toUnsignedInt(buffer.getShort(MODE)),
                buffer.getInt(UID),
                buffer.getInt(GID),
                buffer.getLong(INO),
                deviceNumber(buffer, DEV_MAJOR),
                deviceNumber(buffer, RDEV_MAJOR),
                buffer.getLong(FILE_SIZE),
                buffer.getLong(BLOCKS) * 512,
                buffer.getLong(MTIME_SEC),
                buffer.getInt(MTIME_NSEC),
                aligns ? buffer.getInt(DIO_MEM_ALIGN) : SAFE_ALIGN,
                aligns ? buffer.getInt(DIO_OFFSET_ALIGN) : SAFE_ALIGN);
    }

    private static long deviceNumber(ByteBuffer buffer, int major) {
        return Integer.toUnsignedLong(buffer.getInt(major)) << 32 | Integer.toUnsignedLong(buffer.getInt(major + 4));
    }
}
