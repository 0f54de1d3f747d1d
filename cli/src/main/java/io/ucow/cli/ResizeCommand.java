package io.ucow.cli;

import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.Sizes;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ucow resize}: another capacity for an image. */
@Command(
        name = "resize",
        description = {
            "Give an image another size. What it gains reads as zeros. It may be in use if it grows: the file that it is"
                    + " served as, and a loop device on that, grow as well; then grow what is on the disk, as with resize2fs.",
            "What it loses by --shrink is lost: shrink what is on the disk before."
        },
        mixinStandardHelpOptions = true)
final class ResizeCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--shrink", description = "Allow a size that is less than now. The image must not be in use.")
    private boolean shrink;

    @Parameters(
            index = "0",
            paramLabel = "IMAGE",
            description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Parameters(index = "1", paramLabel = "SIZE", description = "Capacity, such as 20G; +2G for 2G more than now.")
    private String size;

    @Override
    public Integer call() throws IOException {
        long bytes = parsedSize();
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(image);
        if (served.isEmpty()) {
            ImageFiles.requireImage(image);
        }
        OptionalLong from = OptionalLong.empty();
        if (size.startsWith("+")) {
            ImageInfo info = served.isPresent() ? daemons.info(served.get()) : Images.info(image);
            from = OptionalLong.of(info.geometry().sizeBytes());
            bytes = sum(from.getAsLong(), bytes);
        }
        if (served.isPresent()) {
            daemons.grow(served.get(), from, bytes);
        } else {
            Images.resize(image, bytes, shrink);
        }
        return ExitCodes.OK;
    }

    private long parsedSize() {
        try {
            return Sizes.parse(size.startsWith("+") ? size.substring(1) : size);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private long sum(long now, long more) {
        if (more > Long.MAX_VALUE - now) {
            throw new ParameterException(spec.commandLine(), "'" + size + "' is more than the largest size, 8E - 1");
        }
        return now + more;
    }
}
