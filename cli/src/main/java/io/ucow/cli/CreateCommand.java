package io.ucow.cli;

import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.Preallocation;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code ucow create}: a new image, empty, over a base. */
@Command(
        name = "create",
        description = "Create an image: a private copy-on-write disk over a read-only base.",
        mixinStandardHelpOptions = true)
final class CreateCommand implements Callable<Integer> {
    @Option(
            names = {"-b", "--base"},
            paramLabel = "BASE",
            description =
                    "Raw image, block device or ucow image behind it, never written. Without one the disk is zeros.")
    private Path base;

    @Option(
            names = "--size",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            description = "Capacity, such as 20G. Default: that of the base. Beyond the base's end the disk has zeros.")
    private Long size;

    @Option(
            names = {"-f", "--format"},
            paramLabel = "FORMAT",
            defaultValue = CreateOptions.DEFAULT_FORMAT,
            description = "Format of the image, one that 'ucow plugins' lists. Default: ${DEFAULT-VALUE}.")
    private String format;

    @Option(
            names = "--max-size",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            description = "What the image file may grow to, journal and map included. At the limit writes that need"
                    + " space fail as on a full disk; discards make room. Default: no limit.")
    private Long maxSize;

    @Mixin
    private StoreOptionsMixin store;

    @Option(
            names = "--preallocate",
            converter = PreallocationConverter.class,
            paramLabel = "MODE",
            defaultValue = "off",
            description = "full: set aside all space that the image can take, so that the disk can be written wholly"
                    + " whatever else fills the file system. metadata: all that its map can take, so that"
                    + " writes need space for their data only. off: take space as it is written."
                    + " Default: ${DEFAULT-VALUE}.")
    private Preallocation preallocation;

    @Parameters(paramLabel = "IMAGE", description = "File to create; it must not exist.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        if (base != null) {
            ImageFiles.requireBase(base);
        }
        ImageFiles.requireDirectoryOf(image);
        Images.create(new CreateOptions(
                image,
                Optional.ofNullable(base),
                size == null ? OptionalLong.empty() : OptionalLong.of(size),
                format,
                store.options().withMaxBytes(maxSize == null ? 0 : maxSize).withPreallocation(preallocation)));
        return ExitCodes.OK;
    }
}
