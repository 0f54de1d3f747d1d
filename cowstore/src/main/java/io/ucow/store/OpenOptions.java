package io.ucow.store;

import java.util.Objects;
import java.util.Optional;

/**
 * How {@link Images#open} opens an image.
 *
 * @param readOnly true to change nothing at all, not even to recover on disk
 * @param cache how base and store are read and written
 * @param detectZeroes true to give chunks that are written as zeros no slot, see {@link CowDevice#write}
 * @param background true to have it looked after while it is in use: the store runs its maintenance, and cold chunks are
 *     packed where the image was created so. False for a command that writes what it has to and closes it.
 * @param snapshot the internal snapshot to open instead of the current state, by id or name; for reading alone
 */
public record OpenOptions(
        boolean readOnly, CacheMode cache, boolean detectZeroes, boolean background, Optional<String> snapshot) {
    /** The current state. */
    public OpenOptions(boolean readOnly, CacheMode cache, boolean detectZeroes, boolean background) {
        this(readOnly, cache, detectZeroes, background, Optional.empty());
    }

    /** For use as a disk: in the background there is something to do if anything is written at all. */
    public OpenOptions(boolean readOnly, CacheMode cache, boolean detectZeroes) {
        this(readOnly, cache, detectZeroes, !readOnly);
    }

    /** @throws IllegalArgumentException if a snapshot is to be written to */
    public OpenOptions {
        Objects.requireNonNull(cache);
        if (snapshot.isPresent() && !readOnly) {
            throw new IllegalArgumentException("a snapshot can only be read");
        }
    }

    /** The same of an internal snapshot, for reading; of the current state if {@code name} is empty. */
    public OpenOptions at(Optional<String> name) {
        return name.isEmpty() ? this : new OpenOptions(true, cache, detectZeroes, false, name);
    }

    /** The default cache mode, {@link CacheMode#WRITEBACK}, and zeros are written as what they are. */
    public static OpenOptions of(boolean readOnly) {
        return new OpenOptions(readOnly, CacheMode.WRITEBACK, false);
    }
}
