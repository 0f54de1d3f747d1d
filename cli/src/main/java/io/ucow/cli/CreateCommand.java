package io.ucow.cli;

import io.ucow.cli.text.Sizes;
import io.ucow.store.Compression;
import io.ucow.store.CreateOptions;
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

/** {@code ucow create}: a new image, empty, over a base. */
@Command(
        name = "create",
        description = "Create an image: a private copy-on-write disk over a read-only base.",
        mixinStandardHelpOptions = true)
final class CreateCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

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
            names = "--chunk",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            defaultValue = "" + CreateOptions.DEFAULT_CHUNK_BYTES,
            description = "Unit of copying, a power of two from 4K to 1M. Default: ${DEFAULT-VALUE} bytes.")
    private long chunk;

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

    @Option(
            names = "--compress",
            converter = CompressionConverter.class,
            paramLabel = "CODEC",
            defaultValue = "none",
            description =
                    "lz4: have chunks compressed that nobody has written to for some seconds, while the image is in"
                            + " use. none: do not. Default: ${DEFAULT-VALUE}.")
    private Compression compression;

    @Option(
            names = "--checksums",
            description = "Note a checksum of every 4K that is written to the image, and compare it when they are read:"
                    + " what the disk under it has changed is an I/O error then. See 'ucow scrub'.")
    private boolean checksums;

    @Option(
            names = "--preallocate",
            converter = Preallocation.Converter.class,
            paramLabel = "MODE",
            defaultValue = "off",
            description =
                    "full: set aside all space that the image can take, so that the disk can be written wholly"
                            + " whatever else fills the file system. off: take space as it is written. Default: ${DEFAULT-VALUE}.")
    private Preallocation preallocation;

    @Parameters(paramLabel = "IMAGE", description = "File to create; it must not exist.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        if (chunk > Integer.MAX_VALUE) {
            throw new ParameterException(
                    spec.commandLine(), "chunk size " + Sizes.format(chunk) + " is not between 4K and 1M");
        }
        if (base != null) {
            ImageFiles.requireBase(base);
        }
        ImageFiles.requireDirectoryOf(image);
        Images.create(new CreateOptions(
                image,
                Optional.ofNullable(base),
                size == null ? OptionalLong.empty() : OptionalLong.of(size),
                (int) chunk,
                format,
                maxSize == null ? OptionalLong.empty() : OptionalLong.of(maxSize),
                compression,
                checksums,
                preallocation == Preallocation.FULL));
        return ExitCodes.OK;
    }
}
