package io.ucow.cli;

import io.ucow.store.DeltaExport;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow export}: an image, or what has changed on it, as a stream. */
@Command(
        name = "export",
        description = {
            "Write all that an image holds, or what has changed since one of its layers was frozen, as one checksummed stream"
                    + " for 'ucow import', on this host or another.",
            "The image must not be in use; of one that is, export the layer that 'ucow snapshot' makes."
        },
        mixinStandardHelpOptions = true)
final class ExportCommand implements Callable<Integer> {
    static final String STANDARD = "-";

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--since",
            paramLabel = "SNAPSHOT",
            description = "A layer that IMAGE is on, and that the other side has. Default: write all of it.")
    private Path since;

    @Parameters(index = "0", paramLabel = "IMAGE", description = "The image, mostly a layer.")
    private Path image;

    @Parameters(index = "1", paramLabel = "FILE|-", description = "File to create, or - for standard output.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        boolean standard = out.toString().equals(STANDARD);
        if (standard && Output.isTerminal()) {
            throw new ParameterException(
                    spec.commandLine(), "a stream is nothing for a terminal; name a FILE, or redirect standard output");
        }
        ImageFiles.requireImage(image);
        if (since != null) {
            ImageFiles.requireLayer(since);
        }
        if (!standard) {
            ImageFiles.requireDirectoryOf(out);
        }
        try (DeltaExport export = DeltaExport.open(image, Optional.ofNullable(since));
                Progress progress = Progress.of("export", export.totalBytes())) {
            if (standard) {
                try (FileOutputStream stream = new FileOutputStream(FileDescriptor.out)) {
                    export.writeTo(stream.getChannel(), progress);
                }
            } else {
                export.writeTo(out, progress);
            }
        }
        return ExitCodes.OK;
    }
}
