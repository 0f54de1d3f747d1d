package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.Sizes;
import io.ucow.store.CheckReport;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/**
 * {@code ucow check}: whether an image's metadata is sound. As JSON:
 * <pre>
 *   {"image":"vm1.cow", "sound":true, "corruptions":["one line each", …], "leakedBytes":N, "checkedChunks":N}
 * </pre>
 */
@Command(
        name = "check",
        description = {
            "Verify the metadata of an image that is not in use, without changing it.",
            "Exit codes are those of 'qemu-img check': 0 sound, 1 could not check, 2 corruptions, 3 leaks only."
        },
        exitCodeOnInvalidInput = ExitCodes.FAILURE,
        exitCodeOnExecutionException = ExitCodes.FAILURE,
        mixinStandardHelpOptions = true)
final class CheckCommand implements Callable<Integer> {
    @Mixin
    private Output output;

    @Parameters(paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        ImageFiles.requireImage(image);
        CheckReport report = Images.check(image);
        if (output.isJson()) {
            output.json(json(report));
        } else {
            output.text(text(report));
        }
        if (!report.isSound()) {
            return ExitCodes.CHECK_CORRUPT;
        }
        return report.leakedBytes() > 0 ? ExitCodes.CHECK_LEAKS : ExitCodes.OK;
    }

    private JsonObject json(CheckReport report) {
        return JsonObject.builder()
                .value("image", image.toString())
                .value("sound", report.isSound())
                .value("corruptions", new JsonArray(report.corruptions()))
                .value("leakedBytes", report.leakedBytes())
                .value("checkedChunks", report.checkedChunks())
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
}
