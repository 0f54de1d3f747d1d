package io.ucow.cli;

import io.ucow.cli.text.Sizes;
import io.ucow.store.Compression;
import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Flattening;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

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

    @Spec
    private CommandSpec spec;

    @Option(
            names = {"-O", "--output-format"},
            paramLabel = "FORMAT",
            defaultValue = RAW,
            description = "raw, or a format that 'ucow plugins' lists, such as ucow. Default: ${DEFAULT-VALUE}.")
    private String format;

    @Option(
            names = "--chunk",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            description = "Chunk size of the new image, as for 'create'; not for raw. Default: "
                    + CreateOptions.DEFAULT_CHUNK_BYTES + " bytes.")
    private Long chunk;

    @Option(
            names = "--compress",
            converter = CompressionConverter.class,
            paramLabel = "CODEC",
            description =
                    "What the new image compresses its chunks with, as for 'create'; all of them are compressed at"
                            + " once. Not for raw. Default: none.")
    private Compression compression;

    @Option(names = "--checksums", description = "Give the new image checksums, as for 'create'; not for raw.")
    private boolean checksums;

    @Parameters(index = "0", paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Parameters(index = "1", paramLabel = "OUT", description = "File to create; it must not exist.")
    private Path out;

    @Override
    public Integer call() throws IOException {
        boolean raw = format.equals(RAW);
        if (raw && chunk != null) {
            throw new ParameterException(spec.commandLine(), "--chunk is for -O ucow; a raw file has no chunks");
        }
        if (raw && compression != null) {
            throw new ParameterException(
                    spec.commandLine(), "--compress is for -O ucow; a raw file cannot be compressed");
        }
        if (raw && checksums) {
            throw new ParameterException(
                    spec.commandLine(), "--checksums is for -O ucow; a raw file has no place for them");
        }
        if (chunk != null && chunk > Integer.MAX_VALUE) {
            throw new ParameterException(
                    spec.commandLine(), "chunk size " + Sizes.format(chunk) + " is not between 4K and 1M");
        }
        ImageFiles.requireImage(image);
        ImageFiles.requireDirectoryOf(out);
        try (CowDevice device = Images.open(image, true);
                Progress progress = Progress.of("flatten", device.sizeBytes())) {
            if (raw) {
                Flattening.toRaw(device, out, progress);
            } else {
                int chunkBytes = chunk == null ? CreateOptions.DEFAULT_CHUNK_BYTES : chunk.intValue();
                Flattening.toImage(
                        device,
                        out,
                        chunkBytes,
                        format,
                        compression == null ? Compression.NONE : compression,
                        checksums,
                        Images.contentId(image),
                        progress);
            }
        }
        return ExitCodes.OK;
    }
}
