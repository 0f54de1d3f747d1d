package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.RecordJson;
import io.ucow.cli.text.Sizes;
import io.ucow.store.Images;
import io.ucow.store.ScrubListener;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * {@code ucow scrub}: compares what an image holds with its checksums. As JSON:
 * <pre>
 *   {"image":"vm1.cow", "checkedBytes":N, "learnedBytes":N, "damagedBytes":N, "damaged":[{"start":N, "length":N}, …]}
 * </pre>
 */
@Command(
        name = "scrub",
        description = {
            "Read all that an image holds and compare it with its checksums; what has none yet gets one.",
            "The image may be in use. Of what it shows of its base nothing is read. The command may be ended at any time.",
            "Exit codes: 0 nothing is damaged, 16 something is: a line for each range of the device."
        },
        mixinStandardHelpOptions = true)
final class ScrubCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Option(
            names = "--rate",
            converter = SizeConverter.class,
            paramLabel = "SIZE",
            description = "What to read in a second at the most, such as 100M. Default: no limit.")
    private Long rate;

    @Option(
            names = "--read-only",
            description =
                    "Change nothing, not even checksums that are not known yet: for a layer that images in use are"
                            + " on.")
    private boolean readOnly;

    @Parameters(paramLabel = "IMAGE", description = "The image, or the file or loop device that it is served as.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(image);
        long bytesPerSecond = rate == null ? 0 : rate;
        JsonArray damaged = new JsonArray();
        JsonObject report;
        try (Progress progress = Progress.of("scrub", 0)) {
            ScrubListener listener = new Listener(progress, damaged);
            if (served.isPresent()) {
                report = daemons.scrub(served.get(), bytesPerSecond, listener);
            } else {
                ImageFiles.requireImage(image);
                report = RecordJson.of(Images.scrub(image, readOnly, bytesPerSecond, listener));
            }
        }
        if (output.isJson()) {
            JsonObject json = new JsonObject();
            json.put("image", image.toString());
            json.putAll(report);
            json.put("damaged", damaged);
            output.json(json);
        } else {
            output.text(text(report));
        }
        return report.getLong("damagedBytes") == 0 ? ExitCodes.OK : ExitCodes.CORRUPT;
    }

    /** Shows progress as a bar, and damage as it is found. */
    private final class Listener implements ScrubListener {
        private final Progress progress;
        private final JsonArray damaged;

        Listener(Progress progress, JsonArray damaged) {
            this.progress = progress;
            this.damaged = damaged;
        }

        @Override
        public void progress(long checkedBytes, long totalBytes) {
            progress.reach(checkedBytes, totalBytes);
        }

        @Override
        public void damaged(long guestOffset, long lengthBytes) {
            if (output.isJson()) {
                damaged.add(JsonObject.builder()
                        .value("start", guestOffset)
                        .value("length", lengthBytes)
                        .done());
            } else {
                output.text(String.format("DAMAGED 0x%x + 0x%x%n", guestOffset, lengthBytes));
            }
        }
    }

    /** A {@link io.ucow.store.ScrubReport} in a line. */
    private String text(JsonObject report) {
        return String.format(
                "%s: %s read, %s of it had no checksum yet; %s damaged%n",
                image,
                Sizes.format(report.getLong("checkedBytes")),
                Sizes.format(report.getLong("learnedBytes")),
                Sizes.format(report.getLong("damagedBytes")));
    }
}
