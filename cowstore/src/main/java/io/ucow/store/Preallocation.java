package io.ucow.store;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** What the file system is to set aside for a store when it is made, in QEMU's words. */
public enum Preallocation {
    /** Space is taken as it is written. */
    OFF,
    /** All that the store can need for itself: writes take space for what they write, and for nothing else. */
    METADATA,
    /** All that the file can take. */
    FULL;

    /** Its name on command lines and in listings. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** The one with that name; empty when there is none. */
    public static Optional<Preallocation> ofLabel(String label) {
        return Arrays.stream(values()).filter(p -> p.label().equals(label)).findFirst();
    }
}
