package io.ucow.cli;

import com.grack.nanojson.JsonObject;
import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.RecordJson;
import io.ucow.cli.text.Sizes;
import io.ucow.store.Compaction;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/**
 * {@code ucow compact}: an image's file becomes as short as what it holds allows. As JSON:
 * <pre>
 *   {"image":"vm1.cow", "movedBytes":N, "sizeBefore":N, "sizeAfter":N, "allocatedBefore":N, "allocatedAfter":N}
 * </pre>
 */
@Command(
        name = "compact",
        description = {
            "Move what lies at the end of an image's file to free places before it, and cut the end off.",
            "The image may be in use: its disk goes on. The command may be ended at any time; what it did so far stays."
        },
        mixinStandardHelpOptions = true)
final class CompactCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(image);
        JsonObject report;
        try (Progress progress = Progress.of("compact", 0)) {
            Compaction.Listener listener = progress::reach;
            if (served.isPresent()) {
                report = daemons.compact(served.get(), listener);
            } else {
                ImageFiles.requireImage(image);
                report = RecordJson.of(Images.compact(image, listener));
            }
        }
        if (output.isJson()) {
            JsonObject json = new JsonObject();
            json.put("image", image.toString());
            json.putAll(report);
            output.json(json);
        } else {
            output.text(text(report));
        }
        return ExitCodes.OK;
    }

    /** A {@link io.ucow.store.CompactReport} in a line. */
    private String text(JsonObject report) {
        return String.format(
                "%s: %s moved; size %s, was %s; on disk %s, was %s%n",
                image,
                size(report, "movedBytes"),
                size(report, "sizeAfter"),
                size(report, "sizeBefore"),
                size(report, "allocatedAfter"),
                size(report, "allocatedBefore"));
    }

    private static String size(JsonObject report, String member) {
        return Sizes.format(report.getLong(member));
    }
}
