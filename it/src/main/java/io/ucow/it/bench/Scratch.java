package io.ucow.it.bench;

import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A directory that all of a run lives in: the base, what the targets make of it, their mounts. Whatever is still there at
 * the end is found by it: mounts and loop devices by their paths, processes by a variable in their environment.
 *
 * <p>Threading: the benchmark's thread; {@link #close} also by the thread that a signal starts.
 */
final class Scratch implements Closeable {
    /** Every program is started with it, so that each can be recognised. It is also where ucow keeps its own state. */
    private static final String MARK = "UCOW_RUN_DIR";

    private static final int MIB = 1 << 20;
    private static final Duration END_LIMIT = Duration.ofSeconds(10);

    private final Path root;
    /** Guarded by this; read without, to see early that the run is over. */
    private volatile boolean closed;

    private Scratch(Path root) {
        this.root = root;
    }

    /** A new one in {@code parent}, which should have room for four times the base. */
    static Scratch in(Path parent) throws IOException {
        return new Scratch(Files.createTempDirectory(parent, "ucow-bench").toRealPath());
    }

    /** A name in it. */
    Path path(String name) {
        return root.resolve(name);
    }

    /** The base image. */
    Path base() {
        return path("base.img");
    }

    /** A disk that holds a tree of files. */
    Path tree() {
        return path("tree.img");
    }

    /** What a disk is flattened to. */
    Path out() {
        return path("out.img");
    }

    /**
     * Writes the base: bytes that nothing compresses. They stay in the page cache.
     *
     * @param sizeBytes a multiple of 1 MiB
     */
    void writeBase(long sizeBytes) throws IOException {
        SplittableRandom random = new SplittableRandom(1);
        byte[] part = new byte[MIB];
        try (OutputStream out = Files.newOutputStream(base())) {
            for (long i = 0; i < sizeBytes / MIB; i++) {
                random.nextBytes(part);
                out.write(part);
            }
        }
    }

    /**
     * Writes the tree: this system's programs, libraries and documents, one behind the other, as far as there is room.
     *
     * @param sizeBytes a multiple of 1 MiB
     */
    void writeTree(long sizeBytes) throws IOException {
        String pipe = "tar -cf - -C / usr 2>/dev/null | head -c \"$1\" >\"$2\"";
        program("sh", "-c", pipe, "sh", sizeBytes, tree())
                .within(Duration.ofMinutes(5))
                .run();
        program("truncate", "--size=" + sizeBytes, tree()).run();
    }

    /**
     * A call of a program that is ended with this directory at the latest.
     *
     * @throws CancellationException if the directory is being taken away, because the run was interrupted
     */
    Program program(Object program, Object... arguments) {
        requireOpen();
        return Program.of(program, arguments).with(MARK, path("run").toString());
    }

    /** @throws CancellationException as {@link #program} */
    void requireOpen() {
        if (closed) {
            throw new CancellationException("interrupted");
        }
    }

    /** Bytes that a file takes of the disk. */
    long takenBytes(Path file) throws IOException {
        String blocks = program("stat", "--format=%b", file).run().strip();
        return Long.parseLong(blocks) * 512;
    }

    /**
     * Returns when everything written so far is on disk, so that the next job does not pay for the last one's writes, and
     * has free memory that was in use a moment ago: where a virtual machine gives what is free back to its host, which may
     * take its time to hand it out again, it would be chance who waits for that.
     *
     * @param memoryBytes that the page cache may need for what is written next
     */
    void settle(long memoryBytes) throws IOException {
        program("sync", "--file-system", root).within(Duration.ofMinutes(5)).run();
        Path touched = path("touched");
        ByteBuffer piece = ByteBuffer.allocateDirect(MIB);
        try (FileChannel file = FileChannel.open(touched, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            while (file.position() < memoryBytes) {
                file.write(piece.clear());
            }
        } finally {
            Files.deleteIfExists(touched);
        }
    }

    /**
     * Takes everything away: what runs in the foreground, disks mounted here, loop devices, FUSE mounts, daemons, files. A
     * step that fails is reported and does not keep the others from being tried. A second call does nothing.
     */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        Program.killRunning();
        attempt(() -> unmount(false));
        attempt(this::detachLoops);
        attempt(() -> unmount(true));
        attempt(this::endProcesses);
        attempt(() -> Program.of("rm", "-rf", "--one-file-system", root).run());
    }

    private interface Step {
        void run() throws IOException;
    }

    private static void attempt(Step step) {
        try {
            step.run();
        } catch (IOException e) {
            System.err.println("bench: cleaning up: " + e.getMessage());
        }
    }

    /** Last mounted first. */
    private void unmount(boolean fuseToo) throws IOException {
        List<String> mounts = new ArrayList<>(Files.readAllLines(Path.of("/proc/self/mountinfo")));
        Collections.reverse(mounts);
        for (String mount : mounts) {
            Path point = Path.of(mount.split(" ", -1)[4]);
            boolean fuse = mount.contains(" - fuse");
            if (point.startsWith(root) && (fuseToo || !fuse)) {
                attempt(() -> Program.of("umount", point).run());
            }
        }
    }

    private void detachLoops() throws IOException {
        for (LoopDevice device : LoopControl.list()) {
            if (device.backingFile().startsWith(root)) {
                attempt(device::detach);
            }
        }
    }

    private void endProcesses() throws IOException {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc"), "[0-9]*")) {
            for (Path process : all) {
                if (isMarked(process)) {
                    long pid = Long.parseLong(process.getFileName().toString());
                    attempt(() -> endProcess(pid));
                }
            }
        }
    }

    private boolean isMarked(Path process) {
        try {
            return Files.readString(process.resolve("environ"), StandardCharsets.ISO_8859_1)
                    .contains(MARK + "=" + root + "/");
        } catch (IOException e) {
            return false; // it has ended, or is somebody else's
        }
    }

    /** Asks a process to end, insists after a while, and returns when it is gone. */
    static void endProcess(long pid) throws IOException {
        ProcessHandle process = ProcessHandle.of(pid).orElse(null);
        if (process == null) {
            return;
        }
        process.destroy();
        if (!hasEnded(process)) {
            process.destroyForcibly();
            if (!hasEnded(process)) {
                throw new IOException("process " + pid + " survives SIGKILL, stuck in a system call");
            }
        }
    }

    private static boolean hasEnded(ProcessHandle process) throws IOException {
        try {
            process.onExit().get(END_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
            return true;
        } catch (TimeoutException e) {
            return false;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while process " + process.pid() + " was to end", e);
        } catch (ExecutionException e) {
            throw new IOException("waiting for process " + process.pid(), e);
        }
    }
}
