package io.ucow.fuse;

/**
 * What one file has been asked since it was first served; each figure is exact, the set of them is not one instant's.
 *
 * @param reads reads answered with data
 * @param readBytes bytes they returned
 * @param writes writes acknowledged
 * @param writtenBytes bytes they carried
 * @param flushes flushes acknowledged
 * @param discards holes punched
 * @param zeroes ranges zeroed
 * @param errors requests answered with an errno
 * @param readLatency time from request to answer, reads answered with data only
 * @param writeLatency the same for acknowledged writes
 * @param flushLatency the same for acknowledged flushes
 */
public record FileStats(
        long reads,
        long readBytes,
        long writes,
        long writtenBytes,
        long flushes,
        long discards,
        long zeroes,
        long errors,
        Latency readLatency,
        Latency writeLatency,
        Latency flushLatency) {
    /**
     * Percentiles in microseconds, each within one percent and rounded up; all 0 when nothing was measured.
     *
     * @param p50Micros half of the requests took no longer
     * @param p99Micros 99 of 100 took no longer
     * @param p999Micros 999 of 1000 took no longer
     * @param maxMicros none took longer
     */
    public record Latency(long p50Micros, long p99Micros, long p999Micros, long maxMicros) {}
}
