package io.ucow.store;

import io.ucow.sys.Libc;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * An image that is its owner's from {@link #lock} to {@link #close}: who serves it opens its device, closes it, has the image
 * changed as a whole and opens it again, and at no moment in between can anybody else open it.
 *
 * <p>Threading: for one thread at a time.
 */
final class OwnedImage implements Closeable {
    private final OpenOptions options;
    /** The image, by a descriptor that has the lock and is used for nothing else. */
    private Images.LockedImage held;
    /** What the image was before a snapshot, until it is opened on that; null else. */
    private Images.LockedImage frozen;

    private OwnedImage(OpenOptions options, Images.LockedImage held) {
        this.options = options;
        this.held = held;
    }

    /** Takes the lock that {@code options} need; throws as {@link Images#open(Path, OpenOptions)} does. */
    static OwnedImage lock(Path image, OpenOptions options) throws IOException {
        return new OwnedImage(options, Images.LockedImage.open(image, options.readOnly()));
    }

    /** Opens the device, which the caller closes before anything else is done to the image. */
    CowDevice open() throws IOException {
        try (Images.LockedImage layer = frozen) {
            frozen = null;
            if (layer != null && !layer.plugin().tryLock(layer.file(), false)) {
                throw new IOException(layer.image() + ": its lock could not be shared with the image on it");
            }
            return Images.open(held.another(), options);
        }
    }

    /** Another hold of the image, the caller's to close: it is locked until the last one is closed. */
    Images.LockedImage another() throws IOException {
        return held.another();
    }

    /**
     * Keeps what is behind the image as it is: nobody can open it for writing until what this returns is closed.
     *
     * @throws OriginChangedException if it is not what it was when the image was opened, which could not be opened again
     * @throws StoreInUseException if somebody is changing it
     */
    Closeable holdOrigin() throws IOException {
        return Images.openOrigin(
                held.plugin().origin(held.file(), held.image()),
                held.image(),
                CacheMode.WRITEBACK,
                Chain.from(held.status()));
    }

    /**
     * Sees that another process could open the image in this one's place.
     *
     * @throws NoSuchFileException if its name means no file any more, or another one
     * @throws IOException as {@link #holdOrigin}
     */
    void requireReopenable() throws IOException {
        Path image = held.image();
        if (!Files.exists(image) || !Libc.statx(image).isSameFile(held.status())) {
            throw new NoSuchFileException(
                    image.toString(), null, "is not the file any more that is served; move that back");
        }
        holdOrigin().close();
    }

    /** As {@link Images#snapshot}; from here on this is the new image. */
    Path snapshot(Optional<Path> as) throws IOException {
        return Snapshot.take(held, as, fresh -> {
            frozen = held;
            held = fresh;
        });
    }

    /** As {@link Images#resize}, of an image that grows. */
    void grow(long sizeBytes) throws IOException {
        Images.resize(held, sizeBytes, false);
    }

    @Override
    public void close() throws IOException {
        Images.LockedImage image = held;
        Images.LockedImage layer = frozen;
        try (image;
                layer) {
            frozen = null;
        }
    }
}
