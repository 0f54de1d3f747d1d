package io.ucow.fuse.jnr;

import io.ucow.fuse.ImageFile;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Transport;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantLock;
import jnr.ffi.LibraryLoader;
import jnr.ffi.LibraryOption;
import jnr.ffi.Pointer;
import jnr.ffi.byref.IntByReference;
import jnr.ffi.byref.PointerByReference;

/**
 * Mounts through libfuse 2.9. Requests carry at most 128 KiB, libfuse's limit.
 *
 * <p>How the kernel may cache, and why:
 * <ul>
 *   <li>{@code direct_io}: no data at all. Every read and write reaches the device, so nothing can be stale, whoever
 *       wrote it; {@code losetup --direct-io=on} gets what it asks for; a plain loop device caches in its own block
 *       device, and a second copy here would only cost memory. The price: no {@code mmap(MAP_SHARED)} of a file.
 *   <li>{@code entry_timeout}: names for an hour; they never change while mounted.
 *   <li>{@code attr_timeout}: attributes for a second. The kernel drops its copy of {@code st_blocks} after each write or
 *       discard through the mount, and is told when the size has changed; the second bounds what changes underneath.
 * </ul>
 *
 * <p>Threading: mounts are made one at a time in a process; everything else is free of locks.
 */
public final class JnrTransport implements Transport {
    private static final String LIBRARY = "libfuse.so.2";
    private static final Path DEVICE = Path.of("/dev/fuse");
    private static final int MAX_REQUEST_BYTES = 128 << 10;

    /** Guards libfuse's static state while a mount is made, and file descriptor 2. */
    private static final ReentrantLock MOUNTING = new ReentrantLock();

    /** Loads libfuse at the first mount, not earlier: this class must be there to say that libfuse is not. */
    private static final class Library {
        static final LibFuse INSTANCE =
                LibraryLoader.loadLibrary(LibFuse.class, Map.of(LibraryOption.LoadNow, Boolean.TRUE), LIBRARY);
    }

    /** For {@link java.util.ServiceLoader}. */
    public JnrTransport() {}

    @Override
    public String name() {
        return "jnr";
    }

    @Override
    public Optional<String> unusableBecause() {
        if (!Files.exists(DEVICE)) {
            return Optional.of(DEVICE + " is missing: load the kernel module fuse");
        }
        if (!Files.isReadable(DEVICE) || !Files.isWritable(DEVICE)) {
            return Optional.of(DEVICE + " may not be opened by this user: run as root, or allow it with chmod 666");
        }
        try {
            Objects.requireNonNull(Library.INSTANCE);
            return Optional.empty();
        } catch (LinkageError e) {
            return Optional.of(LIBRARY + " cannot be loaded: install libfuse 2 (package libfuse2)");
        }
    }

    @Override
    public Mount mount(Path directory, List<ImageFile> files, MountOptions options) throws IOException {
        Mount.requireDistinctNames(files);
        Path real = Mount.checkedDirectory(directory);
        var operations = new Operations(files, Libc.geteuid(), Libc.getegid());
        Pointer fuse = setUp(real, operations, options);
        CountDownLatch ended;
        try {
            ended = new Session(Library.INSTANCE, real, fuse, operations).start();
        } catch (Throwable e) {
            Mount.detachAfter(real, e);
            throw e;
        }
        return Mount.answering(name(), real, files, ended, Optional.empty());
    }

    private static Pointer setUp(Path real, Operations operations, MountOptions options) throws IOException {
        String[] arguments = arguments(real, options);
        var mountpoint = new PointerByReference();
        LibFuse library = Library.INSTANCE;
        MOUNTING.lock();
        try (var stderr = new StderrCapture()) {
            Pointer fuse = library.fuse_setup(
                    arguments.length,
                    arguments,
                    operations.table(),
                    operations.tableSize(),
                    mountpoint,
                    new IntByReference(),
                    null);
            if (fuse == null) {
                throw new IOException("cannot mount " + real + ": " + stderr.takeMessage());
            }
            // The JVM keeps its own handlers for these signals; only with -Xrs would libfuse's have taken their place.
            library.fuse_remove_signal_handlers(library.fuse_get_session(fuse));
            library.free(mountpoint.getValue());
            return fuse;
        } finally {
            MOUNTING.unlock();
        }
    }

    private static String[] arguments(Path real, MountOptions options) {
        var mountOptions = new ArrayList<>(List.of(
                "fsname=" + MountInfo.UCOW,
                "subtype=" + MountInfo.UCOW,
                "default_permissions", // modes decide, checked by the kernel
                "direct_io",
                "entry_timeout=3600",
                "attr_timeout=1",
                "use_ino",
                "big_writes", // more than a page per write
                "max_write=" + MAX_REQUEST_BYTES,
                "max_read=" + MAX_REQUEST_BYTES));
        if (options.allowOther()) {
            mountOptions.add("allow_other");
        }
        return new String[] {MountInfo.UCOW, "-f", "-o", String.join(",", mountOptions), real.toString()};
    }
}
