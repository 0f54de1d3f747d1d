package io.ucow.it.bench;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * A block device for the length of a stage, and how to end it: each step that led to it leaves what undoes it.
 *
 * <p>Threading: one thread.
 */
final class Attachment implements Closeable {
    private final Deque<Closeable> undo = new ArrayDeque<>();
    private Path device;

    /** Undoes the last step; steps are undone last first. */
    void onClose(Closeable step) {
        undo.push(step);
    }

    /** @param newDevice {@code /dev/loopN} */
    void setDevice(Path newDevice) {
        device = newDevice;
    }

    /** {@code /dev/loopN}. */
    Path device() {
        return device;
    }

    /** Ends it; what a step that fails has left is taken away with the scratch directory. */
    @Override
    public void close() throws IOException {
        while (!undo.isEmpty()) {
            undo.pop().close();
        }
    }
}
