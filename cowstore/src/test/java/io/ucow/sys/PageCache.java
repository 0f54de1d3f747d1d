package io.ucow.sys;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** What the page cache holds of a file, by util-linux's and coreutils' word. */
public final class PageCache {
    private PageCache() {}

    /** Bytes of {@code file} that are in the page cache. */
    public static long residentBytes(Path file) throws IOException, InterruptedException {
        return Long.parseLong(run("fincore", "--bytes", "--noheadings", "--output", "RES", file.toString()));
    }

    /** Writes back what is dirty of {@code file} and has the page cache forget all of it. */
    public static void drop(Path file) throws IOException, InterruptedException {
        run("dd", "of=" + file, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none");
    }

    private static String run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as("%s: %s", command[0], output).isZero();
        return output;
    }
}
