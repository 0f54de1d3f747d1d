package io.ucow.it.bench;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * All samples of a run, and what follows from them. Ratios are medians of the ratios within each round: two targets are
 * compared by what they did within the same minute.
 */
final class Results {
    private final List<Target> targets;
    private final List<Job> jobs;
    private final Map<Cell, Map<Integer, Sample>> samples = new HashMap<>();
    private final Map<Cell, String> failures = new HashMap<>();

    /** @param name of a metric, or of a job where something failed */
    private record Cell(String name, String target) {}

    /**
     * @param targets those that take part, in the order of the tables' columns
     * @param jobs those that run, in the order of the tables' rows
     */
    Results(List<Target> targets, List<Job> jobs) {
        this.targets = List.copyOf(targets);
        this.jobs = List.copyOf(jobs);
    }

    /** @param round counted from 1 */
    void add(Metric metric, Target target, int round, Sample sample) {
        samples.computeIfAbsent(new Cell(metric.name(), target.name()), cell -> new TreeMap<>())
                .put(round, sample);
    }

    /** Notes why a job has no sample; the first reason is kept. */
    void addFailure(Job job, Target target, String reason) {
        failures.putIfAbsent(new Cell(job.name(), target.name()), reason);
    }

    List<Target> targets() {
        return targets;
    }

    List<Job> jobs() {
        return jobs;
    }

    /** The rows with anything to tell; a rate of bonnie++'s that was too quick everywhere is none. */
    List<Metric> metrics() {
        return jobs.stream()
                .flatMap(job -> job.metrics().stream())
                .filter(metric -> targets.stream()
                        .anyMatch(target -> !samples(metric, target).isEmpty()))
                .toList();
    }

    /** By ascending round. */
    Collection<Sample> samples(Metric metric, Target target) {
        return byRound(metric, target).values();
    }

    /** Why there is no sample, or not one for each round. */
    Optional<String> failure(String job, Target target) {
        return Optional.ofNullable(failures.get(new Cell(job, target.name())));
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
        return samples.getOrDefault(new Cell(metric.name(), target.name()), Map.of());
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
