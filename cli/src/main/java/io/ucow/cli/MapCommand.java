package io.ucow.cli;

import com.grack.nanojson.JsonWriter;
import io.ucow.cli.text.ImageJson;
import io.ucow.cli.text.MapSvg;
import io.ucow.cli.text.MapText;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow map}: which parts of an image come from where. */
@Command(
        name = "map",
        description =
                "Tell which parts of an image come from the base, are zero, or are in the store. It may be in use.",
        mixinStandardHelpOptions = true)
final class MapCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private Output output;

    @Option(names = "--svg", description = "Print a picture of what is altered instead: an SVG document.")
    private boolean svg;

    @Mixin
    private SnapshotOption snapshot;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        if (svg && output.isJson()) {
            throw new ParameterException(spec.commandLine(), "--json and --svg exclude each other");
        }
        ImageView view = ImageView.of(image, snapshot.name());
        if (svg) {
            MapSvg picture = new MapSvg(view.info());
            view.forEachExtent(picture);
            output.text(picture.toString());
        } else if (output.isJson()) {
            printJson(view, output.writer());
        } else {
            view.forEachExtent(new MapText(output.writer()));
            output.writer().flush();
        }
        return ExitCodes.OK;
    }

    /** An array with an extent on each line, never held as a whole. */
    private static void printJson(ImageView view, PrintWriter out) throws IOException {
        String[] separator = {"[\n"};
        view.forEachExtent(extent -> {
            out.print(separator[0]);
            out.print(JsonWriter.string(ImageJson.of(extent)));
            separator[0] = ",\n";
        });
        out.print("\n]\n");
        out.flush();
    }
}
