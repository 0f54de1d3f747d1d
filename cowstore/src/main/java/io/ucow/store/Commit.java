package io.ucow.store;

import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/**
 * Merges an image into its base and leaves it empty.
 * <pre>
 *   1. record in the image, durably, that its base is changing: it opens from now on whatever has become of the base
 *   2. copy what the image holds down to the base, and make the base durable
 *   3. record in the image, in one write, what the base is now, and that no chunk is altered
 *   4. give back the space
 * </pre>
 * Whatever ends it in between, the image's device holds the same: what is copied down is what the image goes on hiding, and
 * nothing else of the base is changed. Also a block that is half written, or lost again, is hidden.
 *
 * <p>Threading: the owner's thread; the device that it opens is for any.
 */
final class Commit implements Closeable {
    /** What has been done so far; for tests, which look at what a kill would leave. */
    enum Step {
        MARKED,
        COPIED,
        BASE_DURABLE,
        EMPTIED
    }

    private static final int PIECE_BYTES = 256 << 10;

    /** The lock on the base. From a reader's it becomes one against everybody else and back, and nobody gets in between. */
    private interface BaseHold extends Closeable {
        void lock(boolean exclusive) throws IOException;
    }

    private static final BaseHold NOT_OURS = new BaseHold() {
        @Override
        public void lock(boolean exclusive) {}

        @Override
        public void close() {}
    };

    private final ExceptionStoreProvider plugin;
    private final Path image;
    private final LockedFile file;
    private final OriginReference recorded;
    private final CommitTarget target;
    private final UUID bootId;
    private final Consumer<Step> observer;
    private final Closeable imageLock;
    private final BaseHold base;

    /**
     * A commit of files that somebody else has locked, and keeps.
     *
     * @param file the image's
     * @param recorded its base, as it has it on record
     * @param target that base; this object's to close
     */
    Commit(
            ExceptionStoreProvider plugin,
            Path image,
            LockedFile file,
            OriginReference recorded,
            CommitTarget target,
            UUID bootId) {
        this(plugin, image, file, recorded, target, bootId, step -> {}, () -> {}, NOT_OURS);
    }

    private Commit(
            ExceptionStoreProvider plugin,
            Path image,
            LockedFile file,
            OriginReference recorded,
            CommitTarget target,
            UUID bootId,
            Consumer<Step> observer,
            Closeable imageLock,
            BaseHold base) {
        this.plugin = plugin;
        this.image = image;
        this.file = file;
        this.recorded = recorded;
        this.target = target;
        this.bootId = bootId;
        this.observer = observer;
        this.imageLock = imageLock;
        this.base = base;
    }

    /** As {@link Images#commit}. */
    static void run(Path image, LongConsumer progress, Consumer<Step> observer) throws IOException {
        try (Commit commit = hold(Images.LockedImage.open(image, false), observer)) {
            commit.lockBase();
            commit.run(progress);
        }
    }

    /**
     * Holds the base of an image, and what is behind it, as a reader does; the image may be open. Takes {@code locked} over,
     * also when this throws.
     */
    static Commit hold(Images.LockedImage locked, Consumer<Step> observer) throws IOException {
        Path image = locked.image();
        HeldBase base = null;
        try {
            OriginReference recorded = locked.plugin().origin(locked.file(), image);
            if (recorded == null) {
                throw new UnsupportedFormatException(image + ": has no base that it could be committed to");
            }
            Path path = recorded.resolve(image);
            base = holdBase(path, recorded, locked);
            return new Commit(
                    locked.plugin(),
                    image,
                    LockedFile.of(image, locked.file()),
                    recorded,
                    target(path, base.file(), recorded, locked),
                    Images.bootId(),
                    observer,
                    locked.file(),
                    base);
        } catch (IOException e) {
            if (base != null) {
                Images.closeAfter(e, base);
            }
            Images.closeAfter(e, locked.file());
            throw e;
        }
    }

    /** An open base; of an image its lock is that of its file. */
    private record HeldBase(NativeFile file, Images.LockedImage layer) implements BaseHold {
        @Override
        public void lock(boolean exclusive) throws IOException {
            if (layer != null) {
                layer.relock(exclusive);
            } else if (exclusive) {
                BaseLock.own(file);
            } else {
                BaseLock.share(file);
            }
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }

    /** Opens the base for writing, without changing it, and locks it as for reading. */
    private static HeldBase holdBase(Path base, OriginReference recorded, Images.LockedImage image) throws IOException {
        FileStatus status = Images.statusOfBase(base, image.image());
        if (recorded.isImage()) {
            // Before it is opened: an image behind itself would be found in use.
            Chain.from(image.status()).add(base, status, image.image());
            Images.LockedImage layer = Images.lockLayer(base, image.image(), false);
            return new HeldBase(layer.file(), layer);
        }
        FileOrigin.requireFileOrBlockDevice(base, status);
        // A block device is refused if it is mounted, or part of something that is.
        NativeFile file = NativeFile.open(base, Libc.O_RDWR | (status.isBlockDevice() ? Libc.O_EXCL : 0));
        try {
            BaseLock.share(file);
            return new HeldBase(file, null);
        } catch (IOException e) {
            Images.closeAfter(e, file);
            throw e;
        }
    }

