package io.ucow.it;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A file system on a block device, mounted with {@code mount(8)} on a directory made for it, and unmounted by
 * {@link #close} whatever has happened.
 *
 * <p>Threading: one thread.
 */
final class TempMount implements AutoCloseable {
    private final Path root;
    private boolean mounted;

    private TempMount(Path root) {
        this.root = root;
        this.mounted = true;
    }

    /**
     * Mounts {@code device}, whose type of file system mount finds out.
     *
     * @param options for mount, such as {@code "-o", "ro,discard"}
     * @throws AssertionError when mount fails
     */
    static TempMount of(Path device, String... options) throws IOException {
        Path root = Files.createTempDirectory("ucow-it-mount");
        try {
            List<Object> arguments = new ArrayList<>(Arrays.asList(options));
            arguments.add(device);
            arguments.add(root);
            Tool.of("mount", arguments.toArray()).succeed();
        } catch (IOException | AssertionError e) {
            Files.delete(root);
            throw e;
        }
        return new TempMount(root);
    }

    /** The directory under which the file system's files are. */
    Path root() {
        return root;
    }

    /** Unmounts now, all written. @throws AssertionError when umount fails, as while a file in it is open */
    void unmount() throws IOException {
        Tool.of("umount", root).succeed();
        mounted = false;
        Files.delete(root);
    }

    /** Unmounts unless that is done. A mount that is busy is taken out of sight, and the test fails. */
    @Override
    public void close() throws IOException {
        if (!mounted) {
            return;
        }
        try {
            unmount();
        } catch (AssertionError e) {
            mounted = false;
            Tool.of("umount", "--lazy", root).run();
            throw e;
        }
    }
}
