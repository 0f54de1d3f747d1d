package io.ucow.qcow2;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ucow.store.Images;
import io.ucow.store.RepairReport;
import io.ucow.store.UnsupportedFormatException;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** QEMU's own programs, which judge here what an image holds. */
final class Qemu {
    private Qemu() {}

    /** Skips the test without them; fails it where {@code -Ducow.it.require=tools} says that they must be there. */
    static void require() {
        boolean found = areThere();
        if (System.getProperty("ucow.it.require", "").contains("tools")) {
            assertThat(found).as("qemu-img and qemu-io").isTrue();
        }
        assumeTrue(found, "no qemu-img and qemu-io here");
    }

    /** Whether they are installed. */
    static boolean areThere() {
        return Stream.of("qemu-img", "qemu-io")
                .allMatch(tool -> Stream.of(System.getenv("PATH").split(File.pathSeparator, -1))
                        .anyMatch(directory -> Files.isExecutable(Path.of(directory, tool))));
    }

    /** Runs {@code qemu-img}. @return what it printed */
    static String img(Object... arguments) throws IOException, InterruptedException {
        Result result = run("qemu-img", arguments);
        assertThat(result.status()).as(result.output()).isZero();
        return result.output();
    }

    /** Runs {@code qemu-io} commands on an image. */
    static void io(Path image, List<String> commands) throws IOException, InterruptedException {
        List<Object> arguments = new ArrayList<>(List.of("-f", "qcow2"));
        for (String command : commands) {
            arguments.add("-c");
            arguments.add(command);
        }
        arguments.add(image);
        Result result = run("qemu-io", arguments.toArray());
        assertThat(result.output()).doesNotContainIgnoringCase("error").doesNotContain("failed");
        assertThat(result.status()).as(result.output()).isZero();
    }

    /**
     * Has an image repaired here, and asks QEMU whether it is sound now; where that was refused, for a reason of one line, it
     * must be as it was.
     *
     * @return whether it was repaired
     */
    static boolean repaired(Path image) throws IOException, InterruptedException {
        byte[] before = Files.readAllBytes(image);
        Optional<String> obstacle;
        try {
            RepairReport report = Images.repair(image);
            obstacle = report.obstacle();
            if (report.metadataCopy().isPresent()) {
                Files.delete(report.metadataCopy().get());
            }
        } catch (UnsupportedFormatException e) {
            obstacle = Optional.of(e.getMessage());
        }
        if (obstacle.isPresent()) {
            assertThat(obstacle.get()).isNotBlank().doesNotContain("\n");
            assertThat(Files.readAllBytes(image)).as(obstacle.get()).isEqualTo(before);
            return false;
        }
        Result judged = run("qemu-img", "check", image);
        assertThat(judged.status()).as(judged.output()).isZero();
        return true;
    }

    record Result(int status, String output) {}

    static Result run(String program, Object... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(program));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), output);
    }
}
