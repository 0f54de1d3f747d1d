package io.ucow.store.table;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Writes tables as {@link TableParser} reads them, one line for each target.
 *
 * <p>Threading: for one thread.
 */
public final class TablePrinter {
    private final Appendable out;
    private final boolean withNames;

    /** @param withNames true to begin each line with {@code NAME: }, as is needed for more than one device */
    public TablePrinter(Appendable out, boolean withNames) {
        this.out = out;
        this.withNames = withNames;
    }

    /**
     * Writes the targets as they are.
     *
     * @throws TableSyntaxException if a path or ident contains a line break
     */
    public void print(DeviceTable table) throws IOException {
        for (Target target : table.targets()) {
            print(table.name(), target);
        }
    }

    /**
     * Writes the table that says where the data is now: altered runs as {@code linear} targets into the store, all else
     * as it is in {@link DeviceTable#joined}. What {@code cow} targets remain also have the zero chunks, for the store
     * must see when those are written.
     *
     * @param extents the runs of the store behind a target of the table
     * @throws TableSyntaxException if a path or ident contains a line break
     */
    public void printSplit(DeviceTable table, Function<Target.Cow, ExtentSource> extents) throws IOException {
        try {
            for (Target target : table.joined().targets()) {
                if (target instanceof Target.Cow cow) {
                    AlteredRuns runs = new AlteredRuns(cow, sink(table.name()));
                    extents.apply(cow).forEachExtent(runs);
                    runs.finish();
                } else {
                    print(table.name(), target);
                }
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private Consumer<Target> sink(String name) {
        return target -> {
            try {
                print(name, target);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }

    private void print(String name, Target target) throws IOException {
        StringBuilder line = new StringBuilder();
        if (withNames) {
            line.append(DeviceName.encode(name)).append(": ");
        }
        line.append(target.startSector()).append(' ').append(target.lengthSectors());
        if (target instanceof Target.Cow cow) {
            line.append(" cow ").append(TableWords.escape(cow.ident())).append(' ');
            line.append(cow.base().isPresent() ? path(cow.base().get()) : TableParser.NO_BASE)
                    .append(' ');
            line.append(path(cow.store())).append(' ').append(cow.chunkSectors());
        } else if (target instanceof Target.Linear linear) {
            line.append(" linear ").append(path(linear.device())).append(' ').append(linear.offsetSectors());
        } else {
            line.append(" zero");
        }
        out.append(line.append('\n'));
    }

    private static String path(Path path) throws TableSyntaxException {
        return TableWords.escape(path.toString());
    }
}
