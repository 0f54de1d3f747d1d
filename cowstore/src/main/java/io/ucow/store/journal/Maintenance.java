package io.ucow.store.journal;

import io.ucow.store.BackgroundThread;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;

/**
 * A store's background thread: runs its task when woken, and once more after a second of quiet while the task says that
 * something is left to do, or while it fails. Of failures in a row only the first is logged: a full disk stays full for
 * long.
 *
 * <p>Threading: {@link #wake} may be called by anyone and does not wait. {@link #stop} returns when the thread has ended.
 */
final class Maintenance {
    private static final long QUIET_MILLIS = 1000;

    /** The work. */
    interface Task {
        /**
         * Does what there is to do. It must not throw anything but what is declared: the thread would end.
         *
         * @param idle true when nobody woke the thread
         * @return true to be called again after a second even if nobody wakes the thread
         */
        boolean run(boolean idle) throws IOException;
    }

    private final Task task;
    private final String name;
    private final Logger log;
    private final BackgroundThread thread;
    private volatile boolean woken;

    Maintenance(Task task, String name, Logger log) {
        this.task = task;
        this.name = name;
        this.log = log;
        this.thread = new BackgroundThread("maintenance " + name, this::loop);
    }

    void start() {
        thread.start();
    }

    void wake() {
        if (!woken) {
            woken = true;
            thread.wake();
        }
    }

    void stop() {
        thread.stop();
    }

    private void loop() throws InterruptedException {
        boolean more = false;
        boolean failing = false;
        while (thread.await(() -> woken, more ? QUIET_MILLIS : Long.MAX_VALUE, TimeUnit.MILLISECONDS)) {
            boolean idle = !woken;
            woken = false;
            try {
                more = task.run(idle);
                if (failing) {
                    log.info("maintenance succeeds again image={}", name);
                    failing = false;
                }
            } catch (IOException e) {
                // The request that needs this work meets the same error and reports it; a full disk may have room
                // later.
                if (!failing) {
                    log.warn("maintenance failed, will try until it succeeds image={}", name, e);
                    failing = true;
                }
                more = true;
            }
        }
    }
}
