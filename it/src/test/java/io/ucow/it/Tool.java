package io.ucow.it;

import io.ucow.sys.Libc;
import java.io.File;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;

/**
 * One call of a program outside this JVM: {@code Tool.of("cmp", a, b).succeed()}.
 *
 * <p>Its output goes to files, so that neither a chatty program nor a daemon that inherits it can block the test. When
 * it does not end within its limit, it and its children are killed, and the test fails. Every failure shows the command,
 * how it ended, and what it wrote.
 *
 * <p>Threading: a tool is immutable; a {@link Running} belongs to one thread.
 */
final class Tool {
    /** Programs for administrators are not on everybody's search path. */
    static final String SEARCH_PATH = System.getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin";

    private static final Duration DEFAULT_LIMIT = Duration.ofSeconds(60);
    private static final Duration DEATH_LIMIT = Duration.ofSeconds(10);
    private static final int SHOWN_CHARACTERS = 8000;

    private final List<String> command;
    private final Duration limit;
    private final Path directory;
    private final Map<String, String> environment;
    private final String input;

    private Tool(List<String> command, Duration limit, Path directory, Map<String, String> environment, String input) {
        this.command = command;
        this.limit = limit;
        this.directory = directory;
        this.environment = environment;
        this.input = input;
    }

    /**
     * A call with a limit of one minute, no input, and the JVM's directory and environment.
     *
     * @param program a path, or a name to be found on the search path
     * @param arguments each as its {@code toString()} has it; no shell sees them
     */
    static Tool of(Object program, Object... arguments) {
        List<String> command = new ArrayList<>();
        command.add(program.toString());
        Arrays.stream(arguments).map(Object::toString).forEach(command::add);
        return new Tool(List.copyOf(command), DEFAULT_LIMIT, null, Map.of(), "");
    }

    /** Where the search path has a program of this name. */
    static Optional<Path> find(String name) {
        return Arrays.stream(SEARCH_PATH.split(File.pathSeparator))
                .filter(directory -> !directory.isEmpty())
                .map(directory -> Path.of(directory, name))
                .filter(Files::isExecutable)
                .findFirst();
    }

    /** This call with another limit. */
    Tool within(Duration limit) {
        return new Tool(command, limit, directory, environment, input);
    }

    /** This call as the last arguments of another program, which is to run it: a shell, {@code timeout}. */
    Tool by(Object program, Object... arguments) {
        List<String> longer = new ArrayList<>(of(program, arguments).command);
        longer.addAll(resolved());
        return new Tool(List.copyOf(longer), limit, directory, environment, input);
    }

    /** This call in another working directory. */
    Tool in(Path directory) {
        return new Tool(command, limit, directory, environment, input);
    }

    /** This call with one more environment variable. */
    Tool with(String variable, String value) {
        Map<String, String> more = new TreeMap<>(environment);
        more.put(variable, value);
        return new Tool(command, limit, directory, more, input);
    }

    /** This call with something to read on its standard input. */
    Tool reading(String input) {
        return new Tool(command, limit, directory, environment, input);
    }

    /** Runs it to its end. @throws AssertionError unless it exits with 0 within the limit */
    Result succeed() throws IOException {
        return exit(0);
    }

    /** Runs it to its end. @throws AssertionError unless it exits with {@code status} within the limit */
    Result exit(int status) throws IOException {
        Result result = run();
        if (result.status() != status) {
            throw new AssertionError("expected exit status " + status + ": " + result);
        }
        return result;
    }

    /** Runs it to its end, whatever its exit status. @throws AssertionError when it does not end within the limit */
    Result run() throws IOException {
        try (Running running = start()) {
            return running.await();
        }
    }

    /** Starts it and returns; the limit counts from {@link Running#await}. */
    Running start() throws IOException {
        ProcessBuilder builder = new ProcessBuilder(resolved());
        Path files = Files.createTempDirectory("ucow-it-tool");
        Path stdin = Files.writeString(files.resolve("stdin"), input);
        builder.redirectInput(stdin.toFile());
        builder.redirectOutput(files.resolve("stdout").toFile());
        builder.redirectError(files.resolve("stderr").toFile());
        if (directory != null) {
            builder.directory(directory.toFile());
        }
        builder.environment().put("PATH", SEARCH_PATH);
        builder.environment().put("LC_ALL", "C.UTF-8");
        builder.environment().putAll(environment);
        try {
            return new Running(this, builder.start(), files);
        } catch (IOException e) {
            deleteAll(files);
            throw e;
        }
    }

