package io.ucow.fuse.direct;

import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.InitFlags;
import io.ucow.fuse.direct.abi.InitIn;
import io.ucow.fuse.direct.abi.InitOut;
import io.ucow.fuse.direct.abi.Opcode;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.store.CacheMode;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * What the kernel and we agreed on in {@code INIT}, the first request of a connection.
 *
 * @param minor of the kernel's protocol, major 7
 * @param flags {@link InitFlags} in use
 */
record Handshake(int minor, long flags) {
    /** Longest read or write: what {@code FUSE_MAX_PAGES} allows by default ({@code fs.fuse.max_pages_limit}). */
    static final int MAX_PAYLOAD_BYTES = 1 << 20;

    private static final int MAJOR = 7;
    /** Linux 5.4, and with it everything that is written without asking. */
    private static final int MIN_MINOR = 31;

    /** The newest whose meaning we know; the kernel uses the lower of both. */
    private static final int OUR_MINOR = 44;

    private static final int MAX_PAGES = MAX_PAYLOAD_BYTES / 4096;
    /**
     * A loop device's asynchronous I/O counts as background; the kernel's default of 12 would cut its queue of 128 to
     * that.
     */
    private static final int MAX_BACKGROUND = 256;

    private static final int CONGESTION_THRESHOLD = MAX_BACKGROUND * 3 / 4;

    /** Always wanted; {@link InitFlags} says what for. */
    private static final long WANTED = InitFlags.ASYNC_READ
            | InitFlags.BIG_WRITES
            | InitFlags.DO_READDIRPLUS
            | InitFlags.READDIRPLUS_AUTO
            | InitFlags.ASYNC_DIO
            | InitFlags.PARALLEL_DIROPS
            | InitFlags.MAX_PAGES
            | InitFlags.INIT_EXT
            | InitFlags.HAS_RESEND;

    /**
     * Reads the kernel's {@code INIT} from {@code fd} and answers it.
     *
     * @throws IOException in words for a user, if the kernel is too old; it got no answer, and the connection is of no use
     */
    static Handshake perform(int fd, RequestBuffer buffer, CacheMode cache) throws IOException {
        long n = Libc.read(fd, buffer.requestAddress(), buffer.requestCapacity());
        if (n < 0) {
            throw new NativeException("read " + Connection.DEVICE, (int) -n);
        }
        ByteBuffer request = buffer.request();
        if (n < InHeader.SIZE + InitIn.MIN_SIZE || InHeader.opcode(request) != Opcode.INIT) {
            throw new IOException("the kernel's first FUSE request has opcode " + InHeader.opcode(request) + " and " + n
                    + " bytes, expected INIT, opcode " + Opcode.INIT);
        }
        long unique = InHeader.unique(request);
        ByteBuffer body = buffer.requestBody().clear().limit((int) n - InHeader.SIZE);
        int major = InitIn.major(body);
        int minor = InitIn.minor(body);
        if (major != MAJOR || minor < MIN_MINOR) {
            throw new IOException("the kernel speaks FUSE " + major + "." + minor + ", and " + MAJOR + "." + MIN_MINOR
                    + " (Linux 5.4) or newer is needed; use --transport jnr");
        }
        long wanted = cache == CacheMode.WRITEBACK ? WANTED | InitFlags.WRITEBACK_CACHE : WANTED;
        Handshake agreed = new Handshake(minor, wanted & InitIn.flags(body));
        agreed.reply(fd, buffer, unique, Math.min(InitIn.maxReadahead(body), MAX_PAYLOAD_BYTES));
        return agreed;
    }

    private void reply(int fd, RequestBuffer buffer, long unique, int readahead) throws IOException {
        OutHeader.put(buffer.reply(), OutHeader.SIZE + InitOut.SIZE, 0, unique);
        ByteBuffer body = buffer.payload().clear();
        body.put(0, new byte[InitOut.SIZE]);
        InitOut.putVersion(body, MAJOR, OUR_MINOR);
        InitOut.putFlags(body, flags);
        InitOut.putBackground(body, MAX_BACKGROUND, CONGESTION_THRESHOLD);
        InitOut.putSizes(body, readahead, MAX_PAYLOAD_BYTES, MAX_PAGES);
        InitOut.putTimeGranularity(body, 1);
        long n = Libc.write(fd, buffer.replyAddress(), OutHeader.SIZE + InitOut.SIZE);
        if (n < 0) {
            throw new NativeException("write " + Connection.DEVICE, (int) -n);
        }
    }

    /** True if unanswered requests can be sent again to a successor: since Linux 6.9. */
    boolean canResend() {
        return (flags & InitFlags.HAS_RESEND) != 0;
    }
}
