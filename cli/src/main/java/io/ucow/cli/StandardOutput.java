package io.ucow.cli;

import io.ucow.store.StoreFullException;
import io.ucow.sys.Errno;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Standard output, which can tell whether all got there: a {@link java.io.PrintWriter} falls silent when it cannot write,
 * and {@code ucow changed >FILE} on a full disk must not look as if that were all that has changed.
 *
 * <p>Threading: one thread.
 */
final class StandardOutput extends OutputStream {
    private final OutputStream to;
    /** A symbolic link to what that is, as the kernel has them. */
    private final Path link;

    /** The first; null as long as there is none. */
    private IOException failure;

    StandardOutput() {
        this(new FileOutputStream(FileDescriptor.out), Path.of("/proc/self/fd/1"));
    }

    StandardOutput(OutputStream to, Path link) {
        this.to = to;
        this.link = link;
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int start, int length) throws IOException {
        try {
            to.write(bytes, start, length);
        } catch (IOException e) {
            if (failure == null) {
                failure = e;
            }
            throw e;
        }
    }

    /**
     * Does nothing if all was written, or if the reader of a pipe went away, who has seen enough.
     *
     * @throws StoreFullException if there was no space
     * @throws IOException if it could not be written for another reason
     */
    void requireComplete() throws IOException {
        if (failure == null || isPipe()) {
            return;
        }
        String problem = "standard output: " + failure.getMessage() + "; what was to be printed is not all there";
        throw Errno.of(failure) == Errno.ENOSPC
                ? new StoreFullException(problem, failure)
                : new IOException(problem, failure);
    }

    private boolean isPipe() throws IOException {
        String leadsTo = Files.readSymbolicLink(link).toString();
        return leadsTo.startsWith("pipe:") || leadsTo.startsWith("socket:");
    }
}
