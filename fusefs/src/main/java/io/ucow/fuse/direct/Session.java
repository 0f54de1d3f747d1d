package io.ucow.fuse.direct;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The threads that answer one mount's requests, from the handshake until the kernel says that it is gone: one for each
 * descriptor of the connection.
 *
 * <p>Threading: {@link #start} once; everything else happens on the session's threads.
 */
final class Session {
    /**
     * How many requests of a mount are worked on at once. While data comes from the page cache two for each processor
     * are enough; more keep a disk's queue filled when it does not.
     */
    static final int THREADS = 8;

    private static final Logger LOG = LoggerFactory.getLogger(Session.class);

    private final Path directory;
    private final Connection connection;
    private final List<RequestBuffer> buffers = new ArrayList<>();
    private final List<ReplyPipe> pipes = new ArrayList<>();
    private final AtomicInteger running;
    private final CountDownLatch ended = new CountDownLatch(1);

    /**
     * A session not yet answering.
     *
     * @param connection this session's to close
     */
    Session(Path directory, Connection connection) {
        this.directory = directory;
        this.connection = connection;
        this.running = new AtomicInteger(connection.descriptors().size());
    }

    /**
     * Begins to answer.
     *
     * @param maxPayloadBytes longest read or write that was agreed on
     * @return a latch that opens when the mount is gone and no request is under way
     */
    CountDownLatch start(Dispatcher dispatcher, int maxPayloadBytes) throws IOException {
        List<Integer> descriptors = connection.descriptors();
        for (int i = 0; i < descriptors.size(); i++) {
            buffers.add(new RequestBuffer(maxPayloadBytes));
            pipes.add(new ReplyPipe(descriptors.get(i), buffers.get(i)));
        }
        for (int i = 0; i < descriptors.size(); i++) {
            var loop = new SessionLoop(descriptors.get(i), dispatcher, buffers.get(i), pipes.get(i));
            var thread = new Thread(() -> serve(loop), "ucow-fuse-" + directory.getFileName() + "-" + (i + 1));
            // A JVM that exits leaves its mount to a successor, as one that is killed does, or dead.
            thread.setDaemon(true);
            thread.start();
        }
        return ended;
    }

    private void serve(SessionLoop loop) {
        try {
            int r = Libc.setIoFlusher();
            if (r < 0) {
                LOG.debug("PR_SET_IO_FLUSHER refused errno={}", -r);
            }
            loop.run();
        } finally {
            if (running.decrementAndGet() == 0) {
                finish();
            }
        }
    }

    /** On the last thread to leave, so nobody uses descriptors and buffers any more. */
    private void finish() {
        try {
            connection.close();
            for (RequestBuffer buffer : buffers) {
                buffer.release();
            }
            for (ReplyPipe pipe : pipes) {
                pipe.close();
            }
        } catch (IOException e) {
            LOG.warn("mount={} not all was given back", directory, e);
        }
        LOG.info("unmounted={}", directory);
        ended.countDown();
    }
}
