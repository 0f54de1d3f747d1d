package io.ucow.fuse.direct;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.MemoryDevice;
import io.ucow.fuse.direct.abi.InHeader;
import io.ucow.fuse.direct.abi.Opcode;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.fuse.direct.abi.ReadIn;
import io.ucow.store.CacheMode;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Replies without a copy, to a file in the place of {@code /dev/fuse}. */
class ReplyPipeTest {
    private static final int SIZE = 2 << 20;

    @TempDir
    Path temp;

    private byte[] content;
    private NativeFile data;
    private Path sent;
    private int device;
    private RequestBuffer buffer;
    private ReplyPipe pipe;

    @BeforeEach
    void open() throws IOException {
        content = new byte[SIZE];
        new Random(1).nextBytes(content);
        data = NativeFile.open(Files.write(temp.resolve("data"), content), Libc.O_RDONLY);
        sent = Files.createFile(temp.resolve("sent"));
        device = Libc.open(sent.toString(), Libc.O_RDWR, 0);
        buffer = new RequestBuffer(SIZE);
        pipe = new ReplyPipe(device, buffer);
    }

    @AfterEach
    void close() throws IOException {
        pipe.close();
        buffer.release();
        assertThat(Libc.close(device)).isZero();
        data.close();
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "0, 131072", "4096, 524288", "512, 524288", "77, 524288", "1048575, 524287", "1572864, 524288"})
    void aReplyIsItsHeaderAndTheData(int offset, int length) throws IOException {
        assertThat(pipe.replyTo(0x1122334455667788L).take(data.fd(), offset, length))
                .isTrue();
        assertThat(Files.readAllBytes(sent)).isEqualTo(reply(0x1122334455667788L, offset, length));
    }

    private byte[] reply(long unique, int offset, int length) {
        ByteBuffer reply = ByteBuffer.allocate(OutHeader.SIZE + length).order(ByteOrder.nativeOrder());
        OutHeader.put(reply, OutHeader.SIZE + length, 0, unique);
        return reply.put(OutHeader.SIZE, content, offset, length).array();
    }

    @Test
    void repliesFollowOneAnother() throws IOException {
        assertThat(pipe.replyTo(1).take(data.fd(), 0, 200_000)).isTrue();
        assertThat(pipe.replyTo(2).take(data.fd(), 200_000, 300_000)).isTrue();
        byte[] all = Files.readAllBytes(sent);
        assertThat(Arrays.copyOf(all, OutHeader.SIZE + 200_000)).isEqualTo(reply(1, 0, 200_000));
        assertThat(Arrays.copyOfRange(all, OutHeader.SIZE + 200_000, all.length))
                .isEqualTo(reply(2, 200_000, 300_000));
    }

    /** Nothing of what was not sent comes with the next reply. */
    @Test
    void whatCannotBeTakenLeavesNothing() throws IOException {
        assertThat(pipe.replyTo(1).take(data.fd(), 0, ReplyPipe.MAX_BYTES + 1))
                .as("too long")
                .isFalse();
        assertThat(pipe.replyTo(2).take(data.fd(), SIZE - 200_000, 200_001))
                .as("past the end")
                .isFalse();
        int directory = Libc.open(temp.toString(), Libc.O_RDONLY, 0);
        assertThat(pipe.replyTo(3).take(directory, 0, 200_000)).as("no file").isFalse();
        assertThat(Libc.close(directory)).isZero();
        assertThat(sent).isEmptyFile();
        assertThat(pipe.replyTo(4).take(data.fd(), 5, 200_000)).isTrue();
        assertThat(Files.readAllBytes(sent)).isEqualTo(reply(4, 5, 200_000));
    }

    @Test
    void whatTheKernelRefusesLeavesNothing() throws IOException {
        int file = Libc.dup(device);
        int readOnly = Libc.open(sent.toString(), Libc.O_RDONLY, 0);
        Libc.dup2(readOnly, device);
        assertThatThrownBy(() -> pipe.replyTo(1).take(data.fd(), 0, 200_000))
                .isInstanceOf(NativeException.class)
                .hasMessageContaining("splice");
        Libc.dup2(file, device);
        assertThat(pipe.replyTo(2).take(data.fd(), 5, 200_000)).isTrue();
        assertThat(Files.readAllBytes(sent)).isEqualTo(reply(2, 5, 200_000));
        assertThat(Libc.close(file)).isZero();
        assertThat(Libc.close(readOnly)).isZero();
    }

    @Test
    void largeReadsAreSentThroughItAndOthersAreNot() throws IOException {
        MemoryDevice memory = new MemoryDevice(SIZE);
        memory.inFile = data;
        ImageFile file = new ImageFile("vm1", memory, Map.of());
        Dispatcher dispatcher = new Dispatcher(new Tree(List.of(file)), CacheMode.WRITEBACK);
        int least = ReplyPipe.MIN_BYTES;
        int tooMany = ReplyPipe.MAX_BYTES + 1;
        try (Exchange kernel = new Exchange(dispatcher, SIZE, device)) {
            assertThat(read(kernel, 4096, least - 1)).isEqualTo(OutHeader.SIZE + least - 1);
            assertThat(read(kernel, 4096, tooMany)).isEqualTo(OutHeader.SIZE + tooMany);
            assertThat(sent).isEmptyFile();

            assertThat(read(kernel, 4096, least)).as("nothing is left to send").isZero();
            assertThat(Files.readAllBytes(sent)).isEqualTo(reply(Exchange.UNIQUE, 4096, least));
            assertThat(read(kernel, SIZE - 1000, least)).as("the end").isZero();
            assertThat(sent).hasSize(2 * OutHeader.SIZE + least + 1000);
            assertThat(file.stats().reads()).isEqualTo(4);
            assertThat(file.stats().errors()).isZero();
        }
    }

    private static int read(Exchange kernel, long offset, int length) {
        kernel.putRange(Opcode.READ, 2, ReadIn.SIZE, offset, length);
        return kernel.answer(InHeader.SIZE + ReadIn.SIZE);
    }

    @Test
    void anErrorIsTheAnswerToAReadThatCannotBeSent() throws IOException {
        MemoryDevice memory = new MemoryDevice(SIZE);
        memory.inFile = data;
        ImageFile file = new ImageFile("vm1", memory, Map.of());
        int closed = -1;
        try (Exchange kernel =
                new Exchange(new Dispatcher(new Tree(List.of(file)), CacheMode.WRITEBACK), SIZE, closed)) {
            int length = ReplyPipe.MAX_BYTES;
            assertThat(kernel.ask(Opcode.READ, 2, ReadIn.SIZE, body -> body.putInt(ReadIn.LENGTH, length)))
                    .isEqualTo(-Errno.EBADF);
            assertThat(file.stats().errors()).isEqualTo(1);
        }
    }

    @Test
    void takingAllocatesNothing() throws IOException {
        var memory = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        int nowhere = Libc.open("/dev/null", Libc.O_RDWR, 0);
        try (ReplyPipe toNowhere = new ReplyPipe(nowhere, buffer)) {
            take(toNowhere, 10_000);
            long before = memory.getCurrentThreadAllocatedBytes();
            take(toNowhere, 10_000);
            assertThat(memory.getCurrentThreadAllocatedBytes() - before)
                    .as("bytes for 10000 replies")
                    .isLessThan(5_000);
        }
        assertThat(Libc.close(nowhere)).isZero();
    }

    private void take(ReplyPipe to, int times) throws NativeException {
        for (int i = 0; i < times; i++) {
            if (!to.replyTo(i).take(data.fd(), 4096, ReplyPipe.MIN_BYTES)) {
                throw new AssertionError("not taken");
            }
        }
    }
}
