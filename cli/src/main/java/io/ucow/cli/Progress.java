package io.ucow.cli;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.util.function.LongConsumer;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * How far long work is, as a bar on standard error; nothing where that is not a terminal.
 *
 * <p>Threading: any thread may tell of progress.
 */
final class Progress implements LongConsumer, AutoCloseable {
    private static final int STANDARD_ERROR = 2;
    private static final int UPDATE_MILLIS = 200;
    private static final long MIB = 1 << 20;

    /** Null where there is nobody to see it. */
    private final ProgressBar bar;

    /** Finds out how much there is to do. */
    @FunctionalInterface
    interface Total {
        long bytes() throws IOException;
    }

    private Progress(ProgressBar bar) {
        this.bar = bar;
    }

    /**
     * A bar that is empty; {@link #close} leaves it as it is then, and begins a new line.
     *
     * @param verb what is being done
     * @param totalBytes how much there is to do
     */
    static Progress of(String verb, long totalBytes) {
        int columns = Libc.terminalColumns(STANDARD_ERROR);
        return columns == 0 ? none() : of(verb, totalBytes, columns);
    }

    /** The same where it takes a while to know how much there is to do; asked only if there is somebody to see it. */
    static Progress of(String verb, Total total) throws IOException {
        int columns = Libc.terminalColumns(STANDARD_ERROR);
        return columns == 0 ? none() : of(verb, total.bytes(), columns);
    }

    private static Progress of(String verb, long totalBytes, int columns) {
        // The width is given, for the library would load another library to ask for it.
        return new Progress(new ProgressBarBuilder()
                .setTaskName(verb)
                .setInitialMax(totalBytes)
                .setUnit(" MiB", MIB)
                .setUpdateIntervalMillis(UPDATE_MILLIS)
                .setStyle(ProgressBarStyle.ASCII)
                .showSpeed()
                .setConsumer(new ConsoleProgressBarConsumer(System.err, columns - 1))
                .build());
    }

    /** No bar. */
    static Progress none() {
        return new Progress(null);
    }

    /** So many further bytes are done. */
    @Override
    public void accept(long bytes) {
        if (bar != null) {
            bar.stepBy(bytes);
        }
    }

    /** So many bytes of so many, both in all, are done. */
    void reach(long doneBytes, long totalBytes) {
        if (bar != null) {
            bar.maxHint(totalBytes);
            bar.stepTo(doneBytes);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
