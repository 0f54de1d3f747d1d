package io.ucow.it.bench;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonWriter;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * The results for programs: every sample, and the medians and ratios of the tables. What there is not is left out.
 * <pre>
 *   {"rounds":3, "seconds":2, "sizeBytes":N, "kernel":"6.18", "cpus":2, "java":"17.0.15",
 *    "targets":["native", …], "skipped":{"target":"reason", …},
 *    "rows":[{"job":"read-4k-qd16", "unit":"IOPS",
 *             "targets":{"native":{"rate":N, "p50Micros":N, "p99Micros":N, "failure":"reason",
 *                                  "samples":[{"rate":N, "p50Micros":N, "p99Micros":N}, …]}, …},
 *             "ucow":"ucow-direct", "ratioToQemu":N, "ratioToNative":N, "p99RatioToQemu":N}, …]}
 * </pre>
 */
final class JsonReport {
    private JsonReport() {}

    /** @param settings become the first members, as they are */
    static String of(Results results, Map<String, String> skipped, JsonObject settings) {
        JsonObject report = new JsonObject(settings);
        JsonArray targets = new JsonArray();
        results.targets().forEach(target -> targets.add(target.name()));
        report.put("targets", targets);
        report.put("skipped", new JsonObject(skipped));
        JsonArray rows = new JsonArray();
        results.metrics().forEach(metric -> rows.add(row(results, metric)));
        report.put("rows", rows);
        return JsonWriter.indent("  ").string().value(report).done() + "\n";
    }

    private static JsonObject row(Results results, Metric metric) {
        JsonObject row = new JsonObject();
        row.put("job", metric.name());
        row.put("unit", metric.unit().label());
        JsonObject targets = new JsonObject();
        results.targets().forEach(target -> targets.put(target.name(), target(results, metric, target)));
        row.put("targets", targets);
        MarkdownReport.compared(results.targets()).ifPresent(ucow -> {
            Comparison comparison = Comparison.of(results, metric, ucow);
            row.put("ucow", ucow.name());
            put(row, "ratioToQemu", comparison.qemu());
            put(row, "ratioToNative", comparison.nativeLoop());
            put(row, "ratioToPassThrough", comparison.passThrough());
            put(row, "p99RatioToQemu", comparison.qemuP99());
        });
        return row;
    }

    private static JsonObject target(Results results, Metric metric, Target target) {
        JsonObject json = new JsonObject();
        put(json, "rate", results.medianRate(metric, target));
        put(json, "p50Micros", results.medianP50(metric, target));
        put(json, "p99Micros", results.medianP99(metric, target));
        results.failure(metric.job(), target).ifPresent(reason -> json.put("failure", reason));
        JsonArray samples = new JsonArray();
        for (Sample sample : results.samples(metric, target)) {
            JsonObject one = new JsonObject();
            one.put("rate", sample.rate());
            put(one, "p50Micros", sample.p50Micros());
            put(one, "p99Micros", sample.p99Micros());
            samples.add(one);
        }
        json.put("samples", samples);
        return json;
    }

    private static void put(JsonObject json, String name, OptionalDouble value) {
        value.ifPresent(number -> json.put(name, number));
    }
}
