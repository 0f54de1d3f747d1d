package io.ucow.cli;

import io.ucow.store.ContentId;
import io.ucow.store.CowDevice;
import io.ucow.store.Flattening;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.store.StoreOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ucow flatten}: an image and its base as one file. */
@Command(
        name = "flatten",
        description = {
            "Write all that an image and its base hold to a new file that needs no base, sparse where it is zeros.",
            "The image must not be in use. OUT appears when it is complete; of a run that was ended, nothing stays."
        },
        mixinStandardHelpOptions = true)
final class FlattenCommand implements Callable<Integer> {
    private static final String RAW = "raw";

    @Option(
            names = {"-O", "--output-format"},
            paramLabel = "FORMAT",
            defaultValue = RAW,
            description = "raw, or a format that 'ucow plugins' lists, such as ucow. Default: ${DEFAULT-VALUE}.")
    private String format;

    @Mixin
    private StoreOptionsMixin store;

    @Mixin
    private SnapshotOption snapshot;

    @Parameters(index = "0", paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Parameters(index = "1", paramLabel = "OUT", description = "File to create; it must not exist.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        boolean raw = format.equals(RAW);
        StoreOptions options = store.options();
        if (raw) {
            options.requireKnown(RAW, List.of());
        }
        ImageFiles.requireImage(image);
        ImageFiles.requireDirectoryOf(out);
        try (CowDevice device = Images.open(image, OpenOptions.of(true).at(snapshot.name()));
                Progress progress = Progress.of("flatten", device.sizeBytes())) {
            if (raw) {
                Flattening.toRaw(device, out, progress);
            } else {
                Flattening.toImage(device, out, format, options, contentId(), progress);
            }
        }
        return ExitCodes.OK;
    }

    /** What identifies all that the image holds; nothing does that for a snapshot in it. */
    private Optional<ContentId> contentId() throws IOException {
        return snapshot.name().isPresent() ? Optional.empty() : Images.contentId(image);
    }
}
