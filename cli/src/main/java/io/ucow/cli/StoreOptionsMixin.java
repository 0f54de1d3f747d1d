package io.ucow.cli;

import io.ucow.cli.text.Sizes;
import io.ucow.store.CreateOptions;
import io.ucow.store.StoreOptions;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Spec.Target;

/** What kind of an image is to be made, for the verbs that make one. Which of these there are, the format says. */
final class StoreOptionsMixin {
    @Spec(Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--chunk",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            description = "Unit of mapping. ucow: a power of two from 4K to 1M, " + CreateOptions.DEFAULT_CHUNK_BYTES
                    + " bytes unless given. qcow2: its cluster size, 512 to 2M, 64K unless given.")
    private Long chunk;

    @Option(
            names = "--compress",
            paramLabel = "CODEC",
            defaultValue = "none",
            description =
                    "lz4, of ucow: have chunks compressed that nobody has written to for some seconds, while the image is"
                            + " in use; 'flatten' compresses all of them at once. none: do not. Default: ${DEFAULT-VALUE}.")
    private String codec;

    @Option(
            names = "--checksums",
            description = "Note a checksum of every 4K that is written to the image, and compare it when they are read:"
                    + " what the disk under it has changed is an I/O error then. See 'ucow scrub'.")
    private boolean checksums;

    @Option(
            names = {"-o", "--option"},
            paramLabel = "NAME=VALUE",
            split = ",",
            description = "An option of the format's own; 'ucow plugins' lists them.")
    private Map<String, String> own = new LinkedHashMap<>();

    StoreOptions options() {
        StoreOptions options =
                StoreOptions.NONE.withCodec(codec).withChecksums(checksums).withOwn(own);
        return chunk == null ? options : options.withChunk(chunkBytes());
    }

    private int chunkBytes() {
        if (chunk > Integer.MAX_VALUE) {
            throw new ParameterException(
                    spec.commandLine(), "chunks of " + Sizes.format(chunk) + " are more than any format has");
        }
        return chunk.intValue();
    }
}
