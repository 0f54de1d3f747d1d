package io.ucow.store.table;

import java.util.ArrayList;
import java.util.List;

/**
 * Cuts a table line into words and escapes words for one, by the rules of {@code dm_split_args} in the kernel's
 * {@code drivers/md/dm-table.c}: words are separated by white space, and a backslash takes the next character as it is.
 *
 * <p>As in {@code dmsetup} a {@code #} begins a comment anywhere; here, unlike there, a backslash keeps it.
 */
final class TableWords {
    private static final char ESCAPE = '\\';
    private static final char COMMENT = '#';

    private TableWords() {}

    /** The words of {@code line}, in order; none for a blank or comment line. */
    static List<String> split(String line) {
        List<String> words = new ArrayList<>();
        StringBuilder word = new StringBuilder();
        for (int i = 0; i < line.length(); i++) {
            char c = line.charAt(i);
            if (c == ESCAPE && i + 1 < line.length()) {
                word.append(line.charAt(++i));
            } else if (c == COMMENT) {
                break;
            } else if (!isSpace(c)) {
                word.append(c);
            } else if (!word.isEmpty()) {
                words.add(word.toString());
                word.setLength(0);
            }
        }
        if (!word.isEmpty()) {
            words.add(word.toString());
        }
        return words;
    }

    /**
     * {@code word} such that {@link #split} gives it back.
     *
     * @throws TableSyntaxException if it contains a line break, for which tables have no escape
     */
    static String escape(String word) throws TableSyntaxException {
        StringBuilder escaped = new StringBuilder(word.length());
        for (int i = 0; i < word.length(); i++) {
            char c = word.charAt(i);
            if (c == '\n' || c == '\r') {
                throw new TableSyntaxException("'" + word.replace('\n', '?').replace('\r', '?')
                        + "' contains a line break, which no device table can express; rename it");
            }
            if (c == ESCAPE || c == COMMENT || isSpace(c)) {
                escaped.append(ESCAPE);
            }
            escaped.append(c);
        }
        return escaped.toString();
    }

    /** What C's {@code isspace} says in the C locale. */
    static boolean isSpace(char c) {
        return c == ' ' || (c >= '\t' && c <= '\r');
    }
}
