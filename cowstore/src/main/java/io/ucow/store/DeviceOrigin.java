package io.ucow.store;

import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A device seen as an origin: with zeros past its end.
 *
 * <p>Threading: as {@link Origin}.
 */
final class DeviceOrigin implements Origin {
    private final BlockDevice device;

    /** Takes ownership of {@code device}, which nobody writes to. */
    DeviceOrigin(BlockDevice device) {
        this.device = device;
    }

    @Override
    public long sizeBytes() {
        return device.sizeBytes();
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        int limit = dst.limit();
        long available = Math.max(0, sizeBytes() - offset);
        if (available < dst.remaining()) {
            dst.limit(dst.position() + (int) available);
        }
        if (dst.hasRemaining()) {
            device.read(offset, dst);
        }
        Zeros.fill(dst.limit(limit));
    }

    @Override
    public boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return lengthBytes <= sizeBytes() - offset && device.splice(offset, lengthBytes, target);
    }

    @Override
    public long seekData(long offset) throws IOException {
        long found = offset < sizeBytes() ? device.seekData(offset) : sizeBytes();
        return found < sizeBytes() ? found : Long.MAX_VALUE;
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return offset < sizeBytes() ? device.seekHole(offset) : offset;
    }

    @Override
    public void close() throws IOException {
        device.close();
    }
}
