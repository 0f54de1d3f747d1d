package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_dirent}: 24 bytes, then the name, then zeros up to a multiple of 8. {@code struct fuse_direntplus}
 * is the same with a {@code struct fuse_entry_out} before it. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u64 ino   8 u64 off  of the next entry   16 u32 namelen  bytes   20 u32 type  DT_*   24 name
 * </pre>
 */
public final class Dirent {
    public static final int INO = 0, OFF = 8, NAMELEN = 16, TYPE = 20, NAME = 24;
    /** {@code DT_*} of {@code readdir(3)}: bits 12 to 15 of a mode. */
    public static final int DT_DIR = 4, DT_REG = 8;

    private static final int ALIGNMENT = 8;

    private Dirent() {}

    /** Bytes of an entry whose name has {@code nameBytes}. */
    public static int sizeFor(int nameBytes) {
        return (NAME + nameBytes + ALIGNMENT - 1) & -ALIGNMENT;
    }

    /**
     * Puts an entry, padding included.
     *
     * @param at where in {@code body} the structure starts
     */
    public static void put(ByteBuffer body, int at, long ino, long nextOffset, int type, byte[] name) {
        body.putLong(at + sizeFor(name.length) - Long.BYTES, 0); // the padding; what is more of it is overwritten
        body.putLong(at + INO, ino).putLong(at + OFF, nextOffset);
        body.putInt(at + NAMELEN, name.length).putInt(at + TYPE, type);
        body.put(at + NAME, name);
    }
}
