package io.ucow.cli;

import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.ImageJson;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code ucow commit}: what an image holds goes into its base. */
@Command(
        name = "commit",
        description = {
            "Write what an image holds into its base, and leave the image empty on it. It may be in use: its disk goes on.",
            "Every other image on that base is refused afterwards, for its base has changed.",
            "If it is ended in between, the image holds what it held, and can be used; run it again."
        },
        mixinStandardHelpOptions = true)
final class CommitCommand implements Callable<Integer> {
    private static final String VERB = "commit";

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.Found> served = daemons.find(image);
        if (served.isPresent() && !served.get().file().images().isEmpty()) {
            commitServed(daemons, served.get(), served.get().file().images().get(0));
        } else {
            ImageFiles.requireImage(image);
            try (Progress progress =
                    Progress.of(VERB, Images.info(image).geometry().sizeBytes())) {
                Images.commit(image, progress);
            }
        }
        return ExitCodes.OK;
    }

    private static void commitServed(Daemons daemons, Daemons.Found served, Path image) throws IOException {
        long size = ImageJson.toInfo(daemons.info(served.daemon(), image))
                .geometry()
                .sizeBytes();
        try (Progress progress = Progress.of(VERB, size)) {
            daemons.commit(served, image, progress);
        }
    }
}
