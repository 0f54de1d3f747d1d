package io.ucow.fuse.direct;

import io.ucow.fuse.Handover;
import io.ucow.fuse.ImageFile;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Transport;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;

/**
 * Speaks FUSE's kernel protocol on {@code /dev/fuse} itself. For root on Linux 5.4 or newer; what it serves can be
 * taken over by another process since Linux 6.9.
 *
 * <p>How the kernel may cache data, by {@link io.ucow.store.CacheMode}:
 * <ul>
 *   <li>{@code none}: not at all ({@code FOPEN_DIRECT_IO}).
 *   <li>{@code writethrough}: what was read or written stays cached; every write reaches the device first.
 *   <li>{@code writeback}: writes to a file that is not open with {@code O_DIRECT} stay in the kernel
 *       ({@code FUSE_WRITEBACK_CACHE}) until {@code fsync}, or until it writes them back by itself.
 * </ul>
 * Files opened with {@code O_DIRECT} go past the cache in every mode, and their writes do not exclude one another.
 * Nobody else changes what a file holds, so what is cached stays true from one open to the next.
 *
 * <p>Threading: as {@link Transport}; mounts share nothing.
 */
public final class DirectTransport implements Transport {
    private static final Path DEVICE = Path.of(Connection.DEVICE);

    /** For {@link java.util.ServiceLoader}. */
    public DirectTransport() {}

    @Override
    public String name() {
        return "direct";
    }

    @Override
    public Optional<String> unusableBecause() {
        if (!Files.exists(DEVICE)) {
            return Optional.of(DEVICE + " is missing: load the kernel module fuse");
        }
        if (Libc.geteuid() != 0) {
            return Optional.of("only root may mount without fusermount");
        }
        if (!Files.isReadable(DEVICE) || !Files.isWritable(DEVICE)) {
            return Optional.of(DEVICE + " may not be opened here: a container must be given this device");
        }
        return Optional.empty();
    }

    @Override
    public Mount mount(Path directory, List<ImageFile> files, MountOptions options) throws IOException {
        Mount.requireDistinctNames(files);
        Path real = Mount.checkedDirectory(directory);
        Connection connection = Connection.mount(real, options);
        Optional<Handover> handover;
        CountDownLatch ended;
        try {
            boolean canResend = shakeHands(connection, options);
            connection.cloneUpTo(Session.THREADS);
            handover = canResend
                    ? Optional.of(handover(connection.descriptors(), Handshake.MAX_PAYLOAD_BYTES))
                    : Optional.empty();
            ended = serve(real, connection, files, options, Handshake.MAX_PAYLOAD_BYTES);
        } catch (Throwable e) {
            connection.unmountAfter(real, e);
            throw e;
        }
        return Mount.answering(name(), real, files, ended, handover);
    }

    private static boolean shakeHands(Connection connection, MountOptions options) throws IOException {
        RequestBuffer buffer = new RequestBuffer(Handshake.MAX_PAYLOAD_BYTES);
        try {
            return Handshake.perform(connection.descriptors().get(0), buffer, options.cache())
                    .canResend();
        } finally {
            buffer.release();
        }
    }

    @Override
    public Mount resume(Path directory, List<ImageFile> files, MountOptions options, Handover handover)
            throws IOException {
        Connection connection = Connection.takeOver(handover);
        Handover next;
        CountDownLatch ended;
        try {
            next = handover(connection.descriptors(), handover.maxPayloadBytes());
            connection.resend();
            ended = serve(directory, connection, files, options, handover.maxPayloadBytes());
        } catch (Throwable e) {
            connection.closeAfter(e);
            throw e;
        }
        return Mount.resumed(name(), directory, files, ended, next);
    }

    private static Handover handover(List<Integer> descriptors, int maxPayloadBytes) {
        return new Handover(ProcessHandle.current().pid(), descriptors, maxPayloadBytes);
    }

    private static CountDownLatch serve(
            Path real, Connection connection, List<ImageFile> files, MountOptions options, int maxPayloadBytes)
            throws IOException {
        var dispatcher = new Dispatcher(new Tree(files), options.cache());
        return new Session(real, connection).start(dispatcher, maxPayloadBytes);
    }
}
