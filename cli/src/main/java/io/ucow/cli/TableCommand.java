package io.ucow.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow table}: a device as device-mapper sees it. */
@Command(
        name = "table",
        description = {
            "Print a device's current table as dmsetup takes it, in sectors of 512 bytes.",
            "Altered runs are 'linear' into the image file, the rest is 'cow'. The image may be in use."
        },
        mixinStandardHelpOptions = true)
final class TableCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        ImageView.of(image).forEachTableLine(line -> out.print(line + '\n'));
        out.flush();
        return ExitCodes.OK;
    }
}
