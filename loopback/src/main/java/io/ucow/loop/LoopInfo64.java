package io.ucow.loop;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * {@code struct loop_info64}: 232 bytes, host order. Source: {@code include/uapi/linux/loop.h}.
 * <pre>
 *   0 u64 lo_device      of the file, kernel sets      48 u32 lo_encrypt_key_size   obsolete
 *   8 u64 lo_inode       of the file, kernel sets      52 u32 lo_flags              LO_FLAGS_*
 *  16 u64 lo_rdevice     kernel sets                   56 u8[64] lo_file_name       for display, ends in a zero byte
 *  24 u64 lo_offset      bytes                        120 u8[64] lo_crypt_name      obsolete
 *  32 u64 lo_sizelimit   bytes, 0 is the whole file   184 u8[32] lo_encrypt_key     obsolete
 *  40 u32 lo_number      kernel sets                  216 u64[2] lo_init            obsolete
 *  44 u32 lo_encrypt_type  obsolete
 * </pre>
 * {@code LOOP_GET_STATUS64} is not used: it asks the file's file system for the inode number, and waits for the
 * answer of a FUSE daemon that may be dead. {@link LoopSysfs} has the same facts without asking.
 */
final class LoopInfo64 {
    static final int LO_OFFSET = 24, LO_SIZELIMIT = 32, LO_FLAGS = 52, LO_FILE_NAME = 56, SIZE = 232;
    static final int LO_NAME_SIZE = 64;

    private LoopInfo64() {}

    /** A zeroed structure on its own, for {@code LOOP_SET_STATUS64}. */
    static ByteBuffer allocate() {
        return ByteBuffer.allocateDirect(SIZE).order(ByteOrder.nativeOrder());
    }

    /**
     * Fills in what the kernel takes from us; {@code base} is where the structure starts within {@code buffer}.
     *
     * @param offsetBytes where in the file the device starts
     * @param sizeLimitBytes longest size of the device, 0 for none
     * @param flags {@code LO_FLAGS_*}
     * @param fileName what old tools show; cut after {@code LO_NAME_SIZE - 1} bytes
     */
    static void encode(ByteBuffer buffer, int base, long offsetBytes, long sizeLimitBytes, int flags, byte[] fileName) {
        buffer.putLong(base + LO_OFFSET, offsetBytes);
        buffer.putLong(base + LO_SIZELIMIT, sizeLimitBytes);
        buffer.putInt(base + LO_FLAGS, flags);
        buffer.put(base + LO_FILE_NAME, fileName, 0, Math.min(fileName.length, LO_NAME_SIZE - 1));
    }
}
