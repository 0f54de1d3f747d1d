package io.ucow.store;

/**
 * What a scrub did.
 *
 * @param checkedBytes bytes of the device that were read
 * @param learnedBytes those of them of which no checksum was known, and is now
 * @param damagedBytes those of them that are not what was written
 */
public record ScrubReport(long checkedBytes, long learnedBytes, long damagedBytes) {}
