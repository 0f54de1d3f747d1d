package io.ucow.fuse.jnr;

import com.kenai.jffi.MemoryIO;

/**
 * {@code struct fuse_file_info} of libfuse 2.9 on 64-bit Linux. Source: {@code fuse_common.h}.
 * <pre>
 *   0 s32 flags   O_* of open(2)     16 s32 writepage        24 u64 fh          ours to set in open
 *   8 u64 fh_old                     20 u32 bits: direct_io, keep_cache, ...    32 u64 lock_owner
 * </pre>
 * Not jnr-fuse's class of that name: it makes some ten objects per request.
 */
final class FileInfo {
    static final int FLAGS = 0, FH = 24;

    private static final MemoryIO MEMORY = MemoryIO.getInstance();

    private FileInfo() {}

    static int flags(long fileInfo) {
        return MEMORY.getInt(fileInfo + FLAGS);
    }

    static long fh(long fileInfo) {
        return MEMORY.getLong(fileInfo + FH);
    }

    static void setFh(long fileInfo, long fh) {
        MEMORY.putLong(fileInfo + FH, fh);
    }
}
