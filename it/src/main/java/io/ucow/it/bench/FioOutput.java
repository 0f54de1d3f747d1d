package io.ucow.it.bench;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonParserException;
import java.io.IOException;
import java.util.OptionalDouble;

/**
 * What {@code fio --output-format=json} says of a run with one job. Of the 3.x format this takes:
 * <pre>
 *   jobs[0].error                                                   errno, 0 if all went well
 *   jobs[0].{read,write}.{iops, bw_bytes, total_ios}                per second
 *   jobs[0].{read,write}.clat_ns.percentile["50.000000"]            nanoseconds from submission to completion
 *   jobs[0].sync.{total_ios, lat_ns.percentile[...]}                the same of fsync calls
 * </pre>
 * Source: fio's HOWTO, section "JSON output".
 */
final class FioOutput {
    private FioOutput() {}

    /** @throws IOException if the job failed, did nothing, or this is not fio's JSON */
    static Sample parse(String json, Unit unit) throws IOException {
        try {
            return sample(JsonParser.object().from(json).getArray("jobs").getObject(0), unit);
        } catch (JsonParserException | RuntimeException e) {
            throw new IOException("not what fio prints as JSON: " + e.getMessage(), e);
        }
    }

    private static Sample sample(JsonObject job, Unit unit) throws IOException {
        if (job.getInt("error") != 0) {
            throw new IOException("fio reports errno " + job.getInt("error"));
        }
        JsonObject read = job.getObject("read");
        JsonObject write = job.getObject("write");
        double rate = unit == Unit.MEGABYTES
                ? (read.getDouble("bw_bytes") + write.getDouble("bw_bytes")) / 1e6
                : read.getDouble("iops") + write.getDouble("iops");
        if (!(rate > 0)) {
            throw new IOException("fio did nothing");
        }
        return new Sample(rate, percentile(job, "50.000000"), percentile(job, "99.000000"));
    }

    /** Of reads, writes and syncs the slowest, in microseconds. */
    private static OptionalDouble percentile(JsonObject job, String percent) {
        double slowest = Math.max(
                micros(job.getObject("read"), "clat_ns", percent),
                Math.max(
                        micros(job.getObject("write"), "clat_ns", percent),
                        micros(job.getObject("sync"), "lat_ns", percent)));
        return slowest > 0 ? OptionalDouble.of(slowest) : OptionalDouble.empty();
    }

    private static double micros(JsonObject kind, String latency, String percent) {
        JsonObject percentiles = kind == null || kind.getObject(latency) == null
                ? null
                : kind.getObject(latency).getObject("percentile");
        return percentiles == null ? 0 : percentiles.getDouble(percent) / 1000;
    }
}
