package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.List;
import java.util.function.LongConsumer;

/**
 * Writes a store that holds what a device does at once, without a base: better than by creating an empty one and writing
 * to its device. A format that can has one, see {@link ExceptionStoreProvider#copier}.
 *
 * <p>Threading: stateless.
 */
public interface DeviceCopier {
    /** The names of those {@link StoreOptions} that {@link #copy} understands, in the order to list them in. */
    List<String> options();

    /**
     * Writes the store into {@code file}, which is empty, and makes it durable. The caller removes the file when this fails.
     *
     * @param options none but those that it {@linkplain #options understands}
     * @param progress as {@link DeviceCopy#copy(Origin, DeviceCopy.Sink, LongConsumer)}
     * @throws IllegalArgumentException if a value is wrong, or does not go with another; in words fit for a command line's
     *     user
     */
    void copy(BlockDevice device, PositionalFile file, StoreOptions options, LongConsumer progress) throws IOException;
}
