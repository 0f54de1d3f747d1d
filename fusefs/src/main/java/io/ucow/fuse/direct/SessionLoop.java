package io.ucow.fuse.direct;

import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One session thread: takes a request, has it answered, sends the reply, until the mount is gone.
 *
 * <p>Threading: {@link #run} by one thread, which uses a descriptor and a buffer of its own.
 */
final class SessionLoop {
    private static final Logger LOG = LoggerFactory.getLogger(SessionLoop.class);

    private final int fd;
    private final Dispatcher dispatcher;
    private final RequestBuffer buffer;
    private final ReplyPipe pipe;

    /** @param pipe to {@code fd} */
    SessionLoop(int fd, Dispatcher dispatcher, RequestBuffer buffer, ReplyPipe pipe) {
        this.fd = fd;
        this.dispatcher = dispatcher;
        this.buffer = buffer;
        this.pipe = pipe;
    }

    /** Returns when the kernel says that the mount is gone. */
    void run() {
        for (int length = receive(); length > 0; length = receive()) {
            int replyLength = dispatcher.answer(buffer, length, pipe);
            if (replyLength > 0) {
                send(replyLength);
            }
        }
    }

    /** @return bytes of the next request, or 0 when there will be none */
    private int receive() {
        while (true) {
            long n = Libc.read(fd, buffer.requestAddress(), buffer.requestCapacity());
            if (n >= InHeader.SIZE) {
                return (int) n;
            }
            switch ((int) -n) {
                case Errno.ENODEV -> {
                    return 0;
                }
                case Errno.ENOENT, Errno.EAGAIN -> {} // the request was withdrawn while it was handed over
                default -> {
                    LOG.error(
                            "a session thread ends: read {} answered {}", Connection.DEVICE, Errno.describe((int) -n));
                    return 0;
                }
            }
        }
    }

    private void send(int length) {
        long n = Libc.write(fd, buffer.replyAddress(), length);
        if (n < 0 && n != -Errno.ENOENT && n != -Errno.ENODEV) {
            // ENOENT: whoever asked was killed and waits no more. ENODEV: the mount is gone.
            refuse((int) -n);
        }
    }

    /** A request whose reply the kernel does not take would be waited for until the mount ends. */
    private void refuse(int errno) {
        LOG.error("the kernel refused a reply: {}", Errno.describe(errno));
        OutHeader.put(buffer.reply(), OutHeader.SIZE, -Errno.EIO, OutHeader.unique(buffer.reply()));
        long n = Libc.write(fd, buffer.replyAddress(), OutHeader.SIZE);
        if (n < 0) {
            LOG.error("and an error in its place: {}", Errno.describe((int) -n));
        }
    }
}
