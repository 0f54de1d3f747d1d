package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.SpliceTarget;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An image whose device can be closed and opened again, as another one of the same size or a larger one, while requests
 * come: they wait for as long as that takes, and none of them fails. The image stays locked meanwhile ({@link OwnedImage}), so
 * that nobody takes it who just looked at it.
 *
 * <p>Requests run in sections of a {@link GracePeriod}. {@link #whileClosed} shuts the gate in front of them, waits until
 * those under way have ended, and opens the gate again when there is a device: without it, a request costs two atomic
 * increments and a volatile load.
 *
 * <p>Threading: as {@link BlockDevice}; {@link #whileClosed} and {@link #close} exclude one another, and steps of {@link
 * #compact}. A request allocates nothing.
 */
public final class SwappableDevice implements ImageDevice {
    private static final Logger LOG = LoggerFactory.getLogger(SwappableDevice.class);

    private static final String LOST = "request to an image that could not be opened again";

    /** How long requests wait for somebody who took what the image needs while it was closed. */
    private static final long IN_USE_LIMIT_NANOS = TimeUnit.MINUTES.toNanos(1);

    private static final long IN_USE_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(20);

    /** Guarded by this. */
    private final OwnedImage image;
    /** Guarded by this. */
    private Opener opener;

    private final boolean readOnly;
    private final int granularityBytes;
    private final GracePeriod requests = new GracePeriod();
    /**
     * Held for reading by who looks at the whole image and for writing while it is closed. Taken before the gate is shut:
     * a look may take as long as somebody takes to read the answer.
     */
    private final ReadWriteLock looks = new ReentrantReadWriteLock();
    /** Held during a step of a compaction, and while the image is closed; fair, so that neither waits for long. */
    private final ReentrantLock steps = new ReentrantLock(true);
    /** Shut while not null; counted down when it opens. */
    private volatile CountDownLatch gate;
    /** Written while the gate is shut. */
    private volatile CowDevice device;
    /** Of the device. Written with it. */
    private volatile long sizeBytes;
    /** Of the device, when it was opened. Written with it. */
    private volatile ImageInfo opened;
    /** True when nothing could be opened again; requests fail then. Written while the gate is shut. */
    private volatile boolean lost;
    /** Written holding both this and {@link #steps}. */
    private boolean closed;

    /** Opens the image that is to be served now. */
    interface Opener {
        /** The device, the caller's to close. */
        CowDevice open() throws IOException;
    }

    /** What is done to an image that is not open. */
    interface Work<T> {
        /** Does it. */
        T run() throws IOException;
    }

    /** What is done to a device that nobody uses for a moment. */
    interface Last {
        /** Does it. */
        void run() throws IOException;
    }

    /** Opens an image, as {@link Images#open(Path, OpenOptions)}. */
    public static SwappableDevice open(Path image, OpenOptions options) throws IOException {
        OwnedImage owned = OwnedImage.lock(image, options);
        try {
            return new SwappableDevice(owned);
        } catch (IOException e) {
            Images.closeAfter(e, owned);
            throw e;
        }
    }

    private SwappableDevice(OwnedImage image) throws IOException {
        this.image = image;
        this.opener = image::open;
        reopen();
        this.readOnly = device.isReadOnly();
        this.granularityBytes = device.granularityBytes();
    }

    /**
     * Freezes the image as a layer, as {@link Images#snapshot}, and goes on with the new one. All that was acknowledged before
     * is in the layer. If this fails the image is served on.
     *
     * @throws OriginChangedException also if the base is not what it was when the image was opened
     */
    public Path snapshot(Optional<Path> as) throws IOException {
        return whileClosed(() -> image.snapshot(as));
    }

    /** Makes the device larger, as {@link Images#resize}. If this fails the image is served on. Throws as {@link #snapshot}. */
    public void grow(long sizeBytes) throws IOException {
        whileClosed(() -> {
            image.grow(sizeBytes);
            return null;
        });
    }

    /**
     * Does something to the image while it is closed: all that was acknowledged before is in it, and durable. On return the
     * image is open again, also when this throws, unless even that failed: then requests fail with {@code EIO}. Nobody
     * can get at the image meanwhile, nor change what is behind it; where that is another one already, nothing is done.
     *
     * @return what {@code work} returned
     */
    synchronized <T> T whileClosed(Work<T> work) throws IOException {
        requireOpen();
        try (Closeable origin = image.holdOrigin()) {
            LOG.trace("held for a change: {}", origin);
            return whileClosed(() -> {}, work);
        }
    }

    /** @throws OriginChangedException if what is behind the image is not what it was when it was opened */
    synchronized void requireSameOrigin() throws IOException {
        requireOpen();
        image.holdOrigin().close();
    }

    /**
     * Sees that another process could open the image in this one's place.
     *
     * @throws java.nio.file.NoSuchFileException if the image's name means no file any more, or another one
     * @throws OriginChangedException if what is behind the image is not what it was when it was opened
     * @throws StoreInUseException if it is being changed, as by a commit of this image
     */
    public synchronized void requireReopenable() throws IOException {
        requireOpen();
        image.requireReopenable();
    }

    /** The image, locked once more; the caller's to close. */
    synchronized Images.LockedImage lockedImage() throws IOException {
        return image.another();
    }

    /** Has the device opened by {@code other} from now on. Called by what {@link #whileClosed} runs. @return who did before */
    synchronized Opener openBy(Opener other) {
        Opener before = opener;
        opener = other;
        return before;
    }

    /**
     * As the other, for who holds what is behind the image himself.
     *
     * @param last is run before the device is closed, when no request is under way and none begins; if it throws, {@code
     *     work} is not run
     */
    synchronized <T> T whileClosed(Last last, Work<T> work) throws IOException {
        looks.writeLock().lock();
        try {
            requireOpen();
            device.flush(); // most of what closing has to write, while requests still run
            steps.lock();
            CountDownLatch shut = new CountDownLatch(1);
            gate = shut;
            try {
                requests.await();
                return closeAndReopen(last, work);
            } finally {
                gate = null;
                shut.countDown();
                steps.unlock();
            }
        } finally {
            looks.writeLock().unlock();
        }
    }

    /**
     * Makes the image's file shorter while requests come. If the image is closed and opened again meanwhile, what is open
     * then is compacted.
     *
     * @throws UnsupportedFormatException if chunks of the image's format stay where they are
     */
    public CompactReport compact(Compaction.Listener listener) throws IOException {
        CowDevice compacted = null;
        Compaction compaction = null;
        while (true) {
            steps.lock();
            try {
                requireOpen();
                if (compacted != device) {
                    compacted = device;
                    compaction = compacted.compaction();
                }
                if (!compaction.step()) {
                    return compaction.report();
                }
            } finally {
                steps.unlock();
            }
            listener.progress(compaction.movedBytes(), compaction.totalBytes());
        }
    }

    /**
     * Compares all that the image holds with its checksums while requests come. If the image is closed and opened again
     * meanwhile, that begins anew with what is open then.
     *
     * @param bytesPerSecond what to read at the most; 0 for as fast as it goes
     * @throws UnsupportedFormatException if there are no checksums
     */
    public ScrubReport scrub(long bytesPerSecond, ScrubListener listener) throws IOException {
        CowDevice scrubbed = null;
        Scrub scrub = null;
        Pace pace = null;
        while (true) {
            boolean more;
            steps.lock();
            try {
                requireOpen();
                if (scrubbed != device) {
                    scrubbed = device;
                    scrub = scrubbed.scrub();
                    pace = new Pace(bytesPerSecond);
                }
                more = scrub.step();
            } finally {
                steps.unlock();
            }
            scrub.tell(listener);
            if (!more) {
                return scrub.report();
            }
            pace.await(scrub.checkedBytes());
        }
    }

    private void requireOpen() throws NativeException {
        requireNotLost();
        if (closed) {
            throw new NativeException("change of an image that is closed", Errno.EIO);
        }
    }

    private <T> T closeAndReopen(Last last, Work<T> work) throws IOException {
        lost = true;
        T result;
        try {
            try {
                last.run();
            } finally {
                device.close();
            }
            result = work.run();
        } catch (IOException | RuntimeException e) {
            try {
                reopenWhenUnused();
            } catch (IOException again) {
                e.addSuppressed(again);
            }
            throw e;
        }
        reopenWhenUnused();
        return result;
    }

    /** A lock that nobody holds while the image is closed, as of an external data file, may be taken: that must not cost the guest its disk. */
    private void reopenWhenUnused() throws IOException {
        long start = System.nanoTime();
        boolean told = false;
        while (true) {
            try {
                reopen();
                return;
            } catch (StoreInUseException e) {
                if (System.nanoTime() - start > IN_USE_LIMIT_NANOS) {
                    throw e;
                }
                if (!told) {
                    LOG.warn("requests wait until it is free: {}", e.getMessage());
                    told = true;
                }
                LockSupport.parkNanos(IN_USE_PAUSE_NANOS);
            }
        }
    }

    private void reopen() throws IOException {
        CowDevice fresh = opener.open();
        try {
            opened = fresh.outline();
        } catch (IOException e) {
            Images.closeAfter(e, fresh);
            throw e;
        }
        device = fresh;
        sizeBytes = fresh.sizeBytes();
        lost = false;
    }

    /** Begins a request, once the gate is open. @return the ticket for its end */
    private int enter() throws NativeException {
        while (true) {
            int ticket = requests.enter();
            CountDownLatch shut = gate;
            if (shut == null) {
                if (!lost) {
                    return ticket;
                }
                requests.exit(ticket);
                throw new NativeException(LOST, Errno.EIO);
            }
            // Not inside the section: whoever shut the gate waits for its end.
            requests.exit(ticket);
            awaitOpen(shut);
        }
    }

    private void requireNotLost() throws NativeException {
        if (lost) {
            throw new NativeException(LOST, Errno.EIO);
        }
    }

    private static void awaitOpen(CountDownLatch shut) {
        boolean interrupted = false;
        while (shut.getCount() > 0) {
            try {
                shut.await();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public boolean isReadOnly() {
        return readOnly;
    }

    @Override
    public int granularityBytes() {
        return granularityBytes;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        int ticket = enter();
        try {
            device.read(guestOffset, dst);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        int ticket = enter();
        try {
            return device.splice(guestOffset, lengthBytes, target);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        int ticket = enter();
        try {
            device.write(guestOffset, src);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        int ticket = enter();
        try {
            device.writeZeroes(guestOffset, lengthBytes);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        int ticket = enter();
        try {
            device.discard(guestOffset, lengthBytes);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        int ticket = enter();
        try {
            return device.seekData(guestOffset);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        int ticket = enter();
        try {
            return device.seekHole(guestOffset);
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public void flush() throws IOException {
        int ticket = enter();
        try {
            device.flush();
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public long allocatedBytes() throws IOException {
        int ticket = enter();
        try {
            return device.allocatedBytes();
        } finally {
            requests.exit(ticket);
        }
    }

    @Override
    public ImageInfo info() throws IOException {
        looks.readLock().lock();
        try {
            requireNotLost();
            return device.info();
        } finally {
            looks.readLock().unlock();
        }
    }

    /** What was known of the image when it was opened last, but for counts of chunks; waits for nobody. */
    public ImageInfo opened() {
        return opened;
    }

    /** Counted anew from each opening. */
    @Override
    public DeviceStats stats() {
        return device.stats();
    }

    @Override
    public void forEachExtent(Consumer<MapExtent> visitor) throws IOException {
        looks.readLock().lock();
        try {
            requireNotLost();
            device.forEachExtent(visitor);
        } finally {
            looks.readLock().unlock();
        }
    }

    @Override
    public synchronized void close() throws IOException {
        steps.lock();
        try (image) {
            closed = true;
            device.close();
        } finally {
            steps.unlock();
        }
    }
}
