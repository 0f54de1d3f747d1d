package io.ucow.cli.text;

import java.math.BigDecimal;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes as people write and read them, with the suffixes of {@code qemu-img}: powers of 1024, either case. */
public final class Sizes {
    private static final String SUFFIXES = "BKMGTPE";
    private static final Pattern SIZE = Pattern.compile("([0-9]+(?:\\.[0-9]+)?)([" + SUFFIXES + "]?)");

    private Sizes() {}

    /**
     * The bytes that {@code text} stands for: {@code "65536"}, {@code "64K"}, {@code "1.5g"}.
     *
     * @return at least 1
     * @throws IllegalArgumentException in words fit for a command line's user
     */
    public static long parse(String text) {
        Matcher size = SIZE.matcher(text.toUpperCase(Locale.ROOT));
        if (!size.matches()) {
            throw new IllegalArgumentException(
                    "'" + text + "' is not a size: use bytes, or a number with K, M, G, T, P or E, such as 20G");
        }
        int power = size.group(2).isEmpty() ? 0 : SUFFIXES.indexOf(size.group(2));
        BigDecimal bytes = new BigDecimal(size.group(1)).multiply(BigDecimal.valueOf(1L << (10 * power)));
        if (bytes.compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) > 0) {
            throw new IllegalArgumentException("'" + text + "' is more than the largest size, 8E - 1");
        }
        if (bytes.signum() == 0 || bytes.stripTrailingZeros().scale() > 0) {
            throw new IllegalArgumentException("'" + text + "' is not a whole number of bytes, 1 or more");
        }
        return bytes.longValueExact();
    }

    /** {@code bytes} with three significant digits or all digits of a whole number: {@code "20 GiB"}, {@code "1.46 MiB"}. */
    public static String format(long bytes) {
        int power = bytes < 1024 ? 0 : (63 - Long.numberOfLeadingZeros(bytes)) / 10;
        if (power == 0) {
            return bytes + " B";
        }
        double value = (double) bytes / (1L << (10 * power));
        int decimals = bytes % (1L << (10 * power)) == 0 || value >= 100 ? 0 : (value >= 10 ? 1 : 2);
        return String.format(Locale.ROOT, "%." + decimals + "f %siB", value, SUFFIXES.charAt(power));
    }
}
