package io.ucow.store;

import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;
import java.util.function.LongConsumer;

/**
 * Puts an image on another base.
 * <pre>
 *   1. copy into the image what it has of its base and the new one has otherwise, block by block
 *   2. close it cleanly, which makes that durable
 *   3. record the new base, in one write
 * </pre>
 * Whatever ends it before 3, the image holds the same on the base that it had, and more of it in its own store.
 *
 * <p>Threading: the owner's thread.
 */
final class Rebase {
    private static final int PIECE_SHIFT = 18;

    private final ExceptionStoreProvider plugin;
    private final Path image;
    private final LockedFile file;
    private final UUID bootId;

    /** @param file the image's, locked against everybody else */
    Rebase(ExceptionStoreProvider plugin, Path image, LockedFile file, UUID bootId) {
        this.plugin = plugin;
        this.image = image;
        this.file = file;
        this.bootId = bootId;
    }

    /** As {@link Images#rebase}. */
    static void run(Path image, Optional<Path> base, LongConsumer progress) throws IOException {
        Images.LockedImage locked = Images.LockedImage.open(image, false);
        try (NativeFile own = locked.file();
                BaseOrigin to = openBase(locked, base)) {
            OriginReference recorded = locked.plugin().origin(own, image);
            Images.requireNoCommit(recorded, image);
            Chain chain = Chain.from(locked.status());
            Rebase rebase = new Rebase(locked.plugin(), image, LockedFile.of(image, own), Images.bootId());
            try (Origin from = Images.openOrigin(recorded, image, CacheMode.WRITEBACK, chain)) {
                rebase.copyDifferences(from, to == null ? new Images.ZeroOrigin() : to, progress);
            }
            rebase.record(reference(to, image, base));
        }
    }

    /** As {@link Images#rebaseUnsafely}. */
    static void runUnsafely(Path image, Optional<Path> base) throws IOException {
        Images.LockedImage locked = Images.LockedImage.open(image, false);
        try (NativeFile own = locked.file();
                BaseOrigin to = openBase(locked, base)) {
            Rebase rebase = new Rebase(locked.plugin(), image, LockedFile.of(image, own), Images.bootId());
            rebase.recover();
            rebase.record(reference(to, image, base));
        }
    }

    private static BaseOrigin openBase(Images.LockedImage image, Optional<Path> base) throws IOException {
        return base.isEmpty() ? null : Images.openNewBase(base.get(), Chain.fromMoved(image.status()));
    }

    private static OriginReference reference(BaseOrigin to, Path image, Optional<Path> base) throws IOException {
        return to == null
                ? null
                : to.reference(Images.referencePath(base.orElseThrow(), image).toString());
    }

    /** Sees that the image can be opened, and was closed cleanly. */
    private void recover() throws IOException {
        boolean clean;
        try (ExceptionStore store = open(true, new GracePeriod())) {
            clean = store.info().clean();
        }
        if (!clean) {
            open(false, new GracePeriod()).close();
        }
    }

    private ExceptionStore open(boolean readOnly, GracePeriod readers) throws IOException {
        return plugin.open(file.another(), image, new StoreContext(readOnly, bootId, readers, false));
    }

    /**
     * Copies into the image what it lacks, and closes it cleanly.
     *
     * @param from the base it has
     * @param to the base it is to have
     */
    void copyDifferences(Origin from, Origin to, LongConsumer progress) throws IOException {
        GracePeriod readers = new GracePeriod();
        ExceptionStore store = open(false, readers);
        long size = store.geometry().sizeBytes();
        // Zeros count as what they are, and are given no space, also where they lie past the old base's end.
        try (CowDevice device = new CowDevice(store, new WithoutEnd(from, size), readers, true)) {
            Shadow shadow = device.shadow();
            Origin had = new Visible(from, shadow);
            Origin has = new Visible(to, shadow);
            DeviceDiff.compare(had, has, (offset, lengthBytes) -> copy(device, shadow, offset, lengthBytes), progress);
            progress.accept(size - Math.max(had.sizeBytes(), has.sizeBytes()));
        } catch (UncheckedIOException e) {
            throw explained(e.getCause());
        } catch (IOException e) {
            throw explained(e);
        }
    }

    private IOException explained(IOException e) {
        if (Errno.of(e) != Errno.ENOSPC && !(e instanceof StoreFullException)) {
            return e;
        }
        return new StoreFullException(
                image + ": no space left for what the new base lacks; the image holds what it held, on the base that it"
                        + " had; make room, and run it again",
                e);
    }

    private static void copy(CowDevice device, Shadow shadow, long offset, long lengthBytes) {
        BufferPool buffers = BufferPool.shared(PIECE_SHIFT);
        ByteBuffer buffer = buffers.take();
        long end = offset + lengthBytes;
        try {
            long at = shadow.next(Shadow.Kind.ORIGIN, offset, end);
            while (at < end) {
                long pieceEnd = shadow.endOfRun(at, Math.min(end, at + buffer.capacity()));
                device.read(at, buffer.clear().limit((int) (pieceEnd - at)));
                device.write(at, buffer.flip());
                at = shadow.next(Shadow.Kind.ORIGIN, pieceEnd, end);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            buffers.give(buffer);
        }
    }

    /** @param base null for none */
    void record(OriginReference base) throws IOException {
        try (PositionalFile view = file.another()) {
            plugin.setOrigin(view, image, base, false, bootId);
        }
    }

    /** What of an origin a device shows, everything else seen as a hole: its store is ahead of the comparison. */
    private static final class Visible implements Origin {
        private final Origin origin;
        private final Shadow shadow;

        /** @param origin the caller's to close */
        Visible(Origin origin, Shadow shadow) {
            this.origin = origin;
            this.shadow = shadow;
        }

        @Override
        public long sizeBytes() {
            return Math.min(origin.sizeBytes(), shadow.sizeBytes());
        }

        @Override
        public void read(ByteBuffer dst, long offset) throws IOException {
            origin.read(dst, offset);
        }

        @Override
        public long seekData(long offset) throws IOException {
            long at = offset;
            while (at < sizeBytes()) {
                at = shadow.next(Shadow.Kind.ORIGIN, at, sizeBytes());
                if (at >= sizeBytes()) {
                    break;
                }
                long data = origin.seekData(at);
                if (data == at) {
                    return at;
                }
                at = data;
            }
            return Long.MAX_VALUE;
        }

        @Override
        public long seekHole(long offset) throws IOException {
            if (offset >= sizeBytes() || shadow.kindAt(offset) != Shadow.Kind.ORIGIN) {
                return offset;
            }
            return Math.min(origin.seekHole(offset), shadow.endOfRun(offset, sizeBytes()));
        }

        @Override
        public void close() {}
    }

    /** An origin that tells no zeros by its end: another one will be in its place. */
    private static final class WithoutEnd implements Origin {
        private final Origin origin;
        private final long sizeBytes;

        /** @param origin the caller's to close */
        WithoutEnd(Origin origin, long sizeBytes) {
            this.origin = origin;
            this.sizeBytes = sizeBytes;
        }

        @Override
        public long sizeBytes() {
            return sizeBytes;
        }

        @Override
        public void read(ByteBuffer dst, long offset) throws IOException {
            origin.read(dst, offset);
        }

        @Override
        public void close() {}
    }
}
