package io.ucow.fuse.direct.abi;

/**
 * Feature bits of {@code INIT}. Source: {@code include/uapi/linux/fuse.h}, bits 32 and up from {@code flags2}.
 *
 * <p>Asked for, where the kernel has them:
 * <table>
 *   <caption>wanted</caption>
 *   <tr><td>ASYNC_READ<td>read-ahead may have several reads of a file in flight
 *   <tr><td>BIG_WRITES<td>more than a page per write
 *   <tr><td>DO_READDIRPLUS, READDIRPLUS_AUTO<td>{@code ls -l} needs one request instead of one for each file
 *   <tr><td>ASYNC_DIO<td>asynchronous direct I/O, a loop device's, is not waited for one by one
 *   <tr><td>WRITEBACK_CACHE<td>in cache mode {@code writeback} alone
 *   <tr><td>PARALLEL_DIROPS<td>lookups need no lock of the directory
 *   <tr><td>MAX_PAGES<td>1 MiB requests instead of 128 KiB
 *   <tr><td>INIT_EXT<td>there is a second half of these bits
 *   <tr><td>HAS_RESEND<td>a successor can have unanswered requests sent again
 * </table>
 *
 * <p>Left alone: POSIX_LOCKS, FLOCK_LOCKS (the kernel's own locks are right for a file with one server), ATOMIC_O_TRUNC
 * (truncating is refused anyway), EXPORT_SUPPORT (no NFS export), DONT_MASK and POSIX_ACL (nothing is created),
 * SPLICE_* (that the kernel can splice replies, which needs no agreement; a write's payload it would copy all the same), AUTO_INVAL_DATA and
 * EXPLICIT_INVAL_DATA (no one changes a file but through this mount), NO_OPEN_SUPPORT (open sets the cache mode),
 * NO_OPENDIR_SUPPORT, HANDLE_KILLPRIV* (no set-user-id files), ABORT_ERROR, MAP_ALIGNMENT and *_DAX (virtio-fs),
 * CACHE_SYMLINKS, SUBMOUNTS, SECURITY_CTX, CREATE_SUPP_GROUP, HAS_EXPIRE_ONLY, DIRECT_IO_ALLOW_MMAP (a mapping would be a
 * second cache that direct I/O does not see), PASSTHROUGH (the whole file would have to be one other file),
 * ALLOW_IDMAP, OVER_IO_URING (off in the kernel unless its administrator says otherwise), REQUEST_TIMEOUT.
 */
public final class InitFlags {
    public static final long ASYNC_READ = 1L << 0;
    public static final long BIG_WRITES = 1L << 5;
    public static final long DO_READDIRPLUS = 1L << 13;
    public static final long READDIRPLUS_AUTO = 1L << 14;
    public static final long ASYNC_DIO = 1L << 15;
    public static final long WRITEBACK_CACHE = 1L << 16;
    public static final long PARALLEL_DIROPS = 1L << 18;
    public static final long MAX_PAGES = 1L << 22;
    public static final long INIT_EXT = 1L << 30;
    /** Since 7.40, Linux 6.9. */
    public static final long HAS_RESEND = 1L << 39;

    private InitFlags() {}
}
