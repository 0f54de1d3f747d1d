package io.ucow.it.bench;

import java.util.OptionalDouble;

/**
 * What one run of one job on one target gave.
 *
 * @param rate in the job's {@link Unit}, above 0
 * @param p50Micros half of the operations took no longer; of the slowest kind where a job has several (reads, writes,
 *     syncs); empty where the program does not say
 * @param p99Micros 99 % took no longer
 */
record Sample(double rate, OptionalDouble p50Micros, OptionalDouble p99Micros) {
    /** A rate without latencies. */
    static Sample of(double rate) {
        return new Sample(rate, OptionalDouble.empty(), OptionalDouble.empty());
    }
}
