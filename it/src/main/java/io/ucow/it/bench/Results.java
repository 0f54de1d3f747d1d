package io.ucow.it.bench;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Function;

/**
 * All samples of a run, and what follows from them. Ratios are medians of the ratios within each round: two targets are
 * compared by what they did within the same minute.
 */
final class Results {
    private final List<Target> targets;
    private final Map<String, Row> rows = new LinkedHashMap<>();

    /** @param targets those that took part, in the order of the tables' columns */
    Results(List<Target> targets) {
        this.targets = List.copyOf(targets);
    }

    /** One row: what each target did in each round. */
    private static final class Row {
        private final Metric metric;
        private final Map<String, Map<Integer, Sample>> samples = new LinkedHashMap<>();
        private final Map<String, String> failures = new LinkedHashMap<>();

        private Row(Metric metric) {
            this.metric = metric;
        }
    }

    /** @param round counted from 1 */
    void add(Metric metric, Target target, int round, Sample sample) {
        row(metric)
                .samples
                .computeIfAbsent(target.name(), t -> new LinkedHashMap<>())
                .put(round, sample);
    }

    /** Notes why a target has no sample; the first reason is kept. */
    void addFailure(Metric metric, Target target, String reason) {
        row(metric).failures.putIfAbsent(target.name(), reason);
    }

    private Row row(Metric metric) {
        return rows.computeIfAbsent(metric.name(), name -> new Row(metric));
    }

    List<Target> targets() {
        return targets;
    }

    /** In the order in which they were first added. */
    List<Metric> metrics() {
        return rows.values().stream().map(row -> row.metric).toList();
    }

    /** By ascending round. */
    Collection<Sample> samples(Metric metric, Target target) {
        return byRound(metric, target).values();
    }

    /** Why there is no sample, or not one for each round. */
    Optional<String> failure(Metric metric, Target target) {
        return Optional.ofNullable(rows.get(metric.name()).failures.get(target.name()));
    }

    OptionalDouble medianRate(Metric metric, Target target) {
        return median(metric, target, sample -> OptionalDouble.of(sample.rate()));
    }

    OptionalDouble medianP50(Metric metric, Target target) {
        return median(metric, target, Sample::p50Micros);
    }

    OptionalDouble medianP99(Metric metric, Target target) {
        return median(metric, target, Sample::p99Micros);
    }

    /** How many times as fast as {@code other}; empty unless both have a sample of one round. */
    OptionalDouble rateRatio(Metric metric, Target target, Target other) {
        return ratio(metric, target, other, sample -> OptionalDouble.of(sample.rate()));
    }

    /** How many times as long the slowest hundredth takes; below 1 is better than {@code other}. */
    OptionalDouble p99Ratio(Metric metric, Target target, Target other) {
        return ratio(metric, target, other, Sample::p99Micros);
    }

    /** The target of this family with the best median rate. */
    Optional<Target> best(Metric metric, Target.Family family) {
        Target best = null;
        for (Target target : targets) {
            if (target.family() == family
                    && medianRate(metric, target).isPresent()
                    && (best == null
                            || medianRate(metric, target).getAsDouble()
                                    > medianRate(metric, best).getAsDouble())) {
                best = target;
            }
        }
        return Optional.ofNullable(best);
    }

    private Map<Integer, Sample> byRound(Metric metric, Target target) {
        return rows.get(metric.name()).samples.getOrDefault(target.name(), Map.of());
    }

    private OptionalDouble median(Metric metric, Target target, Function<Sample, OptionalDouble> value) {
        List<Double> values = new ArrayList<>();
        samples(metric, target).forEach(sample -> value.apply(sample).ifPresent(values::add));
        return Statistics.median(values);
    }

    private OptionalDouble ratio(Metric metric, Target target, Target other, Function<Sample, OptionalDouble> value) {
        List<Double> ratios = new ArrayList<>();
        Map<Integer, Sample> others = byRound(metric, other);
        byRound(metric, target).forEach((round, sample) -> {
            if (others.containsKey(round)) {
                OptionalDouble ours = value.apply(sample);
                OptionalDouble theirs = value.apply(others.get(round));
                if (ours.isPresent() && theirs.isPresent()) {
                    ratios.add(ours.getAsDouble() / theirs.getAsDouble());
                }
            }
        });
        return Statistics.median(ratios);
    }
}
