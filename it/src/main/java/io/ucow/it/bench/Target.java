package io.ucow.it.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/** Something that makes a writable block device over the base. */
interface Target {
    /** Whom a ratio is with. */
    enum Family {
        NATIVE,
        QEMU,
        OTHER,
        /** ucow's transport without its engine. */
        PASS_THROUGH,
        UCOW,
        /** ucow with an image in QEMU's format: compared with QEMU on such an image. */
        QCOW2,
        /** One of ucow's stores, with options: it takes part in the jobs on stores, and in no others. */
        STORE
    }

    /** What {@code --targets} selects. */
    String name();

    /** As the tables' columns have it, in Markdown. */
    default String label() {
        return name();
    }

    Family family();

    /** Whether an fsync on the device waits for the disk, as a disk's must. */
    default boolean syncs() {
        return true;
    }

    /** Why it cannot take part on this machine; empty if it can. */
    default Optional<String> missing() throws IOException {
        return Optional.empty();
    }

    /**
     * Makes a device with the base's content on which nothing has been written yet.
     *
     * @throws IOException if that fails; what was begun is {@linkplain Scratch#close taken away} with the scratch directory
     */
    Attachment attach(Scratch scratch) throws IOException;

    /**
     * Makes a device that holds {@link Scratch#tree}, of a store.
     *
     * @throws IOException as {@link #attach}
     */
    default Attachment attachTree(Scratch scratch) throws IOException {
        throw new UnsupportedOperationException(name());
    }

    /** Bytes that the store which was attached last takes of the disk. */
    default long takenBytes(Scratch scratch) throws IOException {
        throw new UnsupportedOperationException(name());
    }

    /** Whether it can write a whole disk to one file, and an overlay into its base. */
    default boolean moves() {
        return false;
    }

    /**
     * Makes an overlay over {@code base}, with what {@code data} has.
     *
     * @param base a file of the same size
     * @throws IOException if that fails
     */
    default Movable overlay(Scratch scratch, Path base, Path data) throws IOException {
        throw new UnsupportedOperationException(name());
    }

    /**
     * What writes {@link Scratch#tree} as a compressed qcow2 image to {@link Scratch#out}, which is not there; empty if this
     * does no such thing.
     *
     * @param codec {@code zlib} or {@code zstd}
     * @throws IOException if it cannot be prepared
     */
    default Optional<Program> compress(Scratch scratch, String codec) throws IOException {
        return Optional.empty();
    }
}
