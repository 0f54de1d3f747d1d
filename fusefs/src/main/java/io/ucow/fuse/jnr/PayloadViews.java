package io.ucow.fuse.jnr;

import io.ucow.sys.Libc;
import java.nio.ByteBuffer;

/**
 * Direct buffers over the memory in which libfuse hands over payloads. libfuse takes it from malloc for each request, so
 * a thread meets the same few addresses again and again; their views are kept, and in steady state none is made.
 *
 * <p>Threading: one instance per thread.
 */
final class PayloadViews {
    private static final int SLOT_BITS = 6;
    /** 2^64 divided by the golden ratio: spreads addresses that differ in few bits. */
    private static final long FIBONACCI = 0x9e3779b97f4a7c15L;

    private final long[] addresses = new long[1 << SLOT_BITS];
    private final ByteBuffer[] views = new ByteBuffer[1 << SLOT_BITS];

    /**
     * A view of {@code lengthBytes} at {@code address}, position 0. Good until the next call: the memory behind it is
     * libfuse's again as soon as the request is answered.
     */
    ByteBuffer at(long address, int lengthBytes) {
        int slot = (int) ((address * FIBONACCI) >>> -SLOT_BITS);
        if (addresses[slot] != address || views[slot].capacity() < lengthBytes) {
            views[slot] = Libc.view(address, lengthBytes);
            addresses[slot] = address;
        }
        return views[slot].clear().limit(lengthBytes);
    }
}
