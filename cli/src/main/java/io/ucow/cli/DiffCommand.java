package io.ucow.cli;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonWriter;
import io.ucow.store.DeviceDiff;
import io.ucow.store.Images;
import io.ucow.store.Origin;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * {@code ucow diff}: where two devices differ. As text a line for each range, nothing when there is none; as JSON:
 * <pre>
 *   [{"start":N, "length":N}, …]
 * </pre>
 */
@Command(
        name = "diff",
        description = {
            "List the ranges of bytes in which two devices differ, in units of sectors of 512 bytes.",
            "The shorter one reads as zeros past its end. What is an image must not be in use.",
            "Exit codes are those of 'qemu-img compare': 0 equal, 1 different, 2 could not compare."
        },
        exitCodeOnInvalidInput = ExitCodes.DIFF_IMPOSSIBLE,
        exitCodeOnExecutionException = ExitCodes.DIFF_IMPOSSIBLE,
        mixinStandardHelpOptions = true)
final class DiffCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private Output output;

    @Parameters(index = "0", paramLabel = "A", description = "An image, or a raw file or block device.")
    private Path left;

    @Parameters(index = "1", paramLabel = "B", description = "Another one.")
    private Path right;

    @Override
    public Integer call() throws IOException {
        requireDevice(left);
        requireDevice(right);
        try (Origin a = Images.openContent(left);
                Origin b = Images.openContent(right)) {
            if (a.sizeBytes() != b.sizeBytes()) {
                spec.commandLine()
                        .getErr()
                        .println("ucow: sizes differ: " + left + " has " + a.sizeBytes() + " bytes, " + right + " has "
                                + b.sizeBytes() + "; compared with zeros past the end");
            }
            boolean different = output.isJson() ? compareJson(a, b) : compareText(a, b);
            output.writer().flush();
            return different ? ExitCodes.DIFF_DIFFERENT : ExitCodes.OK;
        }
    }

    private static void requireDevice(Path path) throws IOException {
        if (Files.notExists(path)) {
            throw new NoSuchFileException(
                    path.toString(), null, "no such file; name an image, a raw file or a block device");
        }
        ImageFiles.requireNoDirectory(path, "an image, a raw file or a block device");
    }

    private boolean compareText(Origin a, Origin b) throws IOException {
        PrintWriter out = output.writer();
        boolean[] headed = {false};
        return compare(a, b, (offset, lengthBytes) -> {
            if (!headed[0]) {
                headed[0] = true;
                out.println("Offset           Length");
            }
            out.println(String.format("%-16s %s", hex(offset), hex(lengthBytes)));
        });
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }

    /** An array with a range on each line, never held as a whole. */
    private boolean compareJson(Origin a, Origin b) throws IOException {
        PrintWriter out = output.writer();
        String[] separator = {"\n"};
        out.print("[");
        boolean different = compare(a, b, (offset, lengthBytes) -> {
            JsonObject range = JsonObject.builder()
                    .value("start", offset)
                    .value("length", lengthBytes)
                    .done();
            out.print(separator[0] + JsonWriter.string(range));
            separator[0] = ",\n";
        });
        out.print("\n]\n");
        return different;
    }

    private static boolean compare(Origin a, Origin b, DeviceDiff.Visitor visitor) throws IOException {
        // A bar would be broken by results that go to the same terminal.
        long size = Math.max(a.sizeBytes(), b.sizeBytes());
        try (Progress progress = Output.isTerminal() ? Progress.none() : Progress.of("diff", size)) {
            return DeviceDiff.compare(a, b, visitor, progress);
        }
    }
}
