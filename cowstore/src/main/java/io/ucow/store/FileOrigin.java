package io.ucow.store;

import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/**
 * The bytes of a regular file or a block device as a base, opened read-only.
 *
 * <p>Threading: any number of threads may read at once.
 */
final class FileOrigin extends BaseOrigin {
    private final PositionalFile file;
    private final long sizeBytes;

    FileOrigin(PositionalFile file, FileStatus status, long sizeBytes) {
        super(file.name(), status, false);
        this.file = file;
        this.sizeBytes = sizeBytes;
    }

    /**
     * @throws DirectIoUnavailableException as {@link CacheMode#accessTo}
     * @throws NativeException {@code ENOENT} if it is missing
     * @throws StoreInUseException if a commit is changing it
     * @throws IOException if it is neither a regular file nor a block device, or may not be read
     */
    static FileOrigin open(Path path, CacheMode cache) throws IOException {
        return open(path, cache, true);
    }

    /** As {@link #open}, also when somebody is changing it: for a look at what it is. */
    static FileOrigin openUnlocked(Path path) throws IOException {
        return open(path, CacheMode.WRITEBACK, false);
    }

    private static FileOrigin open(Path path, CacheMode cache, boolean locked) throws IOException {
        // Before it is opened: that would wait for the writer of a pipe.
        requireFileOrBlockDevice(path, Libc.statx(path));
        NativeFile file = NativeFile.open(path, Libc.O_RDONLY);
        try {
            if (locked) {
                BaseLock.share(file);
            }
            FileStatus status = file.status();
            requireFileOrBlockDevice(path, status);
            long sizeBytes = file.size();
            return new FileOrigin(cache.accessTo(file, true), status, sizeBytes);
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    static void requireFileOrBlockDevice(Path path, FileStatus status) throws UnsupportedFormatException {
        if (!status.isRegular() && !status.isBlockDevice()) {
            throw new UnsupportedFormatException(
                    path + ": is neither a regular file nor a block device; a base must be one of them");
        }
    }

    /** The first {@link ExceptionStoreProvider#HEAD_BYTES} bytes, little-endian, for plug-ins to recognise. */
    ByteBuffer head() throws IOException {
        ByteBuffer head = ByteBuffer.allocateDirect((int) Math.min(sizeBytes, ExceptionStoreProvider.HEAD_BYTES))
                .order(ByteOrder.LITTLE_ENDIAN);
        read(head, 0);
        return head.flip();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        int limit = dst.limit();
        long available = Math.max(0, sizeBytes - offset);
        if (available < dst.remaining()) {
            dst.limit(dst.position() + (int) available);
        }
        int wanted = dst.remaining();
        if (wanted > 0 && file.read(dst, offset) < wanted) {
            throw becameShorter();
        }
        dst.limit(limit);
        Zeros.fill(dst);
    }

    @Override
    public boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return lengthBytes <= sizeBytes - offset && file.splice(offset, lengthBytes, target);
    }

    private OriginChangedException becameShorter() {
        return new OriginChangedException(file.name() + ": base became shorter than " + sizeBytes
                + " bytes while in use; detach, restore it, attach again");
    }

    @Override
    public long seekData(long offset) throws IOException {
        if (offset >= sizeBytes) {
            return Long.MAX_VALUE;
        }
        long found = file.seekData(offset);
        if (found == Long.MAX_VALUE && file.size() < sizeBytes) {
            throw becameShorter(); // what was cut off is no hole
        }
        return found;
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return offset >= sizeBytes ? offset : Math.min(sizeBytes, file.seekHole(offset));
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
