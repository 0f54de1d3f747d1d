package io.ucow.fuse.direct;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The first request of kernels old and new, read from a file in the place of the device; the reply is appended to it. */
class HandshakeTest {
    private static final long UNIQUE = 0x1122334455667788L;
    private static final long ALL = ~0L;
    private static final int BODY_BEFORE_7_36 = InitIn.MIN_SIZE;

    @TempDir
    Path temporary;

    private RequestBuffer buffer;
    private Path file;

    @BeforeEach
    void open() throws IOException {
        buffer = new RequestBuffer(Handshake.MAX_PAYLOAD_BYTES);
        file = temporary.resolve("fuse");
    }

    @AfterEach
    void release() throws NativeException {
        buffer.release();
    }

    private Handshake perform(byte[] request, CacheMode cache) throws IOException {
        Files.write(file, request);
        int fd = Libc.open(file.toString(), Libc.O_RDWR, 0);
        try {
            return Handshake.perform(fd, buffer, cache);
        } finally {
            Libc.close(fd);
        }
    }

    private static byte[] init(int bodyBytes, int major, int minor, int maxReadahead, long flags) {
        byte[] bytes = new byte[InHeader.SIZE + bodyBytes];
        ByteBuffer request = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
        request.putInt(InHeader.LEN, bytes.length)
                .putInt(InHeader.OPCODE, Opcode.INIT)
                .putLong(InHeader.UNIQUE, UNIQUE);
        request.position(InHeader.SIZE);
        ByteBuffer body = request.slice().order(ByteOrder.nativeOrder());
        body.putInt(InitIn.MAJOR, major).putInt(InitIn.MINOR, minor).putInt(InitIn.MAX_READAHEAD, maxReadahead);
        body.putInt(InitIn.FLAGS, (int) flags);
        if (bodyBytes > InitIn.FLAGS2) {
            body.putInt(InitIn.FLAGS2, (int) (flags >>> 32));
        }
        return bytes;
    }

    private static byte[] newest(long flags) {
        return init(InitIn.SIZE, 7, 44, 128 << 10, flags);
    }

    /** The body of what was written after the request, whose header is as it must be. */
    private ByteBuffer reply(byte[] request) throws IOException {
        byte[] all = Files.readAllBytes(file);
        ByteBuffer reply = ByteBuffer.wrap(Arrays.copyOfRange(all, request.length, all.length))
                .order(ByteOrder.nativeOrder());
        assertThat(reply.remaining()).isEqualTo(OutHeader.SIZE + InitOut.SIZE);
        assertThat(reply.getInt(OutHeader.LEN)).isEqualTo(reply.remaining());
        assertThat(reply.getInt(OutHeader.ERROR)).isZero();
        assertThat(OutHeader.unique(reply)).isEqualTo(UNIQUE);
        return reply.position(OutHeader.SIZE).slice().order(ByteOrder.nativeOrder());
    }

    private static long flags(ByteBuffer reply) {
        return Integer.toUnsignedLong(reply.getInt(InitOut.FLAGS)) | (long) reply.getInt(InitOut.FLAGS2) << 32;
    }

    @ParameterizedTest
    @EnumSource(CacheMode.class)
    void aNewKernelIsAskedForAllThatHelps(CacheMode cache) throws IOException {
        byte[] request = newest(ALL);
        Handshake agreed = perform(request, cache);
        assertThat(agreed.canResend()).isTrue();
        assertThat(agreed.minor()).isEqualTo(44);
        ByteBuffer reply = reply(request);
        assertThat(flags(reply)).isEqualTo(agreed.flags());
        assertThat((agreed.flags() & InitFlags.WRITEBACK_CACHE) != 0).isEqualTo(cache == CacheMode.WRITEBACK);
        assertThat(reply.getInt(InitOut.MAJOR)).isEqualTo(7);
        assertThat(reply.getInt(InitOut.MINOR)).isEqualTo(44);
        assertThat(reply.getInt(InitOut.MAX_READAHEAD)).isEqualTo(128 << 10);
        assertThat(reply.getInt(InitOut.MAX_WRITE)).isEqualTo(1 << 20);
        assertThat(reply.getShort(InitOut.MAX_PAGES)).isEqualTo((short) 256);
        assertThat(reply.getShort(InitOut.MAX_BACKGROUND)).isEqualTo((short) 256);
        assertThat(reply.getShort(InitOut.CONGESTION_THRESHOLD)).isEqualTo((short) 192);
        assertThat(reply.getInt(InitOut.TIME_GRAN)).isEqualTo(1);
        byte[] rest = new byte[InitOut.SIZE - InitOut.FLAGS2 - Integer.BYTES];
        reply.get(InitOut.FLAGS2 + Integer.BYTES, rest);
        assertThat(rest).containsOnly(0);
    }

    @Test
    void nothingIsAskedForThatTheKernelHasNot() throws IOException {
        byte[] request = newest(InitFlags.BIG_WRITES | 1L << 1 /* POSIX_LOCKS, not wanted */);
        assertThat(perform(request, CacheMode.WRITEBACK).flags()).isEqualTo(InitFlags.BIG_WRITES);
        assertThat(flags(reply(request))).isEqualTo(InitFlags.BIG_WRITES);
    }

    /** Linux 5.4 to 5.16: no upper flags, whatever follows the body. */
    @ParameterizedTest
    @CsvSource({"31", "32", "35"})
    void kernelsWithoutExtendedFlagsCannotResend(int minor) throws IOException {
        byte[] request = init(BODY_BEFORE_7_36, 7, minor, 128 << 10, ALL);
        Handshake agreed = perform(request, CacheMode.NONE);
        assertThat(agreed.canResend()).isFalse();
        assertThat(agreed.minor()).isEqualTo(minor);
        assertThat(agreed.flags() >>> 32).isZero();
        assertThat(reply(request).getInt(InitOut.FLAGS2)).isZero();
    }

    @Test
    void readAheadIsAtMostOneRequest() throws IOException {
        byte[] request = init(InitIn.SIZE, 7, 44, 16 << 20, ALL);
        perform(request, CacheMode.NONE);
        assertThat(reply(request).getInt(InitOut.MAX_READAHEAD)).isEqualTo(Handshake.MAX_PAYLOAD_BYTES);
    }

    @ParameterizedTest
    @CsvSource({"7,30", "7,8", "6,99", "8,1"})
    void kernelsThatAreTooOldAreNamedAndGetNoAnswer(int major, int minor) throws IOException {
        byte[] request = init(BODY_BEFORE_7_36, major, minor, 0, ALL);
        assertThatThrownBy(() -> perform(request, CacheMode.NONE))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("FUSE " + major + "." + minor)
                .hasMessageContaining("Linux 5.4", "--transport jnr");
        assertThat(Files.size(file)).isEqualTo(request.length);
    }

    @Test
    void anythingButAnInitIsRefused() {
        byte[] read = newest(ALL);
        ByteBuffer.wrap(read).order(ByteOrder.nativeOrder()).putInt(InHeader.OPCODE, Opcode.READ);
        assertThatThrownBy(() -> perform(read, CacheMode.NONE)).hasMessageContaining("opcode 15", "expected INIT");
        byte[] whole = init(BODY_BEFORE_7_36, 7, 44, 0, ALL);
        byte[] cut = Arrays.copyOf(whole, whole.length - 1);
        assertThatThrownBy(() -> perform(cut, CacheMode.NONE)).hasMessageContaining("55 bytes");
        assertThatThrownBy(() -> perform(new byte[0], CacheMode.NONE)).hasMessageContaining("0 bytes");
    }
}
