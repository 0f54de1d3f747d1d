package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonBuilder;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.Sizes;
import io.ucow.store.CheckReport;
import io.ucow.store.Images;
import io.ucow.store.RepairReport;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * {@code ucow check}: whether an image's metadata is sound, and with {@code --repair} what was done about it. As JSON:
 * <pre>
 *   {"image":"vm1.cow", "sound":true, "corruptions":["one line each", …], "leakedBytes":N, "checkedChunks":N}
 *   and with --repair: "repaired":true, "obstacle":"one line"|null, "metadataCopy":"vm1.cow.metadata-1"|null,
 *   "checksumsDropped":true|false, "remarks":["one sentence each", …],
 *   "lost":[{"start":N, "length":N, "snapshot":"name"|null}, …]; what comes before is as it was found
 * </pre>
 */
@Command(
        name = "check",
        description = {
            "Verify the metadata of an image that is not in use; without --repair nothing is changed.",
            "Exit codes are those of 'qemu-img check': 0 sound, or repaired; 1 could not check; 2 corruptions; 3 leaks"
                    + " only."
        },
        exitCodeOnInvalidInput = ExitCodes.FAILURE,
        exitCodeOnExecutionException = ExitCodes.FAILURE,
        mixinStandardHelpOptions = true)
final class CheckCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Option(
            names = "--repair",
            description = {
                "Rebuild what can be rebuilt, and give leaked space back. The metadata is first copied to"
                        + " IMAGE.metadata-N.",
                "What cannot be told for certain is dropped, and named: it reads as the base again."
            })
    private boolean repair;

    @Parameters(paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        ImageFiles.requireImage(image);
        return repair ? repair() : check();
    }

    private int check() throws IOException {
        CheckReport report = Images.check(image);
        if (output.isJson()) {
            output.json(json(report).done());
        } else {
            output.text(text(report));
        }
        if (!report.isSound()) {
            return ExitCodes.CHECK_CORRUPT;
        }
        return report.leakedBytes() > 0 ? ExitCodes.CHECK_LEAKS : ExitCodes.OK;
    }

    private int repair() throws IOException {
        RepairReport report = Images.repair(image);
        if (output.isJson()) {
            output.json(json(report));
        } else {
            output.text(text(report.found()) + text(report));
        }
        return report.obstacle().isPresent() ? ExitCodes.CHECK_CORRUPT : ExitCodes.OK;
    }

    private JsonBuilder<JsonObject> json(CheckReport report) {
        return JsonObject.builder()
                .value("image", image.toString())
                .value("sound", report.isSound())
                .value("corruptions", new JsonArray(report.corruptions()))
                .value("leakedBytes", report.leakedBytes())
                .value("checkedChunks", report.checkedChunks());
    }

    private JsonObject json(RepairReport report) {
        JsonArray lost = new JsonArray();
        report.lost()
                .forEach(range -> lost.add(JsonObject.builder()
                        .value("start", range.guestOffset())
                        .value("length", range.lengthBytes())
                        .value("snapshot", range.snapshot().isEmpty() ? null : range.snapshot())
                        .done()));
        return json(report.found())
                .value("repaired", report.obstacle().isEmpty())
                .value("obstacle", report.obstacle().orElse(null))
                .value("metadataCopy", report.metadataCopy().map(Path::toString).orElse(null))
                .value("checksumsDropped", report.checksumsDropped())
                .value("remarks", new JsonArray(report.remarks()))
                .value("lost", lost)
                .done();
    }

    private static String text(CheckReport report) {
        StringBuilder text = new StringBuilder();
        report.corruptions().forEach(line -> text.append("ERROR ").append(line).append('\n'));
        if (report.leakedBytes() > 0) {
            text.append("Leaked: ").append(Sizes.format(report.leakedBytes())).append(", harmless.\n");
        }
        int errors = report.corruptions().size();
        text.append(errors == 0 ? "No errors" : errors + (errors == 1 ? " error" : " errors"))
                .append(errors == 1 ? " was" : " were")
                .append(" found on the image; ")
                .append(report.checkedChunks())
                .append(" chunks checked.\n");
        return text.toString();
    }

    private String text(RepairReport report) {
        if (report.obstacle().isPresent()) {
            return "Not repaired: " + report.obstacle().get() + "\n";
        }
        StringBuilder text = new StringBuilder();
        report.lost()
                .forEach(range -> text.append(String.format(
                        "LOST 0x%x + 0x%x%s: whatever was written there reads as the base again%n",
                        range.guestOffset(),
                        range.lengthBytes(),
                        range.snapshot().isEmpty() ? "" : " of snapshot " + range.snapshot())));
        if (report.checksumsDropped()) {
            text.append("The checksums of its data were dropped; new ones are made by: ucow scrub ")
                    .append(image)
                    .append('\n');
        }
        report.metadataCopy()
                .ifPresent(copy -> text.append("Repaired. The metadata as it was is in ")
                        .append(copy)
                        .append("; to put it back: dd if=")
                        .append(copy)
                        .append(" of=")
                        .append(image)
                        .append(" bs=4096 conv=notrunc,sparse\n"));
        report.remarks().forEach(line -> text.append(line).append('\n'));
        if (report.found().leakedBytes() > 0 && report.found().isSound()) {
            text.append("Leaked space was given back.\n");
        } else if (text.isEmpty()) {
            text.append("Nothing to repair.\n");
        }
        return text.toString();
    }
}
