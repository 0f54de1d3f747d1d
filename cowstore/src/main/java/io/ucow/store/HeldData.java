package io.ucow.store;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * That part of a device which its store holds bytes of, everything else seen as a hole.
 *
 * <p>Threading: as {@link Origin}. What the store comes to hold meanwhile may be passed over.
 */
final class HeldData implements Origin {
    private final BlockDevice device;
    private final Shadow shadow;
    private final long sizeBytes;

    /**
     * @param device the caller's to close
     * @param sizeBytes how much of it, from its beginning
     */
    HeldData(BlockDevice device, Shadow shadow, long sizeBytes) {
        this.device = device;
        this.shadow = shadow;
        this.sizeBytes = sizeBytes;
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        device.read(offset, dst);
    }

    @Override
    public long seekData(long offset) throws IOException {
        long found = shadow.next(Shadow.Kind.DATA, offset, sizeBytes);
        return found < sizeBytes ? found : Long.MAX_VALUE;
    }

    /** @param offset within data, as {@link #seekData} found it */
    @Override
    public long seekHole(long offset) throws IOException {
        return shadow.endOfRun(offset, sizeBytes);
    }

    @Override
    public void close() {}
}
