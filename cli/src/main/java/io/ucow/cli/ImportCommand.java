package io.ucow.cli;

import io.ucow.cli.daemon.BusyException;
import io.ucow.cli.daemon.Daemons;
import io.ucow.store.DeltaImport;
import io.ucow.sys.Libc;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow import}: an image of what {@code ucow export} wrote. */
@Command(
        name = "import",
        description = {
            "Make an image of a stream that 'ucow export' wrote, or bring one up to date with it. What the image held stays"
                    + " as a layer, as by 'ucow snapshot', and the layer's path is printed.",
            "Nothing changes before the stream was read to its end and found to be as it was written, and for this image."
        },
        mixinStandardHelpOptions = true)
final class ImportCommand implements Callable<Integer> {
    private static final int STANDARD_INPUT = 0;

    @Spec
    private CommandSpec spec;

    @Mixin
    private Output output;

    @Option(
            names = "--as",
            paramLabel = "LAYER",
            description = "The layer's file, as for 'ucow snapshot'; only for what has changed since a snapshot.")
    private Path layer;

    @Parameters(index = "0", paramLabel = "FILE|-", description = "The stream, or - for standard input.")
    private Path in;

    @Parameters(
            index = "1",
            paramLabel = "IMAGE",
            description = "The image that holds what the stream's SNAPSHOT held; one to create, if the stream has all.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        boolean standard = in.toString().equals(ExportCommand.STANDARD);
        if (standard && Libc.terminalColumns(STANDARD_INPUT) > 0) {
            throw new ParameterException(
                    spec.commandLine(),
                    "a stream does not come from a terminal; name a FILE, or redirect standard input");
        }
        if (!standard && Files.notExists(in)) {
            throw new NoSuchFileException(in.toString(), null, "no such stream; 'ucow export' writes one");
        }
        if (!standard) {
            ImageFiles.requireNoDirectory(in, "a stream");
        }
        ImageFiles.requireDirectoryOf(image);
        ImageFiles.requireNoDirectory(image, "an image");
        requireUnused();
        if (standard) {
            try (FileInputStream stream = new FileInputStream(FileDescriptor.in)) {
                read(stream.getChannel(), "standard input", Progress.none());
            }
        } else {
            try (FileChannel stream = FileChannel.open(in);
                    Progress progress = Progress.of("import", stream.size())) {
                read(stream, in.toString(), progress);
            }
        }
        return ExitCodes.OK;
    }

    private void requireUnused() throws IOException {
        Optional<Daemons.Found> served = Daemons.ofUser().find(image);
        if (served.isPresent()) {
            throw new BusyException(
                    image + ": " + served.get().daemon().describe(served.get().file()));
        }
    }

    private void read(FileChannel stream, String name, Progress progress) throws IOException {
        DeltaImport delta = DeltaImport.open(stream, name, progress);
        if (delta.isRelative()) {
            output.text(delta.onto(image, Optional.ofNullable(layer)) + "\n");
        } else if (layer == null) {
            delta.to(image);
        } else {
            throw new ParameterException(
                    spec.commandLine(),
                    "--as is for what has changed since a snapshot; " + name + " has all of an image");
        }
    }
}
