package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import java.io.Closeable;
import java.io.IOException;
import java.util.Collection;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A device behind targets, shared by the table devices that use it and closed with the last of them.
 *
 * <p>Threading: {@link #retain} and {@link #release} may be called from any thread.
 */
final class Backing {
    /** What to do with one backing. */
    interface Action {
        void on(Backing backing) throws IOException;
    }

    private final BlockDevice device;
    private final AtomicInteger users = new AtomicInteger();

    Backing(BlockDevice device) {
        this.device = device;
    }

    BlockDevice device() {
        return device;
    }

    /** Adds a user, who must {@link #release} once. */
    void retain() {
        users.incrementAndGet();
    }

    /** Takes a user away: flushes, and closes if that was the last one. */
    void release() throws IOException {
        if (users.decrementAndGet() == 0) {
            device.close();
        } else {
            device.flush();
        }
    }

    /** Does {@code action} for all, then throws the first failure with the others suppressed. */
    static void forEach(Collection<Backing> backings, Action action) throws IOException {
        Exception first = null;
        for (Backing backing : backings) {
            try {
                action.on(backing);
            } catch (IOException | RuntimeException e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first instanceof IOException e) {
            throw e;
        }
        if (first instanceof RuntimeException e) {
            throw e;
        }
    }

    /** Closes what {@code failure} leaves behind; what goes wrong then is suppressed in it. */
    static void closeAfter(Throwable failure, Closeable opened) {
        try {
            opened.close();
        } catch (IOException | RuntimeException e) {
            failure.addSuppressed(e);
        }
    }
}
