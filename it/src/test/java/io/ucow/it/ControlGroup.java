package io.ucow.it;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A control group whose processes may have so much of something and no more; removed by {@link #close}, when none of them
 * is left.
 */
final class ControlGroup implements AutoCloseable {
    private static final Path ROOT = Path.of("/sys/fs/cgroup");
    private static final boolean UNIFIED = Files.exists(ROOT.resolve("cgroup.controllers"));

    private final Path directory;

    private ControlGroup(Path directory) {
        this.directory = directory;
    }

    /** A new group with a limit of memory, what its processes have in the page cache included; or nothing where we may make none. */
    static Optional<ControlGroup> ofMemory(String name, long limitBytes) {
        return create("memory", name, UNIFIED ? "memory.max" : "memory.limit_in_bytes", limitBytes);
    }

    /** A new group with a limit of threads, or nothing where we may make none. */
    static Optional<ControlGroup> ofThreads(String name, int limit) {
        return create("pids", name, "pids.max", limit);
    }

    private static Optional<ControlGroup> create(String controller, String name, String file, long limit) {
        String own = "ucow-it-" + ProcessHandle.current().pid() + "-" + name;
        try {
            if (UNIFIED) {
                Files.writeString(ROOT.resolve("cgroup.subtree_control"), "+" + controller);
            }
            ControlGroup group = new ControlGroup((UNIFIED ? ROOT : ROOT.resolve(controller)).resolve(own));
            Files.createDirectory(group.directory);
            Files.writeString(group.directory.resolve(file), "" + limit);
            return Optional.of(group);
        } catch (IOException e) {
            System.out.println("no control group of " + controller + ": " + e);
            return Optional.empty();
        }
    }

    /** {@code tool} in this group, and whatever it starts. */
    Tool run(Tool tool) {
        return tool.by("sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", directory.resolve("cgroup.procs"));
    }

    /** How many of its processes were killed for want of memory. */
    long oomKills() throws IOException {
        return counter(UNIFIED ? "memory.events" : "memory.oom_control", "oom_kill ");
    }

    /** How often something had to be given up, or written, before there was room for more. */
    long limitHits() throws IOException {
        return UNIFIED ? counter("memory.events", "max ") : counter("memory.failcnt", "");
    }

    private long counter(String file, String name) throws IOException {
        return Files.readAllLines(directory.resolve(file)).stream()
                .filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.substring(name.length())))
                .sum();
    }

    @Override
    public void close() throws IOException {
        Files.delete(directory);
    }
}
