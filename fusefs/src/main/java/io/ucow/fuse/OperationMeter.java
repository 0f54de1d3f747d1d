package io.ucow.fuse;

import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.AtomicHistogram;

/**
 * Counts one kind of request and how long each took.
 *
 * <p>Threading: any thread, lock-free; recording allocates nothing.
 */
final class OperationMeter {
    /** Finest step kept, half a microsecond, and the longest time told apart from longer ones, 100 seconds. */
    private static final long LOWEST_NANOS = 512, HIGHEST_NANOS = 100_000_000_000L;

    private static final int DIGITS = 2;

    private final LongAdder count = new LongAdder();
    private final LongAdder bytes = new LongAdder();
    private final AtomicHistogram nanos = new AtomicHistogram(LOWEST_NANOS, HIGHEST_NANOS, DIGITS);

    /** Records a request that started at {@code startNanos}, by {@link System#nanoTime}, and is done now. */
    void done(long startNanos, long lengthBytes) {
        count.increment();
        bytes.add(lengthBytes);
        nanos.recordValue(Math.min(System.nanoTime() - startNanos, HIGHEST_NANOS));
    }

    long count() {
        return count.sum();
    }

    long bytes() {
        return bytes.sum();
    }

    FileStats.Latency latency() {
        AtomicHistogram now = nanos.copy();
        return new FileStats.Latency(
                micros(now.getValueAtPercentile(50)),
                micros(now.getValueAtPercentile(99)),
                micros(now.getValueAtPercentile(99.9)),
                micros(now.getMaxValue()));
    }

    private static long micros(long nanos) {
        return (nanos + 999) / 1000;
    }
}
