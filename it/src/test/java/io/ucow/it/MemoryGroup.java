package io.ucow.it;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A control group whose processes, with what they have in the page cache, may use so much memory and no more; removed by
 * {@link #close}, when none of them is left.
 */
final class MemoryGroup implements AutoCloseable {
    private static final Path ROOT = Path.of("/sys/fs/cgroup");

    private final Path directory;
    private final boolean unified;

    private MemoryGroup(Path directory, boolean unified) {
        this.directory = directory;
        this.unified = unified;
    }

    /** A new group, or nothing where this machine lets us make none. */
    static Optional<MemoryGroup> create(String name, long limitBytes) {
        boolean unified = Files.exists(ROOT.resolve("cgroup.controllers"));
        String own = "ucow-it-" + ProcessHandle.current().pid() + "-" + name;
        try {
            if (unified) {
                Files.writeString(ROOT.resolve("cgroup.subtree_control"), "+memory");
            }
            MemoryGroup group = new MemoryGroup((unified ? ROOT : ROOT.resolve("memory")).resolve(own), unified);
            Files.createDirectory(group.directory);
            Files.writeString(
                    group.directory.resolve(unified ? "memory.max" : "memory.limit_in_bytes"), "" + limitBytes);
            return Optional.of(group);
        } catch (IOException e) {
            System.out.println("no control group for memory: " + e);
            return Optional.empty();
        }
    }

    /** {@code tool} in this group, and whatever it starts. */
    Tool run(Tool tool) {
        return tool.by("sh", "-c", "echo $$ >\"$0\" && exec \"$@\"", directory.resolve("cgroup.procs"));
    }

    /** How many of its processes were killed for want of memory. */
    long oomKills() throws IOException {
        return counter(unified ? "memory.events" : "memory.oom_control", "oom_kill ");
    }

    /** How often something had to be given up, or written, before there was room for more. */
    long limitHits() throws IOException {
        return unified ? counter("memory.events", "max ") : counter("memory.failcnt", "");
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
