package io.ucow.it.bench;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/**
 * One call of a program outside this JVM. Its output goes to a file, so that a daemon which keeps it open holds nobody up.
 *
 * <p>Programs are looked up on the {@code PATH} of this JVM.
 *
 * <p>Threading: immutable; any thread.
 */
final class Program {
    /** Those that {@link #run} waits for. */
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

    private static final Duration DEFAULT_LIMIT = Duration.ofSeconds(60);
    private static final int SHOWN_CHARACTERS = 400;

    private final List<String> command;
    private final Map<String, String> environment;
    private final Duration limit;

    private Program(List<String> command, Map<String, String> environment, Duration limit) {
        this.command = command;
        this.environment = environment;
        this.limit = limit;
    }

    /** A call with a limit of one minute. Arguments are as their {@code toString()} has them; no shell sees them. */
    static Program of(Object program, Object... arguments) {
        List<String> command = new ArrayList<>();
        command.add(program.toString());
        Arrays.stream(arguments).map(Object::toString).forEach(command::add);
        return new Program(List.copyOf(command), Map.of(), DEFAULT_LIMIT);
    }

    /** The same with another limit. */
    Program within(Duration newLimit) {
        return new Program(command, environment, newLimit);
    }

    /** The same with one more environment variable. */
    Program with(String variable, String value) {
        Map<String, String> more = new TreeMap<>(environment);
        more.put(variable, value);
        return new Program(command, more, limit);
    }

    /** Whether the search path has a program of this name. */
    static boolean exists(String name) {
        return Arrays.stream(System.getenv("PATH").split(":", -1))
                .filter(directory -> !directory.isEmpty())
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, name)));
    }

    /**
     * Runs it to its end.
     *
     * @return its standard output
     * @throws IOException if it cannot be started, fails, or does not end within its limit; it is killed then
     */
    String run() throws IOException {
        Path output = Files.createTempFile("ucow-bench", ".out");
        Path errors = Files.createTempFile("ucow-bench", ".err");
        try {
            Process process = start(output, errors);
            RUNNING.add(process);
            boolean ended = hasEnded(process);
            RUNNING.remove(process);
            if (!ended) {
                kill(process);
                throw new IOException(this + " did not end within " + limit.toSeconds() + " s");
            }
            if (process.exitValue() != 0) {
                String said = Files.readString(errors).strip();
                throw new IOException(this + " exited with " + process.exitValue() + ": "
                        + said.substring(0, Math.min(said.length(), SHOWN_CHARACTERS)));
            }
            return Files.readString(output);
        } finally {
            Files.delete(output);
            Files.delete(errors);
        }
    }

    /** Kills what {@link #run} is waiting for in other threads, with its children. */
    static void killRunning() {
        RUNNING.forEach(Program::kill);
    }

    private static void kill(Process process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    /** Starts it and returns; the caller ends it. */
    Process start(Path output, Path errors) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(output.toFile())
                .redirectError(errors.toFile());
        builder.environment().put("LC_ALL", "C.UTF-8");
        builder.environment().putAll(environment);
        return builder.start();
    }

    private boolean hasEnded(Process process) throws IOException {
        try {
            return process.waitFor(limit.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException failure = new InterruptedIOException("interrupted in " + this);
            failure.initCause(e);
            throw failure;
        }
    }

    /** For messages: the program's name and, if it has any, its first argument. */
    @Override
    public String toString() {
        String name = Path.of(command.get(0)).getFileName().toString();
        return command.size() > 1 && !command.get(1).startsWith("-") ? name + " " + command.get(1) : name;
    }
}