    private static CommitTarget target(Path base, NativeFile file, OriginReference recorded, Images.LockedImage image)
            throws IOException {
        LockedFile locked = LockedFile.of(base, file);
        if (!recorded.isImage()) {
            return new FileTarget(locked, file.status());
        }
        ExceptionStoreProvider plugin = Images.recognise(file, base);
        Chain chain = Chain.from(image.status());
        chain.add(base, file.status(), image.image());
        Origin below = Images.openOrigin(plugin.origin(file, base), base, CacheMode.WRITEBACK, chain);
        return new LayerTarget(plugin, base, locked, file.status(), below, Images.bootId());
    }

    /**
     * Locks the base against everybody else. The image must not be open.
     *
     * @throws StoreInUseException if anybody else reads it
     */
    void lockBase() throws IOException {
        base.lock(true);
    }

    /** Ends all that is done to the base: the image can be opened on it, and until {@link #close} nobody can change it. */
    void shareBase() throws IOException {
        target.end();
        base.lock(false);
    }

    /** Does all of it. */
    void run(LongConsumer progress) throws IOException {
        try (CowDevice device = open()) {
            if (!prepare(device)) {
                progress.accept(device.sizeBytes());
                return;
            }
            begin(device.sizeBytes());
            copy(device, progress);
        }
        complete();
        giveBack();
    }

    /** The image over its base, to read, with nothing of a killed process left in it. The base is the one recorded. */
    CowDevice open() throws IOException {
        target.requireSame(recorded, image);
        GracePeriod readers = new GracePeriod();
        ExceptionStore store = openToRead(readers);
        boolean clean;
        try {
            clean = store.outline().clean();
        } catch (IOException e) {
            Images.closeAfter(e, store);
            throw e;
        }
        if (!clean) {
            // What is in its map alone can be forgotten in one write. Or a commit was ended when it had done so. It is
            // closed first, as it may have locked a file that is its own.
            store.close();
            openAndClose();
            store = openToRead(readers);
        }
        return new CowDevice(store, new LentOrigin(target), readers, false);
    }

    private ExceptionStore openToRead(GracePeriod readers) throws IOException {
        return plugin.open(file.another(), image, new StoreContext(true, bootId, readers, false));
    }

    private void openAndClose() throws IOException {
        plugin.open(file.another(), image, new StoreContext(false, bootId, new GracePeriod(), false))
                .close();
    }

    /**
     * The image over its base, to serve while it is committed.
     *
     * @param changed told of all that is changed
     */
    CowDevice open(OpenOptions options, DirtyBlocks changed) throws IOException {
        GracePeriod readers = new GracePeriod();
        ExceptionStore store =
                plugin.open(file.another(options.cache()), image, new StoreContext(false, bootId, readers, true));
        return new CowDevice(store, new LentOrigin(target), readers, options.detectZeroes(), changed);
    }

    /** True when the base is as large as the device, or will be. */
    boolean hasRoomForAll(CowDevice device) throws IOException {
        return target.roomBytes() >= device.sizeBytes();
    }

    /**
     * Sees that it can be done, and records that the base may change from here on; nothing has changed if this throws.
     *
     * @param device from {@link #open()}
     * @return false if there is nothing to do; the base is not changed then
     */
    boolean prepare(CowDevice device) throws IOException {
        ImageInfo info = device.info();
        boolean needed = info.alteredChunks() + info.zeroChunks() > 0 || recorded.isChanging();
        if (needed) {
            requireRoom(device);
        }
        if (!needed) {
            return false;
        }
        if (!recorded.isChanging()) {
            setOrigin(recorded.changing(), false);
        }
        observer.accept(Step.MARKED);
        return true;
    }

    /** @throws StoreFullException if the image holds more than zeros past the end of a base that cannot grow */
    private void requireRoom(CowDevice device) throws IOException {
        long room = target.roomBytes();
        if (room >= device.sizeBytes()) {
            return;
        }
        Shadow shadow = device.shadow();
        ByteBuffer buffer = ByteBuffer.allocateDirect(PIECE_BYTES);
        long sizeBytes = device.sizeBytes();
        long at = shadow.next(Shadow.Kind.DATA, room, sizeBytes);
        while (at < sizeBytes) {
            long end = shadow.endOfRun(at, Math.min(sizeBytes, at + PIECE_BYTES));
            device.read(at, buffer.clear().limit((int) (end - at)));
            if (!Zeros.isAll(buffer.flip(), 0, buffer.limit())) {
                throw new StoreFullException(basePath() + ": has " + room + " bytes and cannot grow, and " + image
                        + " holds data past that; nothing was changed; flatten the image instead");
            }
            at = shadow.next(Shadow.Kind.DATA, end, sizeBytes);
        }
    }

