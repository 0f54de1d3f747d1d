package io.ucow.store.table;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Reads device-mapper tables: what {@code dmsetup create} takes and what {@code dmsetup table} prints.
 *
 * <p>Each line is read by itself here; {@link TableChecker} sees that the lines fit together.
 */
public final class TableParser {
    /** What messages call the standard input. */
    public static final String STDIN = "<stdin>";

    /** BASE of a store over zeros. */
    static final String NO_BASE = "-";

    private static final String LINE_SYNTAX = "START LENGTH cow IDENT BASE COWDEV CHUNK, START LENGTH linear DEV OFFSET"
            + " or START LENGTH zero, in sectors of 512 bytes";

    private static final String IN_PATHS = ", with a backslash before a space in a path";

    private final String source;
    private final String defaultName;
    private final Map<String, List<Target>> devices = new LinkedHashMap<>();
    private String currentName;
    private int firstTargetLine;
    private boolean prefixed;

    private TableParser(String source, String defaultName) {
        this.source = source;
        this.defaultName = defaultName;
    }

    /**
     * Reads tables to the end of {@code in}, which is not closed.
     *
     * @param source how messages name the text: its file name, or {@link #STDIN}
     * @param defaultName the device's name if the lines do not begin with {@code NAME: }
     * @return the devices in the order of their first lines, at least one
     * @throws TableSyntaxException at the first line that is wrong
     * @throws IOException if {@code in} fails
     */
    public static List<DeviceTable> parse(Reader in, String source, String defaultName) throws IOException {
        TableParser parser = new TableParser(source, defaultName);
        BufferedReader lines = new BufferedReader(in);
        int lineNumber = 0;
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            parser.readLine(++lineNumber, line);
        }
        return parser.finish();
    }

    private void readLine(int lineNumber, String line) throws TableSyntaxException {
        int start = 0;
        while (start < line.length() && TableWords.isSpace(line.charAt(start))) {
            start++;
        }
        int end = start;
        while (end < line.length() && !TableWords.isSpace(line.charAt(end))) {
            end++;
        }
        String first = line.substring(start, end);
        if (first.isEmpty() || first.startsWith("#")) {
            return;
        }
        boolean hasPrefix = first.endsWith(":");
        String name = hasPrefix ? DeviceName.decode(first.substring(0, first.length() - 1)) : defaultName;
        List<Target> targets = targetsOf(lineNumber, name, hasPrefix);
        targets.add(target(lineNumber, TableWords.split(line.substring(hasPrefix ? end : start))));
    }

    private List<Target> targetsOf(int lineNumber, String name, boolean hasPrefix) throws TableSyntaxException {
        if (firstTargetLine == 0) {
            firstTargetLine = lineNumber;
            prefixed = hasPrefix;
        } else if (prefixed != hasPrefix) {
            throw error(
                    lineNumber,
                    "found a line " + (hasPrefix ? "with" : "without") + " a 'NAME: ' prefix, but line "
                            + firstTargetLine + " has " + (prefixed ? "one" : "none")
                            + "; give it to every line, or to none for a single device");
        }
        if (!name.equals(currentName)) {
            if (!DeviceName.isUsable(name)) {
                throw error(
                        lineNumber,
                        "device name '" + name
                                + "' cannot be a file name; use 1 to 255 bytes without '/', not . or ..");
            }
            List<Target> before = devices.putIfAbsent(name, new ArrayList<>());
            if (before != null) {
                throw error(
                        lineNumber,
                        "device '" + name + "' was already defined, from line "
                                + before.get(0).lineNumber()
                                + " on; put the lines of a device together, or rename one");
            }
            currentName = name;
        }
        return devices.get(name);
    }

    private Target target(int lineNumber, List<String> words) throws TableSyntaxException {
        if (words.size() < 3) {
            throw error(lineNumber, "found '" + String.join(" ", words) + "'; write " + LINE_SYNTAX);
        }
        long start = sectors(lineNumber, "START", words.get(0));
        long length = sectors(lineNumber, "LENGTH", words.get(1));
        if (length == 0) {
            throw error(lineNumber, "LENGTH is 0; give the target at least 1 sector, or drop the line");
        }
        requireInRange(lineNumber, "START + LENGTH", start, length);
        String type = words.get(2);
        List<String> arguments = words.subList(3, words.size());
        return switch (type) {
            case "cow" -> {
                requireCount(lineNumber, type, arguments, 4, "IDENT BASE COWDEV CHUNK" + IN_PATHS);
                yield cow(lineNumber, start, length, arguments);
            }
            case "linear" -> {
                requireCount(lineNumber, type, arguments, 2, "DEV OFFSET" + IN_PATHS);
                yield linear(lineNumber, start, length, arguments);
            }
            case "zero" -> {
                requireCount(lineNumber, type, arguments, 0, "nothing there");
                yield new Target.Zero(start, length, lineNumber);
            }
            default -> throw error(lineNumber, "unknown target type '" + type + "'; use cow, linear or zero");
        };
    }

    private Target cow(int lineNumber, long start, long length, List<String> arguments) throws TableSyntaxException {
        Optional<Path> base =
                arguments.get(1).equals(NO_BASE) ? Optional.empty() : Optional.of(path(lineNumber, arguments.get(1)));
        Path store = path(lineNumber, arguments.get(2));
        long chunk = sectors(lineNumber, "CHUNK", arguments.get(3));
        if (Long.bitCount(chunk) != 1 || chunk < Target.Cow.MIN_CHUNK_SECTORS || chunk > Target.Cow.MAX_CHUNK_SECTORS) {
            throw error(
                    lineNumber,
                    "CHUNK is " + chunk + "; use a power of two from 8 to 2048 sectors, which is 4 KiB to 1 MiB");
        }
        return new Target.Cow(start, length, lineNumber, arguments.get(0), base, store, (int) chunk);
    }

    private Target linear(int lineNumber, long start, long length, List<String> arguments) throws TableSyntaxException {
        Path device = path(lineNumber, arguments.get(0));
        long offset = sectors(lineNumber, "OFFSET", arguments.get(1));
        requireInRange(lineNumber, "OFFSET + LENGTH", offset, length);
        return new Target.Linear(start, length, lineNumber, device, offset);
    }

    private long sectors(int lineNumber, String what, String word) throws TableSyntaxException {
        boolean decimal = word.chars().allMatch(c -> c >= '0' && c <= '9');
        try {
            long value = decimal ? Long.parseLong(word) : -1;
            if (value >= 0 && value <= Target.MAX_SECTORS) {
                return value;
            }
        } catch (NumberFormatException e) {
            throw tooLarge(lineNumber, what, word);
        }
        throw decimal
                ? tooLarge(lineNumber, what, word)
                : error(lineNumber, what + " is '" + word + "'; write a number of sectors in decimal digits");
    }

    private void requireInRange(int lineNumber, String what, long first, long length) throws TableSyntaxException {
        if (length > Target.MAX_SECTORS - first) {
            throw tooLarge(lineNumber, what, first + " + " + length);
        }
    }

    private TableSyntaxException tooLarge(int lineNumber, String what, String value) {
        return error(lineNumber, what + " is " + value + "; use at most " + Target.MAX_SECTORS + " sectors");
    }

    private void requireCount(int lineNumber, String type, List<String> arguments, int count, String names)
            throws TableSyntaxException {
        if (arguments.size() != count) {
            throw error(lineNumber, "found '" + String.join(" ", arguments) + "' after " + type + "; write " + names);
        }
    }

    private Path path(int lineNumber, String word) throws TableSyntaxException {
        try {
            return TablePaths.of(word);
        } catch (InvalidPathException e) {
            throw error(lineNumber, "'" + word + "' is no path: " + e.getReason() + "; correct it");
        }
    }

    private List<DeviceTable> finish() throws TableSyntaxException {
        if (devices.isEmpty()) {
            throw new TableSyntaxException(source + ": found no table lines; write " + LINE_SYNTAX);
        }
        new TableChecker(source).check(devices);
        List<DeviceTable> tables = new ArrayList<>();
        devices.forEach((name, targets) -> tables.add(new DeviceTable(name, targets)));
        return List.copyOf(tables);
    }

    private TableSyntaxException error(int lineNumber, String problem) {
        return new TableSyntaxException(source, lineNumber, problem);
    }
}
