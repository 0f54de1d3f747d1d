package io.ucow.fuse.direct;

import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.SpliceTarget;
import java.io.Closeable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends the reply to a large read without reading: the header is put into a pipe, after it references to the pages that
 * hold the data in the page cache, and the kernel copies from those to whoever asked. So data is copied once instead of
 * twice. Between requests the pipe is empty.
 *
 * <p>Threading: one thread at a time. Nothing is allocated but by errors.
 */
final class ReplyPipe implements SpliceTarget, Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(ReplyPipe.class);

    /** Shorter reads are no faster this way: a system call more, and some work for each page. Measured. */
    static final int MIN_BYTES = 128 << 10;

    /**
     * Longer reads are not taken, so that a pipe need be no larger than anybody may have, 1 MiB (the default of {@code
     * /proc/sys/fs/pipe-max-size}): a page of it is for the header, and one more for a range that starts within a page.
     */
    static final int MAX_BYTES = 512 << 10;

    private static final int PIPE_BYTES = 1 << 20;
    /** In place of descriptors: nothing is taken. */
    private static final int NONE = -1;

    private final int device;
    private final RequestBuffer buffer;
    private final int in;
    private final int out;
    private final ByteBuffer offset = ByteBuffer.allocateDirect(Long.BYTES).order(ByteOrder.nativeOrder());
    private final long offsetAddress = Libc.addressOf(offset);
    private long unique;

    /**
     * @param device where replies go, {@code /dev/fuse}; stays the caller's
     * @param buffer of the same thread; once a request's data is asked for here it may be overwritten
     */
    ReplyPipe(int device, RequestBuffer buffer) {
        this.device = device;
        this.buffer = buffer;
        int[] ends = {NONE, NONE};
        try {
            ends = Libc.pipe(PIPE_BYTES);
        } catch (NativeException e) {
            LOG.warn("large reads go without a pipe, and are copied twice: {}", e.getMessage());
        }
        this.out = ends[0];
        this.in = ends[1];
    }

    /** Says which request {@link #take} is to answer. */
    ReplyPipe replyTo(long request) {
        unique = request;
        return this;
    }

    /** Sends the reply. @throws NativeException if the kernel does not take it; nothing was sent then */
    @Override
    public boolean take(int fd, long fileOffset, int lengthBytes) throws NativeException {
        if (in == NONE || lengthBytes > MAX_BYTES || !fill(fd, fileOffset, lengthBytes)) {
            return false;
        }
        int replyBytes = OutHeader.SIZE + lengthBytes;
        long n = Libc.splice(out, device, replyBytes);
        if (n == replyBytes) {
            return true;
        }
        empty();
        if (n == -Errno.ENOENT || n == -Errno.ENODEV) {
            return true; // whoever asked was killed and waits no more, or the mount is gone
        }
        throw new NativeException("splice to " + Connection.DEVICE, n < 0 ? (int) -n : Errno.EIO);
    }

    private boolean fill(int fd, long fileOffset, int lengthBytes) {
        OutHeader.put(buffer.reply(), OutHeader.SIZE + lengthBytes, 0, unique);
        if (Libc.write(in, buffer.replyAddress(), OutHeader.SIZE) != OutHeader.SIZE) {
            empty();
            return false;
        }
        offset.putLong(0, fileOffset);
        int done = 0;
        while (done < lengthBytes) {
            long n = Libc.sendfile(in, fd, offsetAddress, lengthBytes - done);
            if (n <= 0) {
                empty();
                return false;
            }
            done += (int) n;
        }
        return true;
    }

    private void empty() {
        long n;
        do {
            n = Libc.read(
                    out,
                    buffer.replyAddress(),
                    OutHeader.SIZE + buffer.payload().capacity());
        } while (n > 0);
    }

    @Override
    public void close() throws NativeException {
        int r = in == NONE ? 0 : Math.min(Libc.close(in), Libc.close(out));
        if (r < 0) {
            throw new NativeException("close of a pipe", -r);
        }
    }
}
