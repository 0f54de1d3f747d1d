package io.ucow.fuse.direct;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.fuse.direct.abi.ReadIn;
import io.ucow.sys.NativeException;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * The kernel's part, played for a {@link Dispatcher}: puts requests into a buffer as a read of {@code /dev/fuse} would,
 * and takes replies from it.
 */
final class Exchange implements AutoCloseable {
    static final long UNIQUE = 0x8000000000001234L;

    private static final int NO_DEVICE = -1;

    private final RequestBuffer buffer;
    private final ReplyPipe pipe;
    private Dispatcher dispatcher;
    private int replyLength;

    Exchange(Dispatcher dispatcher, int maxPayloadBytes) throws NativeException {
        this(dispatcher, maxPayloadBytes, NO_DEVICE);
    }

    /** Sends what goes through a pipe to {@code device}. */
    Exchange(Dispatcher dispatcher, int maxPayloadBytes, int device) throws NativeException {
        this.dispatcher = dispatcher;
        this.buffer = new RequestBuffer(maxPayloadBytes);
        this.pipe = new ReplyPipe(device, buffer);
    }

    /** Talks to another one from now on. */
    void with(Dispatcher another) {
        this.dispatcher = another;
    }

    /** Asks something whose structure has {@code bodyBytes}, zero but for what {@code body} puts. @return error or 0 */
    int ask(int opcode, long node, int bodyBytes, Consumer<ByteBuffer> body) {
        put(opcode, node, bodyBytes, body);
        return send(InHeader.SIZE + bodyBytes);
    }

    /** Asks something that has no structure, but a name, ended by a zero byte. */
    int ask(int opcode, long node, String name) {
        byte[] text = (name + "\0").getBytes(UTF_8);
        return ask(opcode, node, text.length, body -> body.put(0, text));
    }

    /** Puts a request into place. */
    void put(int opcode, long node, int bodyBytes, Consumer<ByteBuffer> body) {
        ByteBuffer structure = buffer.requestBody().clear();
        structure.put(0, new byte[bodyBytes]);
        body.accept(structure);
        putHeader(opcode, node, InHeader.SIZE + bodyBytes);
    }

    /** Puts a request's header alone, over what there is. */
    void putHeader(int opcode, long node, int length) {
        ByteBuffer request = buffer.request();
        request.putInt(InHeader.LEN, length).putInt(InHeader.OPCODE, opcode);
        request.putLong(InHeader.UNIQUE, UNIQUE).putLong(InHeader.NODEID, node);
    }

    /** Puts a read, or a write of whatever is where its payload is; allocates nothing. */
    void putRange(int opcode, long node, int bodyBytes, long offset, int size) {
        buffer.requestBody().clear().putLong(ReadIn.OFFSET, offset).putInt(ReadIn.LENGTH, size);
        putHeader(opcode, node, InHeader.SIZE + bodyBytes);
    }

    /** Hands over what was put. @return the reply's error, which is 0 or {@code -errno} */
    int send(int length) {
        answer(length);
        ByteBuffer reply = buffer.reply();
        assertThat(replyLength).isGreaterThanOrEqualTo(OutHeader.SIZE);
        assertThat(reply.getInt(OutHeader.LEN)).isEqualTo(replyLength);
        assertThat(OutHeader.unique(reply)).isEqualTo(UNIQUE);
        int error = reply.getInt(OutHeader.ERROR);
        if (error != 0) {
            assertThat(error).isNegative();
            assertThat(replyLength).isEqualTo(OutHeader.SIZE);
        }
        return error;
    }

    /** The same without a look at the reply; allocates nothing. @return bytes of the reply; 0 when there is none */
    int answer(int length) {
        replyLength = dispatcher.answer(buffer, length, pipe);
        return replyLength;
    }

    /** Bytes of the last reply's body. */
    int bodyLength() {
        return replyLength - OutHeader.SIZE;
    }

    /** The last reply's body. */
    ByteBuffer body() {
        return buffer.payload().clear().limit(bodyLength());
    }

    @Override
    public void close() throws NativeException {
        pipe.close();
        buffer.release();
    }
}
