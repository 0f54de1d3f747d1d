package io.ucow.store;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * An origin that whoever it is lent to cannot close.
 *
 * <p>Threading: as {@link Origin}.
 */
final class LentOrigin implements Origin {
    private final Origin origin;

    LentOrigin(Origin origin) {
        this.origin = origin;
    }

    @Override
    public long sizeBytes() {
        return origin.sizeBytes();
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        origin.read(dst, offset);
    }

    @Override
    public long seekData(long offset) throws IOException {
        return origin.seekData(offset);
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return origin.seekHole(offset);
    }

    @Override
    public void close() {}
}
