package io.ucow.cli;

import io.ucow.store.DeviceDiff;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow diff}: where two devices differ, printed as {@link RangeList} says. */
@Command(
        name = "diff",
        description = {
            "List the ranges of bytes in which two devices differ, in units of sectors of 512 bytes.",
            "The shorter one reads as zeros past its end. What is an image must not be in use.",
            "Exit codes are those of 'qemu-img compare': 0 equal, 1 different, 2 could not compare."
        },
        exitCodeOnInvalidInput = ExitCodes.DIFF_IMPOSSIBLE,
        exitCodeOnExecutionException = ExitCodes.DIFF_IMPOSSIBLE,
        mixinStandardHelpOptions = true)
final class DiffCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private Output output;

    @Option(
            names = "--snapshot",
            paramLabel = "NAME",
            description =
                    "Of A, which is a qcow2 image, compare this internal snapshot, named by its id or name. B may be the"
                            + " same image.")
    private String snapshot;

    @Parameters(index = "0", paramLabel = "A", description = "An image, or a raw file or block device.")
    private Path left;

    @Parameters(index = "1", paramLabel = "B", description = "Another one.")
    private Path right;

    @Override
    public Integer call() throws IOException {
        requireDevice(left);
        requireDevice(right);
        try (Origin a = Images.openContent(left, Optional.ofNullable(snapshot));
                Origin b = Images.openContent(right)) {
            if (a.sizeBytes() != b.sizeBytes()) {
                spec.commandLine()
                        .getErr()
                        .println("ucow: sizes differ: " + left + " has " + a.sizeBytes() + " bytes, " + right + " has "
                                + b.sizeBytes() + "; compared with zeros past the end");
            }
            RangeList list = new RangeList(output);
            boolean different = compare(a, b, list::add);
            list.end();
            return different ? ExitCodes.DIFF_DIFFERENT : ExitCodes.OK;
        }
    }

    private static void requireDevice(Path path) throws IOException {
        if (Files.notExists(path)) {
            throw new NoSuchFileException(
                    path.toString(), null, "no such file; name an image, a raw file or a block device");
        }
        ImageFiles.requireNoDirectory(path, "an image, a raw file or a block device");
    }

    private static boolean compare(Origin a, Origin b, DeviceDiff.Visitor visitor) throws IOException {
        // A bar would be broken by results that go to the same terminal.
        long size = Math.max(a.sizeBytes(), b.sizeBytes());
        try (Progress progress = Output.isTerminal() ? Progress.none() : Progress.of("diff", size)) {
            return DeviceDiff.compare(a, b, visitor, progress);
        }
    }
}
