package io.ucow.cli;

import io.ucow.cli.daemon.Daemons;
import io.ucow.store.ImageInfo;
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
            "Every other image on that base is refused afterwards, for its base has changed; qcow2 images, which do not"
                    + " record what identifies their base, are not, and are not to be used.",
            "If it is ended in between, the image holds what it held, and can be used; run it again."
        },
        mixinStandardHelpOptions = true)
final class CommitCommand implements Callable<Integer> {
    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(image);
        if (served.isEmpty()) {
            ImageFiles.requireImage(image);
        }
        try (Progress progress = Progress.of("commit", () -> sizeBytes(daemons, served))) {
            if (served.isPresent()) {
                daemons.commit(served.get(), progress);
            } else {
                Images.commit(image, progress);
            }
        }
        return ExitCodes.OK;
    }

    private long sizeBytes(Daemons daemons, Optional<Daemons.ServedImage> served) throws IOException {
        ImageInfo info = served.isPresent() ? daemons.info(served.get()) : Images.info(image);
        return info.geometry().sizeBytes();
    }
}
