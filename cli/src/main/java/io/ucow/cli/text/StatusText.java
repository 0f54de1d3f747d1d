package io.ucow.cli.text;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import java.util.HashMap;
import java.util.Map;

/**
 * {@code ucow status} for people: a block for each device. From the second call on with rates since the one before.
 *
 * <p>Threading: one thread.
 */
public final class StatusText {
    private static final double NANOS_PER_SECOND = 1e9;

    private Map<String, JsonObject> before = Map.of();
    private long beforeNanos;

    /** The lines for what {@code ucow status --json} prints, each ended by a line feed. */
    public String of(JsonArray status) {
        long now = System.nanoTime();
        double seconds = (now - beforeNanos) / NANOS_PER_SECOND;
        Map<String, JsonObject> current = new HashMap<>();
        StringBuilder out = new StringBuilder();
        for (Object each : status) {
            JsonObject device = (JsonObject) each;
            String file = device.getString("file");
            current.put(file, device);
            out.append(out.length() == 0 ? "" : "\n");
            appendDevice(out, device, before.get(file), seconds);
        }
        before = current;
        beforeNanos = now;
        return out.length() == 0 ? "Nothing is mounted or attached.\n" : out.toString();
    }

    /** @param earlier the same device a while ago; null without rates */
    private static void appendDevice(StringBuilder out, JsonObject device, JsonObject earlier, double seconds) {
        out.append(device.getString("file"))
                .append(device.isNull("loop") ? "" : ", " + device.getString("loop"))
                .append(device.getBoolean("readOnly") ? ", read-only" : "")
                .append(", ")
                .append(Sizes.format(device.getLong("sizeBytes")))
                .append(", transport ")
                .append(device.getString("transport"))
                .append('\n');
        TextTable requests = new TextTable("", "COUNT", "PER S", "BYTES", "PER S", "P50", "P99", "P99.9", "MAX");
        addRow(requests, "reads", "readBytes", "readLatency", device, earlier, seconds);
        addRow(requests, "writes", "writtenBytes", "writeLatency", device, earlier, seconds);
        addRow(requests, "flushes", null, "flushLatency", device, earlier, seconds);
        addRow(requests, "discards", null, null, device, earlier, seconds);
        addRow(requests, "zeroes", null, null, device, earlier, seconds);
        addRow(requests, "errors", null, null, device, earlier, seconds);
        out.append(requests.toString().indent(2));
        for (Object each : device.getArray("stores")) {
            appendStore(out, (JsonObject) each);
        }
    }

    private static void addRow(
            TextTable table,
            String count,
            String bytes,
            String latency,
            JsonObject device,
            JsonObject earlier,
            double seconds) {
        JsonObject micros = latency == null || device.getLong(count) == 0 ? null : device.getObject(latency);
        table.add(
                count,
                Long.toString(device.getLong(count)),
                earlier == null ? "" : Long.toString(rate(count, device, earlier, seconds)),
                bytes == null ? "" : Sizes.format(device.getLong(bytes)),
                bytes == null || earlier == null ? "" : Sizes.format(rate(bytes, device, earlier, seconds)),
                time(micros, "p50Micros"),
                time(micros, "p99Micros"),
                time(micros, "p999Micros"),
                time(micros, "maxMicros"));
    }

    private static long rate(String counter, JsonObject device, JsonObject earlier, double seconds) {
        return Math.round((device.getLong(counter) - earlier.getLong(counter)) / seconds);
    }

    private static String time(JsonObject micros, String percentile) {
        return micros == null ? "" : micros.getLong(percentile) + " us";
    }

    private static void appendStore(StringBuilder out, JsonObject store) {
        long records = store.getLong("journalRecords");
        long capacity = store.getLong("journalCapacity");
        out.append("  ")
                .append(store.getString("image"))
                .append(":\n    copies ")
                .append(store.getLong("copies"))
                .append(", waits ")
                .append(store.getLong("waits"))
                .append(", flushes ")
                .append(store.getLong("flushes"))
                .append("; altered chunks ")
                .append(store.getLong("alteredChunks"))
                .append(", zero chunks ")
                .append(store.getLong("zeroChunks"))
                .append("\n    journal ")
                .append(records)
                .append(" of ")
                .append(capacity)
                .append(" records (")
                .append(Percent.of(records, capacity))
                .append("); checkpoints ")
                .append(store.getLong("checkpoints"))
                .append(", pages written by them ")
                .append(store.getLong("checkpointPages"))
                .append('\n');
        if (store.getLong("packedChunks") > 0) {
            appendPacked(out, store);
        }
        long damaged = store.getLong("damagedReads");
        if (damaged > 0) {
            out.append("    requests that met damaged data ").append(damaged).append("; see 'ucow scrub'\n");
        }
    }

    private static void appendPacked(StringBuilder out, JsonObject store) {
        out.append("    compressed chunks ")
                .append(store.getLong("packedChunks"))
                .append("; logical ")
                .append(Sizes.format(store.getLong("logicalBytes")))
                .append(", stored ")
                .append(Sizes.format(store.getLong("storedBytes")))
                .append(", saved ")
                .append(Sizes.format(store.getLong("logicalBytes") - store.getLong("storedBytes")))
                .append('\n');
    }
}
