package io.ucow.cli;

import io.ucow.cli.daemon.CanonicalPath;
import io.ucow.cli.daemon.Daemons;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ucow snapshot}: what an image holds now becomes a layer, and the image goes on over it. */
@Command(
        name = "snapshot",
        description = {
            "Freeze what an image holds now as a layer, a file beside it, and go on with an empty image on that layer.",
            "Prints the layer's path. The image may be in use: its disk goes on, after a short wait."
        },
        mixinStandardHelpOptions = true)
final class SnapshotCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Option(
            names = "--as",
            paramLabel = "LAYER",
            description = "The layer's file, in the image's directory; it must not exist."
                    + " Default: the image's name with the first free number before its extension.")
    private Path layer;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(image);
        Optional<Path> as = layer == null ? Optional.empty() : Optional.of(CanonicalPath.of(layer));
        Path frozen;
        if (served.isPresent()) {
            frozen = daemons.snapshot(served.get(), as);
        } else {
            ImageFiles.requireImage(image);
            frozen = Images.snapshot(image, as);
        }
        output.text(frozen + "\n");
        return ExitCodes.OK;
    }
}
