package io.ucow.it.bench;

import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/** The only statistics there are here. */
final class Statistics {
    private Statistics() {}

    /** The middle value, or the mean of the two middle ones; empty if there is none. */
    static OptionalDouble median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(Double::doubleValue).toArray();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        if (sorted.length == 0) {
            return OptionalDouble.empty();
        }
        return OptionalDouble.of(sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2);
    }
}
