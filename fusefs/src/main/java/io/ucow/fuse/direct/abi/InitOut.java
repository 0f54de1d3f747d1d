package io.ucow.fuse.direct.abi;

import java.nio.ByteBuffer;

/**
 * {@code struct fuse_init_out}: 64 bytes after the header since 7.23. Source: {@code include/uapi/linux/fuse.h}.
 * <pre>
 *   0 u32 major            16 u16 max_background        28 u16 max_pages        36 u32 max_stack_depth
 *   4 u32 minor            18 u16 congestion_threshold  30 u16 map_alignment    40 u16 request_timeout
 *   8 u32 max_readahead    20 u32 max_write  bytes      32 u32 flags2           42 u16 unused[11]
 *  12 u32 flags            24 u32 time_gran  ns
 * </pre>
 */
public final class InitOut {
    public static final int MAJOR = 0, MINOR = 4, MAX_READAHEAD = 8, FLAGS = 12;
    public static final int MAX_BACKGROUND = 16, CONGESTION_THRESHOLD = 18, MAX_WRITE = 20, TIME_GRAN = 24;
    public static final int MAX_PAGES = 28, FLAGS2 = 32, SIZE = 64;

    private InitOut() {}

    public static void putVersion(ByteBuffer body, int major, int minor) {
        body.putInt(MAJOR, major).putInt(MINOR, minor);
    }

    public static void putFlags(ByteBuffer body, long flags) {
        body.putInt(FLAGS, (int) flags).putInt(FLAGS2, (int) (flags >>> 32));
    }

    /**
     * Puts how many requests may wait.
     *
     * @param maxBackground requests of read-ahead, write-back and asynchronous direct I/O in flight at once
     */
    public static void putBackground(ByteBuffer body, int maxBackground, int congestionThreshold) {
        body.putShort(MAX_BACKGROUND, (short) maxBackground)
                .putShort(CONGESTION_THRESHOLD, (short) congestionThreshold);
    }

    /**
     * Puts how long requests may be.
     *
     * @param maxWrite longest payload of a write in bytes; {@code maxPages} is that of any request, in pages
     */
    public static void putSizes(ByteBuffer body, int maxReadahead, int maxWrite, int maxPages) {
        body.putInt(MAX_READAHEAD, maxReadahead).putInt(MAX_WRITE, maxWrite).putShort(MAX_PAGES, (short) maxPages);
    }

    public static void putTimeGranularity(ByteBuffer body, int nanos) {
        body.putInt(TIME_GRAN, nanos);
    }
}
