package io.ucow.sys;

/**
 * What {@code statx(2)} says of a file.
 *
 * @param mode type and permission bits, as {@code st_mode}
 * @param uid owner
 * @param gid group
 * @param inode inode number
 * @param device device the file is on, major number in the upper 32 bits
 * @param deviceNumber device the file is, when it is a device node; same packing
 * @param sizeBytes length in bytes; 0 for a block device, see {@link PositionalFile#size}
 * @param allocatedBytes bytes of storage in use, {@code st_blocks * 512}
 * @param modifiedSeconds last change of the content, seconds since 1970
 * @param modifiedNanos the same, nanoseconds within the second, {@code 0..999_999_999}
 * @param directMemoryAlign what the address of direct I/O must be a multiple of, bytes; 0 when the file has no direct I/O
 * @param directOffsetAlign the same of its offset and length
 */
public record FileStatus(
        int mode,
        int uid,
        int gid,
        long inode,
        long device,
        long deviceNumber,
        long sizeBytes,
        long allocatedBytes,
        long modifiedSeconds,
        int modifiedNanos,
        int directMemoryAlign,
        int directOffsetAlign) {
    private static final int S_IFMT = 0xf000;

    /** True when both are of one file, whatever it was called. */
    public boolean isSameFile(FileStatus other) {
        return device == other.device && inode == other.inode;
    }

    /** True for a regular file. */
    public boolean isRegular() {
        return (mode & S_IFMT) == 0x8000;
    }

    /** True for a block device node. */
    public boolean isBlockDevice() {
        return (mode & S_IFMT) == 0x6000;
    }
}
