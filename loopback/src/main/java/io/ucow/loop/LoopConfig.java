package io.ucow.loop;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * {@code struct loop_config}: 304 bytes, host order, Linux 5.8. Source: {@code include/uapi/linux/loop.h}.
 * <pre>
 *   0 u32 fd           of the open file            8 struct loop_info64 info, see LoopInfo64
 *   4 u32 block_size   bytes, 0 lets it choose   240 u64[8] reserved, zero
 * </pre>
 */
final class LoopConfig {
    static final int FD = 0, BLOCK_SIZE = 4, INFO = 8, SIZE = 304;

    private LoopConfig() {}

    /** A filled structure: the whole file, attached as {@code options} ask. */
    static ByteBuffer of(int fd, LoopOptions options, byte[] fileName) {
        ByteBuffer config = ByteBuffer.allocateDirect(SIZE).order(ByteOrder.nativeOrder());
        config.putInt(FD, fd);
        config.putInt(BLOCK_SIZE, options.sectorBytes());
        LoopInfo64.encode(config, INFO, 0, 0, flags(options), fileName);
        return config;
    }

    private static int flags(LoopOptions options) {
        return (options.readOnly() ? LoopIoctl.LO_FLAGS_READ_ONLY : 0)
                | (options.directIo() ? LoopIoctl.LO_FLAGS_DIRECT_IO : 0)
                | (options.partitionScan() ? LoopIoctl.LO_FLAGS_PARTSCAN : 0)
                | (options.autoclear() ? LoopIoctl.LO_FLAGS_AUTOCLEAR : 0);
    }
}
