package io.ucow.fuse.direct;

import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.fuse.direct.abi.WriteIn;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.nio.ByteBuffer;

/**
 * The memory of one session thread: a request comes in, and the reply to it goes out, in the same place.
 *
 * <pre>
 *              page boundary
 *   in header | write_in | payload of a write ...          at most maxPayloadBytes
 *   in header | body of any other request ...
 *           out header   | payload of a read, or the body of any reply ...
 * </pre>
 *
 * <p>Payloads start on a page, which lets the kernel copy whole pages, and pass on to {@code O_DIRECT} without another
 * copy. Reply and request overlap, so all of a request is read before anything is put into the reply. The memory is
 * locked: if it had to be supplied while the kernel copies a request into it, and the process were killed then, that
 * request would be lost with {@code EIO}, instead of being sent again to a successor.
 *
 * <p>Threading: one thread at a time.
 */
final class RequestBuffer {
    private static final int PAGE = 4096;
    private static final int REQUEST = PAGE - InHeader.SIZE - WriteIn.SIZE;
    private static final int REPLY = PAGE - OutHeader.SIZE;

    private final long address;
    private final int bytes;
    private final ByteBuffer request;
    private final ByteBuffer requestBody;
    private final ByteBuffer reply;
    private final ByteBuffer payload;

    /**
     * @param maxPayloadBytes longest read or write
     * @throws NativeException {@code ENOMEM} when there is no memory, or the limit of locked memory is reached
     */
    RequestBuffer(int maxPayloadBytes) throws NativeException {
        this.bytes = PAGE + maxPayloadBytes;
        this.address = Libc.lockedMemory(bytes);
        this.request = Libc.view(address + REQUEST, bytes - REQUEST);
        this.requestBody = Libc.view(address + REQUEST + InHeader.SIZE, bytes - REQUEST - InHeader.SIZE);
        this.reply = Libc.view(address + REPLY, bytes - REPLY);
        this.payload = Libc.view(address + PAGE, maxPayloadBytes);
    }

    /** Where the kernel puts a request. */
    long requestAddress() {
        return address + REQUEST;
    }

    /** Room for a request: header, structure and payload. */
    int requestCapacity() {
        return bytes - REQUEST;
    }

    /** Where the kernel takes the reply from. */
    long replyAddress() {
        return address + REPLY;
    }

    /** The request's header at 0. */
    ByteBuffer request() {
        return request;
    }

    /** The request's structure at 0; its limit is the request's end. */
    ByteBuffer requestBody() {
        return requestBody;
    }

    /** The reply's header at 0. */
    ByteBuffer reply() {
        return reply;
    }

    /** What follows the reply's header, or a write's payload, at 0. */
    ByteBuffer payload() {
        return payload;
    }

    /** Gives the memory back; nobody may use this object, or any buffer it gave, from now on. */
    void release() throws NativeException {
        Libc.unreserve(address, bytes);
    }
}
