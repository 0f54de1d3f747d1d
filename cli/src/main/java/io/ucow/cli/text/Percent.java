package io.ucow.cli.text;

import java.util.Locale;

/** Shares as people read them. */
final class Percent {
    private Percent() {}

    /** {@code part} in percent of {@code whole}: 0 and 100 only when it is exactly that. */
    static String of(long part, long whole) {
        if (part == 0 || whole == 0) {
            return "0%";
        }
        double percent = 100.0 * part / whole;
        if (part < whole) {
            percent = Math.min(Math.max(percent, 0.1), 99.9);
        }
        return String.format(
                Locale.ROOT, percent < 10 || (percent > 99 && part < whole) ? "%.1f%%" : "%.0f%%", percent);
    }
}
