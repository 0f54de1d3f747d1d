package io.ucow.it.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/** The results as tables: rates, kinds of stores, latencies, with what is to be known of them below: ready for a README. */
final class MarkdownReport {
    private static final String NOTHING = "–";

    private final Results results;
    private final Map<String, String> skipped;
    private final Target ucow;
    private final StringBuilder text = new StringBuilder();

    /** @param skipped targets that took no part, by name, and why */
    MarkdownReport(Results results, Map<String, String> skipped) {
        this.results = results;
        this.skipped = skipped;
        this.ucow = compared(results.targets()).orElse(null);
    }

    /** Whom the ratios are about: the last of ucow's transports in the columns' order. */
    static Optional<Target> compared(List<Target> targets) {
        return targets.stream()
                .filter(target -> target.family() == Target.Family.UCOW)
                .reduce((first, second) -> second);
    }

    /** The document. */
    @Override
    public String toString() {
        text.setLength(0);
        rates();
        stores();
        latencies();
        notes();
        return text.toString();
    }

    private List<Target> targets(boolean stores) {
        return results.targets().stream()
                .filter(target -> (target.family() == Target.Family.STORE) == stores)
                .toList();
    }

    private List<Metric> metrics(boolean stores) {
        List<String> jobs = results.jobs().stream()
                .filter(job -> job.stage().isOfStores() == stores)
                .map(Job::name)
                .toList();
        return results.metrics().stream()
                .filter(metric -> jobs.contains(metric.job()))
                .toList();
    }

    /** Kinds of stores, and each as a multiple of the plain one. */
    private void stores() {
        if (metrics(true).isEmpty()) {
            return;
        }
        List<Target> kinds = targets(true);
        Target plain = kinds.stream()
                .filter(kind -> kind.name().equals(StoreKind.PLAIN))
                .findFirst()
                .orElse(null);
        List<Target> others = kinds.stream().filter(kind -> kind != plain).toList();
        List<String> heads = new ArrayList<>(List.of("job", "unit"));
        kinds.forEach(kind -> heads.add(kind.label()));
        if (plain != null) {
            others.forEach(kind -> heads.add(kind.label() + " / plain"));
        }
        text.append('\n');
        head(heads);
        for (Metric metric : metrics(true)) {
            List<String> cells =
                    new ArrayList<>(List.of(metric.name(), metric.unit().label()));
            kinds.forEach(kind -> cells.add(rate(metric, kind)));
            if (plain != null) {
                others.forEach(kind -> cells.add(ratio(results.rateRatio(metric, kind, plain))));
            }
            row(cells);
        }
    }

    private void rates() {
        if (metrics(false).isEmpty()) {
            return;
        }
        List<String> heads = new ArrayList<>(List.of("job", "unit"));
        List<Target> targets = targets(false);
        targets.forEach(target -> heads.add(target.label() + (target.syncs() ? "" : " ¹")));
        if (ucow != null) {
            heads.add(ucow.label() + " / better QEMU");
            heads.add(ucow.label() + " / native");
            heads.add("p99 / QEMU's");
        }
        boolean hasPassThrough = ucow != null && first(Target.Family.PASS_THROUGH) != null;
        if (hasPassThrough) {
            heads.add(ucow.label() + " / pass-through");
        }
        Target qcow2 = first(Target.Family.QCOW2);
        Target qemu = first(Target.Family.QEMU);
        boolean compares = qcow2 != null && qemu != null;
        if (compares) {
            heads.add(qcow2.label() + " / " + qemu.label());
        }
        head(heads);
        for (Metric metric : metrics(false)) {
            List<String> cells =
                    new ArrayList<>(List.of(metric.name(), metric.unit().label()));
            for (Target target : targets) {
                cells.add(rate(metric, target));
            }
            if (ucow != null) {
                Comparison comparison = Comparison.of(results, metric, ucow);
                cells.add(ratio(comparison.qemu()));
                cells.add(ratio(comparison.nativeLoop()));
                cells.add(ratio(comparison.qemuP99()));
                if (hasPassThrough) {
                    cells.add(ratio(comparison.passThrough()));
                }
            }
            if (compares) {
                cells.add(ratio(results.rateRatio(metric, qcow2, qemu)));
            }
            row(cells);
        }
    }

    /** The first target of a family; null if none takes part. */
    private Target first(Target.Family family) {
        return results.targets().stream()
                .filter(target -> target.family() == family)
                .findFirst()
                .orElse(null);
    }

    private void latencies() {
        List<List<String>> rows = new ArrayList<>();
        for (Metric metric : results.metrics()) {
            List<String> cells = new ArrayList<>(List.of(metric.name()));
            boolean any = false;
            for (Target target : results.targets()) {
                OptionalDouble p50 = results.medianP50(metric, target);
                OptionalDouble p99 = results.medianP99(metric, target);
                any |= p50.isPresent();
                cells.add(whole(p50) + " / " + whole(p99));
            }
            if (any) {
                rows.add(cells);
            }
        }
        if (rows.isEmpty()) {
            return;
        }
        List<String> heads = new ArrayList<>(List.of("p50 / p99, µs"));
        results.targets().forEach(target -> heads.add(target.label()));
        text.append('\n');
        head(heads);
        rows.forEach(this::row);
    }

    private void notes() {
        text.append('\n');
        if (results.targets().stream().anyMatch(target -> !target.syncs())) {
            text.append(
                    "¹ may acknowledge an fsync without one: compare its figures of jobs that sync with nothing.\n");
        }
        skipped.forEach((target, reason) -> text.append("Left out: ")
                .append(target)
                .append(", ")
                .append(reason)
                .append(".\n"));
        for (Job job : results.jobs()) {
            for (Target target : results.targets()) {
                results.failure(job.name(), target)
                        .ifPresent(reason -> text.append("Failed: ")
                                .append(job.name())
                                .append(" on ")
                                .append(target.name())
                                .append(": ")
                                .append(reason.replace('\n', ' '))
                                .append(".\n"));
            }
        }
    }

    private String rate(Metric metric, Target target) {
        OptionalDouble median = results.medianRate(metric, target);
        if (median.isEmpty()) {
            return results.failure(metric.job(), target).isPresent() ? "failed" : NOTHING;
        }
        return whole(median);
    }

    private static String whole(OptionalDouble value) {
        return value.isPresent() ? String.format(Locale.ROOT, "%.0f", value.getAsDouble()) : NOTHING;
    }

    private static String ratio(OptionalDouble value) {
        return value.isPresent() ? String.format(Locale.ROOT, "%.2f", value.getAsDouble()) : NOTHING;
    }

    private void head(List<String> cells) {
        row(cells);
        text.append("|---".repeat(cells.size())).append("|\n");
    }

    private void row(List<String> cells) {
        text.append("| ").append(String.join(" | ", cells)).append(" |\n");
    }
}
