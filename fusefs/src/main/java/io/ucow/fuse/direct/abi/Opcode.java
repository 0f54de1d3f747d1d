package io.ucow.fuse.direct.abi;

/**
 * What a request asks for: {@code enum fuse_opcode}, those that are answered with more than {@code ENOSYS}. Source: {@code
 * include/uapi/linux/fuse.h}.
 */
public final class Opcode {
    public static final int LOOKUP = 1;
    /** Has no reply. */
    public static final int FORGET = 2;

    public static final int GETATTR = 3, SETATTR = 4;
    public static final int OPEN = 14, READ = 15, WRITE = 16, STATFS = 17, RELEASE = 18, FSYNC = 20;
    public static final int GETXATTR = 22, LISTXATTR = 23, FLUSH = 25, INIT = 26;
    public static final int OPENDIR = 27, READDIR = 28, RELEASEDIR = 29, FSYNCDIR = 30;
    /** Has no reply of its own. */
    public static final int INTERRUPT = 36;

    public static final int DESTROY = 38;
    /** Has no reply. */
    public static final int BATCH_FORGET = 42;

    public static final int FALLOCATE = 43, READDIRPLUS = 44, LSEEK = 46;

    /** Whatever would add, remove, rename or re-own a file: refused, where the kernel asks for it. */
    public static final int SYMLINK = 6, MKNOD = 8, MKDIR = 9, UNLINK = 10, RMDIR = 11, RENAME = 12, LINK = 13;

    public static final int CREATE = 35, RENAME2 = 45, TMPFILE = 51;

    private Opcode() {}
}
