package io.ucow.sys;

import java.io.IOException;

/**
 * Somebody who wants bytes that are in the page cache, and has the kernel hand them on from there ({@code sendfile(2)}, {@code
 * splice(2)}) instead of reading them into memory first.
 *
 * <p>Threading: one thread at a time.
 */
@FunctionalInterface
public interface SpliceTarget {
    /**
     * Takes a range of a file, all of it. Until this returns whoever calls keeps it from being reused for anything else; writes
     * to it that are under way at the same time may be seen, in part or as a whole.
     *
     * @param fd of the file, open for reading
     * @return false, with nothing taken, if the range cannot be had this way, for whatever reason: it is to be read then,
     *     which also tells what is wrong with it
     * @throws IOException if it was had, and could not be handed on
     */
    boolean take(int fd, long offset, int lengthBytes) throws IOException;
}
