package io.ucow.store;

import java.io.IOException;

/** Told of ranges of a device. */
@FunctionalInterface
public interface RangeVisitor {
    /** One range, in bytes; {@code lengthBytes >= 1}. */
    void range(long offset, long lengthBytes) throws IOException;
}
