package io.ucow.it.bench;

import java.io.IOException;
import java.util.Optional;

/** Something that makes a writable block device over the base. */
interface Target {
    /** Whom a ratio is with. */
    enum Family {
        NATIVE,
        QEMU,
        OTHER,
        UCOW
    }

    /** What {@code --targets} selects. */
    String name();

    /** As the tables' columns have it, in Markdown. */
    String label();

    Family family();

    /** Whether an fsync on the device waits for the disk, as a disk's must. */
    boolean syncs();

    /** Why it cannot take part on this machine; empty if it can. */
    Optional<String> missing() throws IOException;

    /**
     * Makes a device with the base's content on which nothing has been written yet.
     *
     * @throws IOException if that fails; what was begun is {@linkplain Scratch#close taken away} with the scratch directory
     */
    Attachment attach(Scratch scratch) throws IOException;
}
