package io.ucow.store;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * The base of an image, locked against everybody else, while that image is merged into it: to read as an origin, and to
 * write to from {@link #begin} to {@link #finish}.
 *
 * <p>Threading: reading and writing by any thread; the rest by one, while there are no others.
 */
abstract class CommitTarget implements Origin, DeviceCopy.Sink {
    /** What it reads as; another one before, while and after it is written to. */
    private volatile Origin content;

    private boolean ended;

    /** Sets what it reads as, which {@link #close} closes. */
    final void readFrom(Origin newContent) {
        content = newContent;
    }

    /** Throws as {@link BaseOrigin#requireSame}. */
    abstract void requireSame(OriginReference recorded, Path image) throws IOException;

    /** Bytes that it has room for, from its beginning; {@link Long#MAX_VALUE} where only the disk decides that. */
    abstract long roomBytes() throws IOException;

    /**
     * Opens it for writing, which may change it.
     *
     * @param leastBytes what it is to grow to if it is smaller and can
     */
    abstract void begin(long leastBytes) throws IOException;

    /** Makes all that was written durable. */
    abstract void sync() throws IOException;

    /**
     * Ends writing and makes all of it durable; nobody can change it before {@link #close}.
     *
     * @param path what to call it
     * @return what it is now
     */
    abstract OriginReference finish(String path) throws IOException;

    /** Makes the range, which it has room for, read as zeros. */
    @Override
    public abstract void zeros(long offset, long lengthBytes) throws IOException;

    @Override
    public final long sizeBytes() {
        return content.sizeBytes();
    }

    @Override
    public final void read(ByteBuffer dst, long offset) throws IOException {
        content.read(dst, offset);
    }

    @Override
    public final long seekData(long offset) throws IOException {
        return content.seekData(offset);
    }

    @Override
    public final long seekHole(long offset) throws IOException {
        return content.seekHole(offset);
    }

    /** Ends all use of the base itself, which others may read from then on; what is behind it stays as it is until {@link #close}. */
    final void end() throws IOException {
        if (!ended) {
            ended = true;
            content.close();
        }
    }

    @Override
    public void close() throws IOException {
        end();
    }
}
