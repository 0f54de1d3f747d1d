package io.ucow.fuse.jnr;

import java.lang.ref.Reference;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import jnr.ffi.Pointer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The threads that answer one mount's requests, from its making until the kernel says that it is gone.
 *
 * <p>Each runs libfuse's single-threaded loop on the shared channel: the loop keeps its buffer to itself, and the kernel
 * gives every request to one reader. libfuse's own multi-threaded loop is not used: it starts and ends threads with the
 * load, each of which would be attached to and detached from the JVM, and sets no limit to their number.
 *
 * <p>Threading: {@link #start} once; everything else happens on the session's threads.
 */
final class Session {
    /** How many requests of a mount are worked on at once; more than loop devices and QEMU keep in flight each. */
    private static final int THREADS = 16;

    private static final Logger LOG = LoggerFactory.getLogger(Session.class);

    private final LibFuse library;
    private final Path directory;
    private final Pointer fuse;
    private final Pointer session;
    private final Pointer channel;
    /** Held so that its callbacks are not collected: libfuse knows only their addresses. */
    private final Operations operations;

    private final AtomicInteger running = new AtomicInteger(THREADS);
    private final CountDownLatch ended = new CountDownLatch(1);

    /**
     * A session not yet answering.
     *
     * @param fuse what {@code fuse_setup} made for {@code operations}; this session's to destroy
     */
    Session(LibFuse library, Path directory, Pointer fuse, Operations operations) {
        this.library = library;
        this.directory = directory;
        this.fuse = fuse;
        this.session = library.fuse_get_session(fuse);
        this.channel = library.fuse_session_next_chan(session, null);
        this.operations = operations;
    }

    /** Begins to answer. @return a latch that opens when the mount is gone and no request is under way */
    CountDownLatch start() {
        for (int i = 1; i <= THREADS; i++) {
            var thread = new Thread(this::serve, "ucow-fuse-" + directory.getFileName() + "-" + i);
            // A JVM that exits leaves a dead mount, as one that is killed does; waiting for it could take for ever.
            thread.setDaemon(true);
            thread.start();
        }
        return ended;
    }

    private void serve() {
        try {
            if (library.fuse_session_loop(session) != 0) {
                LOG.warn("mount={} a thread stopped serving; libfuse printed why", directory);
            }
        } finally {
            if (running.decrementAndGet() == 0) {
                finish();
            }
        }
    }

    /** On the last thread to leave, so nobody uses the channel any more. */
    private void finish() {
        try {
            library.fuse_unmount(directory.toString(), channel);
            library.fuse_destroy(fuse);
        } finally {
            Reference.reachabilityFence(operations);
        }
        LOG.info("unmounted={}", directory);
        ended.countDown();
    }
}
