package io.ucow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.cli.daemon.DaemonLauncher;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Results that do not get to where they are to go. */
class StandardOutputTest {
    @TempDir
    Path directory;

    private final StringWriter err = new StringWriter();

    private int plugins(OutputStream to, String leadsTo) throws IOException {
        Path link = Files.createSymbolicLink(directory.resolve("link"), Path.of(leadsTo));
        StandardOutput standard = new StandardOutput(to, link);
        return UcowCli.writingTo(
                        standard,
                        UcowCli.commandLine(new DaemonLauncher(), "plugins")
                                .setOut(new PrintWriter(standard, false, StandardCharsets.UTF_8)))
                .setErr(new PrintWriter(err, true))
                .execute("plugins");
    }

    @Test
    void fullDiskFailsTheCommand() throws IOException {
        try (OutputStream full = new FileOutputStream("/dev/full")) {
            assertThat(plugins(full, "a-file")).isEqualTo(ExitCodes.NO_SPACE);
        }
        assertThat(err.toString())
                .startsWith("ucow: standard output: No space left")
                .hasLineCount(1);
    }

    /** As in {@code ucow map | head}. */
    @Test
    void readerWhoWentAwayHasSeenEnough() throws IOException {
        try (OutputStream full = new FileOutputStream("/dev/full")) {
            assertThat(plugins(full, "pipe:[7]")).isEqualTo(ExitCodes.OK);
        }
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void whatGetsThereIsAsItWas() throws IOException {
        Path file = directory.resolve("out");
        try (OutputStream out = new FileOutputStream(file.toFile())) {
            assertThat(plugins(out, file.toString())).isEqualTo(ExitCodes.OK);
        }
        assertThat(file).content().contains("ucow");
        assertThat(err.toString()).isEmpty();
    }
}
