package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A user of an ext4 file system on a device: writes files, syncs them, reads them back past the page cache and compares,
 * deletes some, until {@link #finish}.
 *
 * <p>Threading: one thread starts, finishes and closes it; the work is done by another.
 */
final class FileSystemLoad implements AutoCloseable {
    private static final int FILES = 24;
    private static final int MAX_BLOCKS = 96;
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private final Path device;
    private final TempMount mount;
    private final Random random;
    private final CompletableFuture<Void> end = new CompletableFuture<>();
    /** The seed of what is in each file. Of the working thread, and from its end on of the one that finishes. */
    private final Map<Path, Long> contents = new TreeMap<>();

    private volatile boolean stopping;
    private final AtomicInteger rounds = new AtomicInteger();

    private FileSystemLoad(Path device, TempMount mount, long seed) {
        this.device = device;
        this.mount = mount;
        this.random = new Random(seed);
    }

    /** Makes a file system on {@code device}, mounts it, and begins. */
    static FileSystemLoad start(Path device, long seed) throws IOException {
        Tool.of("mkfs.ext4", "-q", "-F", device).succeed();
        FileSystemLoad load = new FileSystemLoad(device, TempMount.of(device), seed);
        Thread thread = new Thread(load::run, "file system load");
        thread.setDaemon(true); // it may be stuck
        thread.start();
        return load;
    }

    /** How many files were written and read so far. */
    int rounds() {
        return rounds.get();
    }

    private void run() {
        try {
            while (!stopping) {
                Path file = mount.root().resolve("file" + random.nextInt(FILES));
                if (random.nextInt(8) == 0) {
                    Files.deleteIfExists(file);
                    contents.remove(file);
                } else {
                    write(file, random.nextLong());
                    verify(file);
                }
                verify(any());
                rounds.incrementAndGet();
            }
            end.complete(null);
        } catch (Throwable e) {
            end.completeExceptionally(e);
        }
    }

    private Path any() {
        return contents.keySet().stream()
                .skip(random.nextInt(Math.max(1, contents.size())))
                .findFirst()
                .orElse(null);
    }

    private void write(Path file, long seed) throws IOException {
        contents.remove(file);
        try (FileChannel out = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            ByteBuffer bytes = ByteBuffer.wrap(content(seed));
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
            out.force(true);
        }
        contents.put(file, seed);
    }

    private void verify(Path file) throws IOException {
        if (file == null) {
            return; // nothing is there yet
        }
        byte[] expected = content(contents.get(file));
        try (DirectFile in = DirectFile.open(file)) {
            assertThat(in.read(0, expected.length)).as("%s", file).isEqualTo(expected);
        }
    }

    private static byte[] content(long seed) {
        Random bytes = new Random(seed);
        byte[] content = new byte[(1 + bytes.nextInt(MAX_BLOCKS)) * DirectFile.BLOCK];
        bytes.nextBytes(content);
        return content;
    }

    /** Ends the work, and judges: every file, after another mount, too, and the file system as {@code e2fsck} sees it. */
    void finish() throws Exception {
        stop();
        // What the kernel says of errors it has met, after which it goes on.
        Path errors = Path.of("/sys/fs/ext4", device.getFileName().toString(), "errors_count");
        assertThat(Files.readString(errors)).isEqualToIgnoringNewLines("0");
        Map<Path, Long> names = new TreeMap<>();
        contents.forEach((file, seed) -> names.put(mount.root().relativize(file), seed));
        mount.unmount();
        Tool.of("e2fsck", "-f", "-n", device).succeed();
        try (TempMount again = TempMount.of(device, "-o", "ro")) {
            for (Map.Entry<Path, Long> file : names.entrySet()) {
                assertThat(Files.readAllBytes(again.root().resolve(file.getKey())))
                        .as("%s", file.getKey())
                        .isEqualTo(content(file.getValue()));
            }
        }
    }

    private void stop() throws Exception {
        stopping = true;
        try {
            end.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            throw new AssertionError("round " + rounds + " on " + device + ": " + e.getCause(), e.getCause());
        } catch (TimeoutException e) {
            throw new AssertionError("round " + rounds + " on " + device + " does not end", e);
        }
    }

    /** Ends the work without judging, as after another failure. Does nothing after {@link #finish}. */
    @Override
    public void close() throws IOException {
        stopping = true;
        try {
            end.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException e) {
            System.err.println("the load on " + device + " ended after another failure: " + e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        mount.close();
    }
}
