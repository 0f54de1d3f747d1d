package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A raw file, which grows, or a block device, which cannot, as what is committed to.
 *
 * <p>Threading: as {@link CommitTarget}.
 */
final class FileTarget extends CommitTarget {
    private final LockedFile locked;
    private final FileStatus status;
    private final PositionalFile file;

    /** @param status of the file */
    FileTarget(LockedFile locked, FileStatus status) throws IOException {
        this.locked = locked;
        this.status = status;
        this.file = locked.another();
        readFrom(content(file, status));
    }

    private static FileOrigin content(PositionalFile file, FileStatus status) throws IOException {
        try {
            return new FileOrigin(file, status, file.size());
        } catch (IOException e) {
            Images.closeAfter(e, file);
            throw e;
        }
    }

    @Override
    void requireSame(OriginReference recorded, Path image) throws IOException {
        new FileOrigin(file, status, file.size()).requireSame(recorded, image);
    }

    @Override
    long roomBytes() throws IOException {
        return status.isRegular() ? Long.MAX_VALUE : file.size();
    }

    @Override
    void begin(long leastBytes) throws IOException {
        if (status.isRegular() && file.size() < leastBytes) {
            file.truncate(leastBytes);
        }
        file.writeBehind();
    }

    @Override
    public void write(long offset, ByteBuffer src) throws IOException {
        file.write(src, offset);
    }

    @Override
    public void zeros(long offset, long lengthBytes) throws IOException {
        if (file.seekData(offset) >= offset + lengthBytes) {
            return; // a hole already
        }
        try {
            file.punchHole(offset, lengthBytes);
        } catch (IOException e) {
            int errno = Errno.of(e);
            // A block device takes whole blocks only.
            if (errno != Errno.EOPNOTSUPP && errno != Errno.EINVAL) {
                throw e;
            }
            Zeros.write(file, offset, lengthBytes);
        }
    }

    @Override
    void sync() throws IOException {
        file.sync();
    }

    @Override
    OriginReference finish(String path) throws IOException {
        file.sync();
        return new FileOrigin(file, locked.durableStatus(), file.size()).reference(path);
    }
}
