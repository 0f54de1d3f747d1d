package io.ucow.fuse;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A mount of this process, from the moment it answers until its last request is answered.
 *
 * <p>It ends by {@link #unmount}, or from outside by {@code umount(8)} or {@code fusermount -u}; after a lazy unmount it
 * goes on for those who still have a file open. Its devices are neither flushed nor closed here: what the kernel holds of
 * them it writes back while it unmounts, every acknowledged write is already theirs, and closing a device flushes it.
 *
 * <p>Threading: every method may be called from any thread, except from within a request.
 */
public final class Mount {
    private static final Logger LOG = LoggerFactory.getLogger(Mount.class);
    private static final Duration ANSWER_LIMIT = Duration.ofSeconds(15);
    private static final Duration END_LIMIT = Duration.ofSeconds(15);

    /** Major 0 is for file systems without a device, and they start at minor 1. */
    private static final long NO_DEVICE = 0;

    private final String transport;
    private final Path directory;
    private final long device;
    private final List<ImageFile> files;
    private final CountDownLatch ended;
    private final Optional<Handover> handover;

    private Mount(
            String transport,
            Path directory,
            long device,
            List<ImageFile> files,
            CountDownLatch ended,
            Optional<Handover> handover) {
        this.transport = transport;
        this.directory = directory;
        this.device = device;
        this.files = List.copyOf(files);
        this.ended = ended;
        this.handover = handover;
    }

    /** For transports. @throws IllegalArgumentException if {@code files} cannot share a directory, or there are none */
    public static void requireDistinctNames(List<ImageFile> files) {
        if (files.isEmpty() || files.stream().map(ImageFile::name).distinct().count() < files.size()) {
            throw new IllegalArgumentException("a mount needs files, each with a name of its own: "
                    + files.stream().map(ImageFile::name).toList());
        }
    }

    /**
     * For transports: {@code directory} without symbolic links, if it can be mounted on.
     *
     * @throws java.nio.file.NoSuchFileException if it does not exist
     * @throws IOException in words for a user, if it is not a directory, not empty, or a mount whose process has died
     */
    public static Path checkedDirectory(Path directory) throws IOException {
        if (Mounts.isDead(directory)) {
            throw new IOException(directory + " is a mount whose process has died: unmount it first");
        }
        Path real = directory.toRealPath();
        if (!Files.isDirectory(real)) {
            throw new IOException(directory + " is not a directory");
        }
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(real)) {
            if (entries.iterator().hasNext()) {
                throw new IOException(directory + " is not empty: a mount would hide what is in it");
            }
        }
        return real;
    }

    /**
     * For transports: waits until a mount just made answers, and represents it from then on.
     *
     * @param directory where it is mounted, as {@link Transport#mount} was given it
     * @param ended counted down by the transport when the session is over and no request is under way
     * @param handover what a successor of this process needs, if there can be one
     * @throws IOException if it does not answer as it should within seconds; it is unmounted again
     */
    public static Mount answering(
            String transport, Path directory, List<ImageFile> files, CountDownLatch ended, Optional<Handover> handover)
            throws IOException {
        Path real = Mounts.real(directory);
        try {
            long device = Probe.within(ANSWER_LIMIT, () -> probe(real, files.get(0)));
            LOG.info("mounted={} transport={} files={}", real, transport, files.size());
            return new Mount(transport, real, device, files, ended, handover);
        } catch (IOException | TimeoutException e) {
            var failure = new IOException(
                    "the mount at " + directory + " does not answer"
                            + (e.getMessage() == null ? "" : ": " + e.getMessage()),
                    e);
            detachAfter(real, failure);
            throw failure;
        } catch (RuntimeException | Error e) {
            detachAfter(real, e);
            throw e;
        }
    }

    /** For transports: undoes a mount at {@code real} after a failure, in which what goes wrong is suppressed. */
    public static void detachAfter(Path real, Throwable failure) {
        try {
            Mounts.detach(real);
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /**
     * For transports: a mount that another process made and this one serves now. It may have been unmounted meanwhile.
     *
     * @param directory where it is mounted, absolute and without symbolic links
     */
    public static Mount resumed(
            String transport, Path directory, List<ImageFile> files, CountDownLatch ended, Handover handover)
            throws IOException {
        long device = Mounts.ucowMountAt(directory).map(MountInfo::device).orElse(NO_DEVICE);
        LOG.info("resumed={} transport={} files={}", directory, transport, files.size());
        return new Mount(transport, directory, device, files, ended, Optional.of(handover));
    }

    /** Asks the new mount for its root and one file. @return its device number */
    private static long probe(Path real, ImageFile file) throws IOException {
        FileStatus root = Libc.statx(real);
        MountInfo mount =
                Mounts.ucowMountAt(real).orElseThrow(() -> new IOException("it is not in /proc/self/mountinfo"));
        FileStatus status = Libc.statx(real.resolve(file.name()));
        if (root.device() != mount.device() || !status.isRegular() || status.sizeBytes() != file.sizeBytes()) {
            throw new IOException("it answers, but not as this mount: " + mount + ", " + root + ", " + status);
        }
        return mount.device();
    }

    /** Name of the transport that serves it. */
    public String transport() {
        return transport;
    }

    /** Where it is, absolute and without symbolic links. */
    public Path directory() {
        return directory;
    }

    /** What it shows. */
    public List<ImageFile> files() {
        return files;
    }

    /** What a successor of this process needs to serve this mount on; empty if there can be none. */
    public Optional<Handover> handover() {
        return handover;
    }

    /** True until the session is over. */
    public boolean isLive() {
        return ended.getCount() > 0;
    }

    /**
     * Unmounts, and returns when every request has been answered. Does nothing if the mount is gone already.
     *
     * @throws MountBusyException if it is in use; nothing was changed, and requests go on being served
     * @throws IOException if it could not be unmounted, or is still visible in another mount namespace and served there
     */
    public void unmount() throws IOException {
        boolean attached = isAttached();
        if (attached && isLive()) {
            unmountAttached();
        } else if (attached) {
            Mounts.detach(directory); // the connection was aborted: nobody serves it, and nothing can be lost
        }
        try {
            if (!ended.await(END_LIMIT.toNanos(), TimeUnit.NANOSECONDS)) {
                throw new IOException(directory + " is unmounted, but still served: a process holds one of its files,"
                        + " or it is visible in another mount namespace");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (IOException) new InterruptedIOException("interrupted while unmounting " + directory).initCause(e);
        }
    }

    private void unmountAttached() throws IOException {
        try {
            Mounts.unmount(directory);
        } catch (NativeException e) {
            if (e.errno() != Errno.EINVAL) { // EINVAL: it was unmounted from outside a moment ago
                throw e;
            }
        }
    }

    /**
     * Takes the mount out of the directory tree at once, in use or not. Whoever has a file open is served until he
     * closes it, which {@link #awaitUnmount} waits for. Does nothing if the mount is gone already.
     */
    public void unmountLazily() throws IOException {
        if (isAttached()) {
            Mounts.detach(directory);
        }
    }

    /** False when somebody unmounted it from outside, and perhaps mounted another one in its place. */
    private boolean isAttached() throws IOException {
        return Mounts.ucowMountAt(directory).filter(m -> m.device() == device).isPresent();
    }

    /** Returns when the mount is gone, by whomever, and every request has been answered. */
    public void awaitUnmount() throws InterruptedException {
        ended.await();
    }
}
