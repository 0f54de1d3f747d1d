package io.ucow.store;

import java.util.Locale;

/** Which caches data goes through, and when a write is durable; QEMU's words, with QEMU's meaning. */
public enum CacheMode {
    /** Past every cache: base and store are read and written with {@code O_DIRECT}. Durable at the next flush. */
    NONE,
    /** Through the page cache; each write is durable before it is acknowledged. */
    WRITETHROUGH,
    /** Through the page cache, which may hold writes back until the next flush. */
    WRITEBACK;

    /** As options and messages have it. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
