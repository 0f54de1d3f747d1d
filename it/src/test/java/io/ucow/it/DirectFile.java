package io.ucow.it;

import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * A file or device past the page cache: a write that has returned has been answered by whoever serves the file, and a
 * read asks him. ({@code ExtendedOpenOption.DIRECT} insists on whole units of {@code statfs}, which are chunks here.)
 *
 * <p>Threading: one thread; many may each open the same file.
 */
final class DirectFile implements AutoCloseable {
    /** What offsets and lengths are multiples of. */
    static final int BLOCK = 4096;

    private static final int O_DIRECT = System.getProperty("os.arch").equals("aarch64") ? 0x10000 : 0x4000;

    private final NativeFile file;
    private ByteBuffer buffer = ByteBuffer.allocateDirect(0);

    private DirectFile(NativeFile file) {
        this.file = file;
    }

    static DirectFile open(Path path) throws IOException {
        return new DirectFile(NativeFile.open(path, Libc.O_RDWR | O_DIRECT));
    }

    /** @throws io.ucow.sys.NativeException with the errno that the write was answered with */
    void write(long offset, byte[] bytes) throws IOException {
        ByteBuffer out = buffer(bytes.length);
        out.put(0, bytes);
        file.write(out, offset);
    }

    byte[] read(long offset, int length) throws IOException {
        ByteBuffer in = buffer(length);
        int got = file.read(in, offset);
        if (got != length) {
            throw new AssertionError(file.name() + ": " + got + " bytes instead of " + length + " at " + offset);
        }
        byte[] bytes = new byte[length];
        in.get(0, bytes);
        return bytes;
    }

    /** {@code fallocate(PUNCH_HOLE)}. */
    void punch(long offset, long length) throws IOException {
        file.punchHole(offset, length);
    }

    /** {@code fdatasync}. */
    void sync() throws IOException {
        file.sync();
    }

    private ByteBuffer buffer(int length) {
        if (buffer.capacity() < length) {
            buffer = ByteBuffer.allocateDirect(length + BLOCK).alignedSlice(BLOCK);
        }
        return buffer.clear().limit(length);
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
