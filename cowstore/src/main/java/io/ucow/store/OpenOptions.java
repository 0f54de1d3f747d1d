package io.ucow.store;

import java.util.Objects;

/**
 * How {@link Images#open} opens an image.
 *
 * @param readOnly true to change nothing at all, not even to recover on disk
 * @param cache how base and store are read and written
 * @param detectZeroes true to give chunks that are written as zeros no slot, see {@link CowDevice#write}
 * @param background true to have it looked after while it is in use: the store runs its maintenance, and cold chunks are
 *     packed where the image was created so. False for a command that writes what it has to and closes it.
 */
public record OpenOptions(boolean readOnly, CacheMode cache, boolean detectZeroes, boolean background) {
    /** For use as a disk: in the background there is something to do if anything is written at all. */
    public OpenOptions(boolean readOnly, CacheMode cache, boolean detectZeroes) {
        this(readOnly, cache, detectZeroes, !readOnly);
    }

    /** @throws NullPointerException if {@code cache} is null */
    public OpenOptions {
        Objects.requireNonNull(cache);
    }

    /** The default cache mode, {@link CacheMode#WRITEBACK}, and zeros are written as what they are. */
    public static OpenOptions of(boolean readOnly) {
        return new OpenOptions(readOnly, CacheMode.WRITEBACK, false);
    }
}
