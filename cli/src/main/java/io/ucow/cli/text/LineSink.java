package io.ucow.cli.text;

import java.util.function.Consumer;

/** Passes text on line by line, without the line feeds; what follows the last one stays behind. */
public final class LineSink implements Appendable {
    private final Consumer<String> lines;
    private final StringBuilder line = new StringBuilder();

    public LineSink(Consumer<String> lines) {
        this.lines = lines;
    }

    @Override
    public LineSink append(CharSequence text) {
        return append(text, 0, text.length());
    }

    @Override
    public LineSink append(CharSequence text, int start, int end) {
        for (int i = start; i < end; i++) {
            append(text.charAt(i));
        }
        return this;
    }

    @Override
    public LineSink append(char c) {
        if (c == '\n') {
            lines.accept(line.toString());
            line.setLength(0);
        } else {
            line.append(c);
        }
        return this;
    }
}
