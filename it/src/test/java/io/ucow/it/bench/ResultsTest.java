package io.ucow.it.bench;

import static io.ucow.it.bench.FakeTarget.NATIVE;
import static io.ucow.it.bench.FakeTarget.QEMU;
import static io.ucow.it.bench.FakeTarget.QEMU_EXT;
import static io.ucow.it.bench.FakeTarget.UCOW;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.Test;

class ResultsTest {
    private static final Job JOB = Job.ALL.get(0);
    private static final Metric METRIC = JOB.metrics().get(0);

    private final Results results = new Results(List.of(NATIVE, QEMU, QEMU_EXT, UCOW), Job.ALL);

    private void add(Target target, double... rates) {
        for (int i = 0; i < rates.length; i++) {
            OptionalDouble p99 = OptionalDouble.of(1000 / rates[i]);
            results.add(METRIC, target, i + 1, new Sample(rates[i], OptionalDouble.empty(), p99));
        }
    }

    @Test
    void medianIsTheMiddleOrTheMeanOfBothMiddles() {
        assertThat(Statistics.median(List.of())).isEmpty();
        assertThat(Statistics.median(List.of(7.0))).hasValue(7);
        assertThat(Statistics.median(List.of(9.0, 1.0, 5.0))).hasValue(5);
        assertThat(Statistics.median(List.of(9.0, 1.0, 5.0, 3.0))).hasValue(4);
    }

    @Test
    void ratioIsTheMedianOfTheRoundsRatiosNotTheRatioOfMedians() {
        add(NATIVE, 100, 10, 1000);
        add(UCOW, 50, 20, 400);

        assertThat(results.medianRate(METRIC, UCOW)).hasValue(50);
        assertThat(results.rateRatio(METRIC, UCOW, NATIVE)).hasValue(0.5); // of 0.5, 2, 0.4
        assertThat(results.p99Ratio(METRIC, UCOW, NATIVE)).hasValue(2);
    }

    @Test
    void onlyRoundsThatBothHaveCount() {
        add(NATIVE, 100, 100);
        results.add(METRIC, UCOW, 2, Sample.of(30));
        results.add(METRIC, UCOW, 3, Sample.of(900));

        assertThat(results.rateRatio(METRIC, UCOW, NATIVE)).hasValue(0.3);
        assertThat(results.p99Ratio(METRIC, UCOW, NATIVE)).isEmpty();
        assertThat(results.rateRatio(METRIC, UCOW, QEMU)).isEmpty();
    }

    @Test
    void betterQemuIsTheOneWithTheBetterMedian() {
        assertThat(results.best(METRIC, Target.Family.QEMU)).isEmpty();
        add(QEMU, 10, 99, 10);
        add(QEMU_EXT, 20, 20, 20);
        add(UCOW, 30, 30, 30);

        assertThat(results.best(METRIC, Target.Family.QEMU)).contains(QEMU_EXT);
        assertThat(Comparison.of(results, METRIC, UCOW).qemu()).hasValue(1.5);
        assertThat(Comparison.of(results, METRIC, UCOW).nativeLoop()).isEmpty();
    }

    @Test
    void firstFailureIsKept() {
        results.addFailure(JOB, QEMU, "first");
        results.addFailure(JOB, QEMU, "second");

        assertThat(results.failure(METRIC.job(), QEMU)).contains("first");
        assertThat(results.failure(METRIC.job(), UCOW)).isEmpty();
        assertThat(results.metrics()).isEmpty();
    }
}
