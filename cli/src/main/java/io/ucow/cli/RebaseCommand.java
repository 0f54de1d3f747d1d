package io.ucow.cli;

import io.ucow.store.Images;
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

/** {@code ucow rebase}: an image goes on over another base. */
@Command(
        name = "rebase",
        description = {
            "Put an image on another base, or on none. It must not be in use.",
            "Its disk holds the same afterwards: where the bases differ, what the image lacks is copied into it.",
            "If it is ended in between, the image is still on the base that it had; run it again."
        },
        mixinStandardHelpOptions = true)
final class RebaseCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(
            names = "--base",
            paramLabel = "BASE",
            description = "The new base: a raw disk image, a block device, a ucow or a qcow2 image.")
    private Path base;

    @Option(names = "--no-base", description = "Make the image independent of any base.")
    private boolean none;

    @Option(
            names = "--unsafe",
            description =
                    "Only record the new base, without a look at the old one: for a base that was moved, or that you"
                            + " know to hold the right thing.")
    private boolean unsafe;

    @Parameters(paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        if ((base != null) == none) {
            throw new ParameterException(spec.commandLine(), "give the new base, --base BASE, or else --no-base");
        }
        ImageFiles.requireImage(image);
        if (base != null) {
            ImageFiles.requireBase(base);
        }
        Optional<Path> to = Optional.ofNullable(base);
        if (unsafe) {
            Images.rebaseUnsafely(image, to);
        } else {
            long size = Images.info(image).geometry().sizeBytes();
            try (Progress progress = Progress.of("rebase", size)) {
                Images.rebase(image, to, progress);
            }
        }
        return ExitCodes.OK;
    }
}