    private void setOrigin(OriginReference origin, boolean emptied) throws IOException {
        try (var view = file.another()) {
            plugin.setOrigin(view, image, origin, emptied, bootId);
        }
    }

    /** Opens the base for writing, and makes it as large as the device if it can be. */
    void begin(long deviceBytes) throws IOException {
        try {
            target.begin(deviceBytes);
        } catch (IOException e) {
            if (Errno.of(e) == Errno.EFBIG && !recorded.isChanging()) {
                // To grow is the first that would change it. With the mark no other verb would take the image.
                setOrigin(recorded, false);
                throw new StoreFullException(
                        basePath() + ": its file system has no files of " + deviceBytes
                                + " bytes, as large as the disk of " + image
                                + "; nothing was changed; flatten the image instead, or shrink it",
                        e);
            }
            throw explained(e);
        }
    }

    /**
     * Copies all that the image holds down to its base, durably.
     *
     * @param device may be in use
     */
    void copy(CowDevice device, LongConsumer progress) throws IOException {
        try {
            Shadow shadow = device.shadow();
            long end = Math.min(device.sizeBytes(), target.roomBytes());
            copyZeros(shadow, 0, end);
            DeviceCopy.copy(new HeldData(device, shadow, end), target, progress);
            progress.accept(device.sizeBytes() - end);
            target.sync();
            observer.accept(Step.COPIED);
        } catch (IOException e) {
            throw explained(e);
        }
    }

    /**
     * Copies what was changed since, durably.
     *
     * @param changed told of by {@code device}; what is copied is not in it any more
     * @param step called now and then, to give up by throwing
     */
    void copyChanged(CowDevice device, DirtyBlocks changed, Runnable step) throws IOException {
        BufferPool buffers = BufferPool.shared(Integer.numberOfTrailingZeros(PIECE_BYTES));
        ByteBuffer buffer = buffers.take();
        Shadow shadow = device.shadow();
        try {
            long end;
            for (long block = changed.take(0); block >= 0; block = changed.take(end)) {
                end = block + 1;
                while (end - block < PIECE_BYTES / DirtyBlocks.BLOCK_BYTES && changed.takeAt(end)) {
                    end++;
                }
                long to = Math.min(end * DirtyBlocks.BLOCK_BYTES, device.sizeBytes());
                copyRange(device, shadow, block * DirtyBlocks.BLOCK_BYTES, to, buffer);
                step.run();
            }
            target.sync();
        } catch (IOException e) {
            throw explained(e);
        } finally {
            buffers.give(buffer);
        }
    }

    private void copyRange(CowDevice device, Shadow shadow, long start, long end, ByteBuffer buffer)
            throws IOException {
        copyZeros(shadow, start, end);
        long at = shadow.next(Shadow.Kind.DATA, start, end);
        while (at < end) {
            long runEnd = shadow.endOfRun(at, end);
            device.read(at, buffer.clear().limit((int) (runEnd - at)));
            target.write(at, buffer.flip());
            at = shadow.next(Shadow.Kind.DATA, runEnd, end);
        }
    }

    private void copyZeros(Shadow shadow, long start, long end) throws IOException {
        long at = shadow.next(Shadow.Kind.ZEROS, start, end);
        while (at < end) {
            long runEnd = shadow.endOfRun(at, end);
            target.zeros(at, runEnd - at);
            at = shadow.next(Shadow.Kind.ZEROS, runEnd, end);
        }
    }

    private IOException explained(IOException e) throws IOException {
        if (Errno.of(e) != Errno.ENOSPC && !(e instanceof StoreFullException)) {
            return e;
        }
        return new StoreFullException(
                basePath() + ": no space left for what " + image
                        + " holds; nothing is lost, and the image can be used as"
                        + " before; make room, and run it again: ucow commit " + image,
                e);
    }

    private Path basePath() throws IOException {
        return recorded.resolve(image);
    }

    /** Records what the base has become, and that the image, which is closed, holds nothing. */
    void complete() throws IOException {
        OriginReference now;
        try {
            now = target.finish(recorded.path());
        } catch (IOException e) {
            throw explained(e);
        }
        observer.accept(Step.BASE_DURABLE);
        setOrigin(now, true);
        observer.accept(Step.EMPTIED);
    }

    /** Gives back the space of an image that holds nothing; so does whoever opens it next. */
    private void giveBack() throws IOException {
        openAndClose();
    }

    /** Unlocks image and base, and what is behind that; all of it stays as it is. */
    @Override
    public void close() throws IOException {
        try (imageLock;
                base) {
            target.close();
        }
    }
}
