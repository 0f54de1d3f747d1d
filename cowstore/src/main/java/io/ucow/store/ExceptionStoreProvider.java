package io.ucow.store;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/**
 * One format: how images of it are recognised, created and opened. Found by {@link java.util.ServiceLoader}.
 *
 * <p>Threading: stateless; every method may be called from any thread.
 */
public interface ExceptionStoreProvider {
    /** Bytes of a file's head that {@link #recognises} is shown, where the file has them. */
    int HEAD_BYTES = 8192;

    /** The format's name, as {@code --format} takes it: lower case, no spaces. */
    String name();

    /** One line for {@code ucow plugins}. */
    String description();

    /** True when a file that starts with {@code head} (position 0 to limit, little-endian) is of this format. */
    boolean recognises(ByteBuffer head);

    /**
     * Writes an empty store into {@code file}, which is empty, and makes it durable. The caller removes the file when
     * this fails.
     *
     * @param origin what to record of the base, or null
     * @param maxBytes what the file may grow to, metadata included; 0 for no limit
     * @throws IllegalArgumentException if {@code maxBytes} is too little, or the format cannot keep to it; in words fit for
     *     a command line's user
     */
    void create(PositionalFile file, Geometry geometry, OriginReference origin, long maxBytes) throws IOException;

    /**
     * As the other, for a store that compresses chunks which are not written to any more.
     *
     * @throws IllegalArgumentException also if the format cannot do that
     */
    default void create(
            PositionalFile file, Geometry geometry, OriginReference origin, long maxBytes, Compression compression)
            throws IOException {
        if (compression != Compression.NONE) {
            throw new IllegalArgumentException("format '" + name() + "' does not compress");
        }
        create(file, geometry, origin, maxBytes);
    }

    /** As the other, without a limit. */
    default void create(PositionalFile file, Geometry geometry, OriginReference origin) throws IOException {
        create(file, geometry, origin, 0);
    }

    /**
     * What is recorded of the base, read without changing or recovering anything; the caller has locked {@code file} and
     * keeps it.
     *
     * @param image the path to show to people
     * @return null when there is no base
     * @throws CorruptStoreException if the place where it is recorded is damaged
     */
    OriginReference origin(PositionalFile file, Path image) throws IOException;

    /**
     * Opens a store, recovering it when it was not closed properly. The store owns {@code file} from here on, also when
     * this throws; the caller has locked it.
     *
     * @param image the path to show to people
     * @param context what the store may rely on
     */
    ExceptionStore open(PositionalFile file, Path image, StoreContext context) throws IOException;

    /**
     * Verifies all metadata of a store without changing it; the caller has locked {@code file} and closes it.
     *
     * @param image the path to show to people
     * @param bootId as in {@link StoreContext}
     */
    CheckReport check(PositionalFile file, Path image, UUID bootId) throws IOException;

    /**
     * Makes a store sound again that {@link #check} finds fault with, with all of its content that can be told for
     * certain; what remains of it after a kill at any moment is the old store or the new one. The caller has locked {@code
     * file} exclusively and closes it.
     *
     * @param image the path to show to people
     * @param bootId as in {@link StoreContext}
     * @param copy takes all metadata as it was before any is changed
     * @throws UnsupportedFormatException if this format cannot be repaired
     */
    default RepairReport repair(PositionalFile file, Path image, UUID bootId, MetadataCopy copy) throws IOException {
        throw new UnsupportedFormatException(image + ": images of format '" + name() + "' cannot be repaired");
    }
}
