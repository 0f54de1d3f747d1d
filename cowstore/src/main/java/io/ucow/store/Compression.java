package io.ucow.store;

import java.util.Arrays;
import java.util.Optional;

/** What a store makes smaller the chunks with that are not written to any more. */
public enum Compression {
    /** Nothing: every chunk stays as it was written. */
    NONE(0),
    /** LZ4 blocks. */
    LZ4(1);

    /** Smallest chunk, as its binary logarithm, that compressing can save space with: file systems give it back in 4 KiB. */
    public static final int MIN_CHUNK_SHIFT = 14;

    private final int id;

    Compression(int id) {
        this.id = id;
    }

    /** Its number in images; 0 for none. */
    public int id() {
        return id;
    }

    /** Its name on command lines and in listings. */
    public String label() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }

    /** The one with that number in images; empty when there is none. */
    public static Optional<Compression> ofId(int id) {
        return Arrays.stream(values()).filter(c -> c.id == id).findFirst();
    }

    /** The one with that name; empty when there is none. */
    public static Optional<Compression> ofLabel(String label) {
        return Arrays.stream(values()).filter(c -> c.label().equals(label)).findFirst();
    }
}
