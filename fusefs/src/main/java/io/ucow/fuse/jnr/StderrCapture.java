package io.ucow.fuse.jnr;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Catches what native code prints to file descriptor 2, the only place where libfuse says why it failed.
 *
 * <p>The descriptor is the whole process's, so lines of other threads that fall into the interval are caught as well.
 * They are not lost: {@link #close} prints what was caught, unless it was taken as the message of a failure.
 *
 * <p>Threading: one capture at a time in a process; its user holds a lock for that.
 */
final class StderrCapture implements AutoCloseable {
    private static final int STDERR = 2;

    private final int caught;
    private final int stderr;
    private boolean taken;

    /** Begins to catch. */
    StderrCapture() throws IOException {
        caught = Libc.memfdCreate("ucow-stderr");
        stderr = Libc.dup(STDERR);
        Libc.dup2(caught, STDERR);
    }

    /** What was caught so far, lines joined by {@code "; "}; the caller passes it on, {@link #close} will not. */
    String takeMessage() throws IOException {
        taken = true;
        return String.join("; ", text().strip().split("\\s*\\n\\s*"));
    }

    /** Ends catching and passes on what was caught. */
    @Override
    public void close() throws IOException {
        Libc.dup2(stderr, STDERR);
        if (!taken) {
            System.err.print(text());
        }
        Libc.close(stderr);
        Libc.close(caught);
    }

    private String text() throws IOException {
        return new String(Files.readAllBytes(Path.of("/proc/self/fd/" + caught)), UTF_8);
    }
}
