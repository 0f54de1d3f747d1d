package io.ucow.fuse;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Calls into a file system that may never answer, with a limit on the wait. */
final class Probe {
    private Probe() {}

    /**
     * What {@code call} returns. When it takes longer than {@code limit} its thread is left behind; it ends when the
     * file system answers or goes away.
     *
     * @throws TimeoutException if there was no answer in time
     * @throws IOException what {@code call} threw
     */
    static <T> T within(Duration limit, Callable<T> call) throws IOException, TimeoutException {
        var answer = new FutureTask<T>(call);
        var thread = new Thread(answer, "ucow-probe");
        thread.setDaemon(true);
        thread.start();
        try {
            return answer.get(limit.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            }
            throw new IOException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (IOException) new InterruptedIOException("interrupted while probing a mount").initCause(e);
        }
    }
}
