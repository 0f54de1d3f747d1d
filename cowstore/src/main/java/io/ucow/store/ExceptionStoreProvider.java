package io.ucow.store;

import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
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
     * Takes the lock that keeps others, this format's other programs included, from opening {@code file} in a way that
     * conflicts; held until the file is closed. To lock for reading what is locked to be changed always succeeds, and nobody
     * else can change it in between.
     *
     * @param exclusive true to change it, false to read it
     * @return false when somebody else has it open in such a way
     */
    default boolean tryLock(NativeFile file, boolean exclusive) throws IOException {
        return file.tryLock(exclusive);
    }

    /** The names of those {@link StoreOptions} that {@link #create} understands, in the order to list them in. */
    List<String> options();

    /**
     * Writes an empty store into {@code file}, which is empty, and makes it durable. The caller removes the file when
     * this fails.
     *
     * @param sizeBytes capacity of the device
     * @param origin what to record of the base, or null
     * @param options none but those that it {@linkplain #options understands}
     * @throws IllegalArgumentException if a value is wrong, or does not go with another; in words fit for a command line's
     *     user
     * @throws StoreFullException if space is to be set aside, and there is not so much
     */
    void create(PositionalFile file, long sizeBytes, OriginReference origin, StoreOptions options) throws IOException;

    /** What makes stores of all that a device holds; empty where one is created, and its device written to. */
    default Optional<DeviceCopier> copier() {
        return Optional.empty();
    }

    /**
     * The options that make a store of the same kind as the one in {@code file}, which the caller has locked and keeps; space
     * set aside is not of the kind.
     *
     * @param image the path to show to people
     */
    StoreOptions optionsOf(PositionalFile file, Path image) throws IOException;

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
     * Records another base, in one step that power loss leaves done or not done; the caller has locked {@code file}
     * exclusively and keeps it. An image may be emptied in several steps: with that base it holds the same after each.
     *
     * @param file of a store that can be opened and was closed cleanly
     * @param image the path to show to people
     * @param origin what to record, null for no base. Of one that is {@linkplain OriginReference#isChanging changing} nothing
     *     need be recorded where the format does not record what identifies a base; but whether the image can be emptied
     *     is found out then
     * @param emptied true if every chunk is to be unaltered then, on the base that is recorded; their space is given back
     *     when the store is opened for writing next, at the latest
     * @param bootId as in {@link StoreContext}
     * @throws UnsupportedFormatException if stores of this format keep the base that they were created on
     * @throws IOException if the base's path is too long, or writing fails: {@link #origin} says what is recorded then
     */
    default void setOrigin(PositionalFile file, Path image, OriginReference origin, boolean emptied, UUID bootId)
            throws IOException {
        throw new UnsupportedFormatException(image + ": an image of format '" + name() + "' keeps its base");
    }

    /**
     * Opens a store, recovering it when it was not closed properly. The store owns {@code file} from here on, also when
     * this throws; the caller has locked it.
     *
     * @param image the path to show to people
     * @param context what the store may rely on
     */
    ExceptionStore open(PositionalFile file, Path image, StoreContext context) throws IOException;

    /**
     * Opens what an internal snapshot holds, to be read. As {@link #open} in all else.
     *
     * @param snapshot its name, or what else identifies it
     * @param context read-only
     * @throws java.nio.file.NoSuchFileException if there is none of that name; with those that there are
     * @throws UnsupportedFormatException if images of this format have no internal snapshots
     */
    default ExceptionStore openSnapshot(PositionalFile file, Path image, String snapshot, StoreContext context)
            throws IOException {
        try (file) {
            throw new UnsupportedFormatException(image + ": images of format '" + name()
                    + "' have no internal snapshots, but layers, which are files: ucow info --chain " + image);
        }
    }

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

    /**
     * Gives a store that is closed another size: what the device gains reads as zeros, what it loses is given back. A kill
     * or power loss at any moment leaves the store with the old size or with the new one. The caller has locked {@code
     * file} exclusively and closes it.
     *
     * @param image the path to show to people
     * @param bootId as in {@link StoreContext}
     * @param origin what is behind the store
     * @param mayShrink whether {@code sizeBytes} may be less than now
     * @throws IllegalArgumentException if the store cannot have that size, or would shrink and may not; in words fit for a
     *     command line's user
     * @throws StoreFullException if there is no room for the map of that size; the store is as it was
     * @throws UnsupportedFormatException if stores of this format have their size for good
     */
    default void resize(PositionalFile file, Path image, UUID bootId, Origin origin, long sizeBytes, boolean mayShrink)
            throws IOException {
        throw new UnsupportedFormatException(image + ": images of format '" + name() + "' cannot be resized");
    }

    /**
     * What identifies all that a store's device holds: no other content has the same id, a copy of the file has, and it is
     * another one once the store was open for writing. The caller has locked {@code file} and closes it.
     *
     * @return empty while the store is open for writing, if it was not closed properly, and if this format does not tell
     */
    default Optional<ContentId> contentId(PositionalFile file) throws IOException {
        return Optional.empty();
    }

    /**
     * Notes that a store, which is closed, holds what {@code id} stands for, until it is opened for writing again; durable
     * on return. A format that cannot does nothing. The caller has locked {@code file} exclusively and closes it.
     *
     * @throws StoreFullException if it was not closed properly, for want of space
     */
    default void holdContent(PositionalFile file, ContentId id) throws IOException {}
}
