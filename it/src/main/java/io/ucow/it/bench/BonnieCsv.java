package io.ucow.it.bench;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The line that bonnie++ prints for programs. Every rate is followed by the CPU's share in percent; a test that took less
 * than half a second has {@code +++++} for both, one that was left out nothing. Source: bon_csv2html(1), format 2.
 * <pre>
 *    0 format_version   1.98        9 putc         19 seeks         30 seq_del
 *    1 bonnie_version              11 put_block    21 num_files     32 ran_create
 *    2 name                        13 rewrite      26 seq_create    34 ran_stat
 *    5 file_size                   15 getc         28 seq_stat      36 ran_del
 *    7 seeks, 8 processes          17 get_block                     38 .. 49 latencies, not used
 * </pre>
 */
final class BonnieCsv {
    /** The name of the job. */
    static final String JOB = "bonnie";

    private static final String FORMAT = "1.98";
    private static final int VERSION = 0, LAST_RATE = 36;

    private record Column(int index, Metric metric) {}

    private static final List<Column> RATES = List.of(
            column(9, "putc", Unit.KIBIBYTES),
            column(11, "put-block", Unit.KIBIBYTES),
            column(13, "rewrite", Unit.KIBIBYTES),
            column(15, "getc", Unit.KIBIBYTES),
            column(17, "get-block", Unit.KIBIBYTES),
            column(19, "seeks", Unit.IOPS),
            column(26, "seq-create", Unit.FILES),
            column(28, "seq-stat", Unit.FILES),
            column(30, "seq-del", Unit.FILES),
            column(32, "ran-create", Unit.FILES),
            column(34, "ran-stat", Unit.FILES),
            column(36, "ran-del", Unit.FILES));

    /** In the order of the columns. */
    static final List<Metric> METRICS = RATES.stream().map(Column::metric).toList();

    private BonnieCsv() {}

    private static Column column(int index, String name, Unit unit) {
        return new Column(index, new Metric(JOB + "-" + name, unit, JOB));
    }

    /**
     * The rates in the last line of {@code output}; tests that were too quick to tell are missing.
     *
     * @throws IOException if it is not in the format above
     */
    static Map<Metric, Sample> parse(String output) throws IOException {
        String[] lines = output.strip().split("\n", -1);
        String line = lines[lines.length - 1];
        String[] fields = line.split(",", -1);
        if (!fields[VERSION].equals(FORMAT) || fields.length <= LAST_RATE) {
            throw new IOException("not a CSV line of bonnie++ in format " + FORMAT + ": " + line);
        }
        Map<Metric, Sample> rates = new LinkedHashMap<>();
        for (Column column : RATES) {
            String field = fields[column.index()];
            if (!field.isEmpty() && field.charAt(0) != '+') {
                rates.put(column.metric(), Sample.of(rate(field, line)));
            }
        }
        return rates;
    }

    private static double rate(String field, String line) throws IOException {
        try {
            return Double.parseDouble(field);
        } catch (NumberFormatException e) {
            throw new IOException("'" + field + "' is not a rate in bonnie++'s line " + line, e);
        }
    }
}
