package io.ucow.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A {@link Commit} of an image while it is served.
 * <pre>
 *   1. requests wait: mark the image, and open it again over its base open for writing
 *   2. copy all of it down, then again and again what was changed meanwhile, until that is little
 *   3. requests wait: copy the rest, record what the base is now, and open the image again, empty
 * </pre>
 * Copying while requests run does no harm: what is copied is what the image hides, wholly or half, old or new.
 *
 * <p>All the time the base is locked: as for reading while the image is still, or again, opened on it as ever, and else against
 * everybody.
 *
 * <p>Threading: the caller's thread, and one beside it; nobody else closes the image meanwhile.
 */
public final class OnlineCommit {
    private static final Logger LOG = LoggerFactory.getLogger(OnlineCommit.class);

    /** What may be left for the time in which requests wait. */
    private static final long LAST_BYTES = 16 << 20;

    /** Even a guest that writes half as fast as this copies makes less each time. */
    private static final int MAX_ROUNDS = 50;

    private final SwappableDevice served;
    private final Path image;
    private final OpenOptions options;
    private final LongConsumer progress;
    private Commit commit;
    private DirtyBlocks changed;
    /** How the image is opened as ever; null while that is how it is opened. */
    private SwappableDevice.Opener usual;
    /** As it is served; written while requests wait. */
    private CowDevice device;
    /** Why it could not be opened over the base open for writing; null if it could. */
    private IOException notOpened;

    private OnlineCommit(SwappableDevice served, Path image, OpenOptions options, LongConsumer progress) {
        this.served = served;
        this.image = image;
        this.options = options;
        this.progress = progress;
    }

    /**
     * Merges the image that {@code served} serves into its base, as {@link Images#commit}. If this fails, the image is served
     * on, holds what it held, and can be committed again.
     *
     * @param options how it is opened
     * @param progress told of how many further bytes have been dealt with, and of 0 now and then; all calls together make
     *     the device's size. To give the commit up, throw an unchecked exception.
     * @throws IOException as {@link Images#commit}; if the base is smaller than the device and cannot grow; if the guest
     *     writes faster than can be copied
     */
    public static void run(SwappableDevice served, Path image, OpenOptions options, LongConsumer progress)
            throws IOException {
        new OnlineCommit(served, image, options, progress).run();
    }

    private void run() throws IOException {
        served.requireSameOrigin();
        try (Commit held = Commit.hold(served.lockedImage(), step -> {})) {
            commit = held;
            runHeld();
        }
    }

    private void runHeld() throws IOException {
        long before = System.nanoTime();
        if (!served.whileClosed(() -> {}, this::begin)) {
            progress.accept(served.sizeBytes());
            return;
        }
        long begun = System.nanoTime();
        try {
            if (notOpened != null) {
                throw notOpened;
            }
            copy();
            long copied = System.nanoTime();
            served.whileClosed(this::copyRest, this::complete);
            LOG.info(
                    "committed image={} waitedMillis={} copiedMillis={} waitedAgainMillis={}",
                    image,
                    (begun - before) / 1_000_000,
                    (copied - begun) / 1_000_000,
                    (System.nanoTime() - copied) / 1_000_000);
        } catch (IOException | RuntimeException e) {
            giveUp(e);
            throw e;
        }
    }

    /** @return false if there is nothing to do */
    private boolean begin() throws IOException {
        boolean done = false;
        try {
            commit.lockBase();
            long sizeBytes;
            try (CowDevice closed = commit.open()) {
                if (!commit.hasRoomForAll(closed)) {
                    throw new StoreInUseException(
                            image + ": is larger than its base, which cannot grow; unmount or detach"
                                    + " it, and it can be committed if it holds no more than zeros past the base's end");
                }
                if (!commit.prepare(closed)) {
                    return false;
                }
                sizeBytes = closed.sizeBytes();
                changed = new DirtyBlocks(sizeBytes);
            }
            commit.begin(sizeBytes);
            usual = served.openBy(this::open);
            done = true;
            return true;
        } finally {
            if (!done) {
                commit.shareBase();
            }
        }
    }

    private CowDevice open() throws IOException {
        try {
            device = commit.open(options, changed);
            return device;
        } catch (IOException e) {
            // The guest comes first.
            notOpened = e;
            SwappableDevice.Opener asEver = usual;
            end();
            return asEver.open();
        }
    }

    private void copy() throws IOException {
        commit.copy(device, progress);
        for (int round = 0; round < MAX_ROUNDS; round++) {
            if (changed.bytes() <= LAST_BYTES) {
                return;
            }
            commit.copyChanged(device, changed, () -> progress.accept(0));
        }
        throw new IOException(
                image + ": is written to as fast as it can be committed; try again when it is not so busy;"
                        + " nothing is lost");
    }

    private void copyRest() throws IOException {
        commit.copyChanged(device, changed, () -> {});
    }

    private Void complete() throws IOException {
        try {
            commit.complete();
        } finally {
            end();
        }
        return null;
    }

    /** From here on the image, which is closed, is opened as ever. */
    private void end() throws IOException {
        if (usual != null) {
            served.openBy(usual);
            usual = null;
            try (DirtyBlocks nobodyTells = changed) {
                LOG.debug("bytes changed and not copied: {}", nobodyTells.bytes());
                commit.shareBase();
            }
        }
    }

    private void giveUp(Exception cause) {
        if (usual == null) {
            return;
        }
        try {
            served.whileClosed(() -> {}, () -> {
                end();
                return null;
            });
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }
}