    private static void deleteAll(Path files) throws IOException {
        for (String name : List.of("stdin", "stdout", "stderr")) {
            Files.deleteIfExists(files.resolve(name));
        }
        Files.deleteIfExists(files);
    }

    /** Java looks programs up on its own {@code PATH}, not on the one the child gets. */
    private List<String> resolved() {
        List<String> resolved = new ArrayList<>(command);
        String program = command.get(0);
        if (!program.contains("/")) {
            Path found = find(program)
                    .orElseThrow(() -> new AssertionError("no program '" + program + "' on " + SEARCH_PATH));
            resolved.set(0, found.toString());
        }
        return resolved;
    }

    /**
     * How a call ended.
     *
     * @param command program and arguments
     * @param status exit status; 128 plus the signal's number when a signal ended it
     * @param stdout all of its standard output
     * @param stderr all of its standard error
     */
    record Result(List<String> command, int status, String stdout, String stderr) {
        /** Standard output without the line feed at its end. */
        String line() {
            return stdout.stripTrailing();
        }

        /** For failure messages: the command, its status, and the end of its output. */
        @Override
        public String toString() {
            return "'" + String.join(" ", command) + "' exited with " + status + outputs(stdout, stderr);
        }
    }

    private static String outputs(String stdout, String stderr) {
        return "\n--- stdout\n" + end(stdout) + "\n--- stderr\n" + end(stderr);
    }

    private static String end(String text) {
        return text.length() <= SHOWN_CHARACTERS ? text : "..." + text.substring(text.length() - SHOWN_CHARACTERS);
    }

    /** A program under way; closing kills it and its children if it has not ended. */
    static final class Running implements AutoCloseable {
        private final Tool tool;
        private final Process process;
        private final Path files;

        private Running(Tool tool, Process process, Path files) {
            this.tool = tool;
            this.process = process;
            this.files = files;
        }

        /** Its process id. */
        long pid() {
            return process.pid();
        }

        /** Whether it has not ended yet. */
        boolean isAlive() {
            return process.isAlive();
        }

        /** What it has written to its standard output so far. */
        String stdout() {
            return read("stdout");
        }

        /** What it has written to its standard error so far. */
        String stderr() {
            return read("stderr");
        }

        /** Waits until its standard output is as it is {@code wanted}. @throws AssertionError when its limit passes first */
        void awaitStdout(String what, Predicate<String> wanted) throws IOException {
            Changes.await(files.resolve("stdout"), Libc.IN_MODIFY, tool.limit, what, () -> wanted.test(stdout()));
        }

        /** Kills it with {@code SIGKILL}, alone, and waits until it is dead. */
        void kill() throws IOException {
            process.destroyForcibly();
            if (!hasEndedWithin(DEATH_LIMIT)) {
                throw new AssertionError(describe("survives SIGKILL, stuck in a system call"));
            }
        }

        /** Waits for its end. @throws AssertionError when that does not come within the limit; it is killed then */
        Result await() throws IOException {
            if (!hasEndedWithin(tool.limit)) {
                AssertionError failure = new AssertionError(describe("did not end within " + tool.limit));
                killAll();
                throw failure;
            }
            return new Result(tool.command, process.exitValue(), stdout(), stderr());
        }

        @Override
        public void close() throws IOException {
            killAll();
            deleteAll(files);
        }

        /** Waits for its end, but no longer than {@code time}. @return whether it has ended */
        boolean hasEndedWithin(Duration time) throws IOException {
            try {
                return process.waitFor(time.toMillis(), TimeUnit.MILLISECONDS);
            } catch (InterruptedException e) {
                // JUnit gave the test up. Its clean-up still has tools to run, so the thread is not left interrupted.
                InterruptedIOException failure = new InterruptedIOException(describe("was being waited for"));
                failure.initCause(e);
                throw failure;
            }
        }

        /** Children first, while they can still be found. */
        private void killAll() {
            if (process.isAlive()) {
                process.descendants().forEach(ProcessHandle::destroyForcibly);
                process.destroyForcibly();
            }
        }

        private String describe(String how) {
            return "'" + String.join(" ", tool.command) + "' " + how + outputs(stdout(), stderr());
        }

        private String read(String name) {
            try {
                return new String(Files.readAllBytes(files.resolve(name)), StandardCharsets.UTF_8);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
