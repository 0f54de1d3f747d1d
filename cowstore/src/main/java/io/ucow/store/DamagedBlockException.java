package io.ucow.store;

import java.io.IOException;

/** A block of a store that does not have the checksum that it was written with: the disk under the store changed it. */
public final class DamagedBlockException extends IOException {
    private static final long serialVersionUID = 1;

    private final String where;
    private final int distance;

    /**
     * @param where file and offset of the block in it, for people
     * @param distance from the first byte of what was to be read or written to that of the block; at least minus a block
     * @param found the block's checksum
     * @param expected what it should be
     */
    public DamagedBlockException(String where, int distance, int found, int expected) {
        this(where, distance, String.format("block has checksum 0x%08x, expected 0x%08x", found, expected), null);
    }

    private DamagedBlockException(String where, int distance, String problem, Throwable cause) {
        super(where + ": " + problem, cause);
        this.where = where;
        this.distance = distance;
    }

    /** The same, naming the block's place on the device as well, for a request that began at {@code guestOffset}. */
    public DamagedBlockException onDevice(long guestOffset) {
        String problem = getMessage().substring(where.length() + 2);
        return new DamagedBlockException(
                where,
                distance,
                problem + ", at 0x" + Long.toHexString(guestOffset + distance) + " of the device",
                this);
    }
}
