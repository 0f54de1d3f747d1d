package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A {@link PositionalFile} on any file system's channel: jimfs in unit tests. Holes are written as zeros. */
public final class ChannelFile implements PositionalFile {
    private final Path path;
    private final FileChannel channel;

    public ChannelFile(Path path) throws IOException {
        this.path = path;
        this.channel =
                FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE);
    }

    @Override
    public String name() {
        return path.toString();
    }

    @Override
    public int read(ByteBuffer dst, long offset) throws IOException {
        int start = dst.position();
        while (dst.hasRemaining()) {
            if (channel.read(dst, offset + dst.position() - start) < 0) {
                break;
            }
        }
        return dst.position() - start;
    }

    @Override
    public void write(ByteBuffer src, long offset) throws IOException {
        long at = offset - src.position();
        while (src.hasRemaining()) {
            int n = channel.write(src, at + src.position());
            assert n > 0;
        }
    }

    @Override
    public void sync() throws IOException {
        channel.force(false);
    }

    @Override
    public void punchHole(long offset, long lengthBytes) throws IOException {
        long end = Math.min(channel.size(), offset + lengthBytes);
        if (offset < end) {
            write(ByteBuffer.allocate((int) (end - offset)), offset);
        }
    }

    @Override
    public void preallocate(long offset, long lengthBytes) throws IOException {
        if (channel.size() < offset + lengthBytes) {
            truncate(offset + lengthBytes);
        }
    }

    @Override
    public long size() throws IOException {
        return channel.size();
    }

    @Override
    public void truncate(long sizeBytes) throws IOException {
        if (channel.size() < sizeBytes) {
            write(ByteBuffer.allocate(1), sizeBytes - 1);
        } else {
            channel.truncate(sizeBytes);
        }
    }

    @Override
    public long allocatedBytes() throws IOException {
        return channel.size();
    }

    @Override
    public long dataBytes(long offset, long lengthBytes) {
        return 0; // neither keeps holes
    }

    @Override
    public boolean tryLock(boolean exclusive) {
        return true;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
