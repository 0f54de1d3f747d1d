package io.ucow.store;

/**
 * What a CoW device has done since it was opened; each figure is exact, the set of them is not one instant's.
 *
 * @param copies chunks that a first write gave a slot, and times that it filled blocks which a slot lacked
 * @param waits requests that waited on another's chunk future
 * @param flushes flushes that reached the store
 * @param alteredChunks chunks now held in the store
 * @param zeroChunks chunks that now read as zeros without a slot
 * @param journalRecords records in the journal that no checkpoint has folded in yet
 * @param journalCapacity records the journal has room for
 * @param checkpoints checkpoints finished
 * @param checkpointPages metadata pages written by them
 * @param packedChunks those of the altered chunks that are compressed
 * @param logicalBytes bytes that the altered chunks would take if none were compressed
 * @param storedBytes bytes that they take
 * @param damagedReads requests that failed because a compressed chunk, or a block with a checksum, is damaged
 */
public record DeviceStats(
        long copies,
        long waits,
        long flushes,
        long alteredChunks,
        long zeroChunks,
        long journalRecords,
        long journalCapacity,
        long checkpoints,
        long checkpointPages,
        long packedChunks,
        long logicalBytes,
        long storedBytes,
        long damagedReads) {}
