package io.ucow.loop;

/** The loop driver's ioctl numbers and flags, in its own spelling. Source: {@code include/uapi/linux/loop.h}. */
final class LoopIoctl {
    /** On an open loop device. */
    static final int LOOP_CLR_FD = 0x4C01,
            LOOP_SET_STATUS64 = 0x4C04,
            LOOP_SET_CAPACITY = 0x4C07,
            LOOP_CONFIGURE = 0x4C0A;

    /** On {@code /dev/loop-control}. */
    static final int LOOP_CTL_GET_FREE = 0x4C82;

    static final int LO_FLAGS_READ_ONLY = 1, LO_FLAGS_AUTOCLEAR = 4, LO_FLAGS_PARTSCAN = 8, LO_FLAGS_DIRECT_IO = 16;

    private LoopIoctl() {}
}
