package io.ucow.store;

import java.io.IOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A place where a thread stops until the test lets it go on; open for good afterwards. */
final class Gate {
    private static final long LIMIT_SECONDS = 30;

    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch open = new CountDownLatch(1);

    /** Stops here until {@link #open}. */
    void pass() throws IOException {
        reached.countDown();
        await(open, "gate was not opened");
    }

    /** Returns when a thread has come to {@link #pass}. */
    void awaitReached() throws IOException {
        await(reached, "nobody came to the gate");
    }

    void open() {
        open.countDown();
    }

    private static void await(CountDownLatch latch, String otherwise) throws IOException {
        try {
            if (!latch.await(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                throw new IOException(otherwise);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(otherwise, e);
        }
    }
}
