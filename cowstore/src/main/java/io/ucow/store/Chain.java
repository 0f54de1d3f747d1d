package io.ucow.store;

import io.ucow.sys.FileStatus;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * The images of a chain from the top down, as far as it has been followed; keeps it finite.
 *
 * <p>Threading: for one thread.
 */
final class Chain {
    /** Most images in a chain, the top included. Each costs a file, and a read of what none altered passes all. */
    static final int MAX_IMAGES = 64;

    /** A file by what it is, whatever it is called. */
    private record Identity(long device, long inode) {}

    private final Set<Identity> images = new HashSet<>();
    private boolean topIsMoved;

    /** A chain that begins with the image {@code top}. */
    static Chain from(FileStatus top) {
        Chain chain = new Chain();
        chain.images.add(identity(top));
        return chain;
    }

    /** A chain that is to begin with the image {@code top}, which has another base as yet. */
    static Chain fromMoved(FileStatus top) {
        Chain chain = from(top);
        chain.topIsMoved = true;
        return chain;
    }

    /** A chain that begins with an image that does not exist yet. */
    static Chain fromNewImage() {
        Chain chain = new Chain();
        chain.images.add(new Identity(-1, -1));
        return chain;
    }

    /**
     * Goes on to {@code base}, an image that {@code image} is on.
     *
     * @throws OriginChangedException if it is in the chain already
     * @throws UnsupportedFormatException if the chain would have more than {@link #MAX_IMAGES}, or the top twice
     */
    void add(Path base, FileStatus status, Path image) throws OriginChangedException, UnsupportedFormatException {
        if (images.size() == MAX_IMAGES) {
            throw new UnsupportedFormatException(base + ": would be image " + (MAX_IMAGES + 1)
                    + " of one chain, and there may be " + MAX_IMAGES + "; attach it and copy /dev/loopN to a file");
        }
        if (!images.add(identity(status))) {
            if (topIsMoved) {
                throw new UnsupportedFormatException(
                        base + ": cannot be behind itself; choose a base that is not on this image");
            }
            throw new OriginChangedException(base + ": is the base of " + image
                    + ", and that one, directly or not, the base of it; put back the file that was there");
        }
    }

    private static Identity identity(FileStatus status) {
        return new Identity(status.device(), status.inode());
    }
}
