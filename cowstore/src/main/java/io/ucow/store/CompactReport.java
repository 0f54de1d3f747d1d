package io.ucow.store;

/**
 * What a compaction did, in bytes.
 *
 * @param movedBytes chunks that were moved, or found to be zeros
 * @param sizeBefore the file's length, holes included
 * @param sizeAfter the same afterwards
 * @param allocatedBefore storage that the file occupied
 * @param allocatedAfter the same afterwards
 */
public record CompactReport(
        long movedBytes, long sizeBefore, long sizeAfter, long allocatedBefore, long allocatedAfter) {}
