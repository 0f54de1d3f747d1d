package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountBusyException;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Transport;
import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.store.CacheMode;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of a process that serves one mount: claim, open, mount, answer commands, unmount, close.
 *
 * <p>It ends when the mount is gone, whoever unmounted it: a command through the control socket, {@code umount(8)}, or a
 * signal. A signal unmounts lazily if need be, so that nothing new begins, and whoever has a file open is served until
 * he closes it.
 *
 * <p>Threading: {@link #start}, then {@link #awaitEnd}, by one thread; the rest by any.
 */
public final class Daemon {
    private static final Logger LOG = LoggerFactory.getLogger(Daemon.class);

    private final RunDirectory run;
    private final List<ServedDevice> devices;
    private final Mount mount;
    private final ControlServer control;
    private final CountDownLatch ended = new CountDownLatch(1);
    /** Guarded by this. */
    private DaemonState state;
    /** Guarded by this. */
    private boolean closed;

    private Daemon(
            RunDirectory run,
            DaemonState claim,
            List<ServedDevice> devices,
            Mount mount,
            Function<Throwable, RemoteException> toError)
            throws IOException {
        this.run = run;
        this.devices = devices;
        this.mount = mount;
        this.state = claim.ready(mount.transport(), claim.files());
        this.control = new ControlServer(run.socket(claim.id()), new Requests(this), toError);
    }

    /**
     * Serves what {@code spec} says. On return the files can be used, and the signals that end processes end this mount.
     *
     * @param toError puts a failure into words and an exit code, for commands on the control socket
     * @throws IOException if that is not possible; nothing is left behind
     */
    public static Daemon start(MountSpec spec, RunDirectory run, Function<Throwable, RemoteException> toError)
            throws IOException {
        DeviceSource source = DeviceSource.of(spec);
        DaemonState claim = claim(spec, run, source.files());
        List<ServedDevice> devices = List.of();
        Mount mount = null;
        try {
            Transport transport = transport(spec.transport());
            devices = source.open();
            mount = transport.mount(
                    spec.dir(), devices.stream().map(ServedDevice::file).toList(), MountOptions.of(CacheMode.NONE));
            Daemon daemon = new Daemon(run, claim, devices, mount, toError);
            run.write(daemon.state());
            Runtime.getRuntime().addShutdownHook(new Thread(daemon::endOnSignal, "signal"));
            LOG.info("serving dir={} files={} transport={}", spec.dir(), devices.size(), mount.transport());
            return daemon;
        } catch (IOException | RuntimeException e) {
            List<Closeable> leftovers = new ArrayList<>();
            if (mount != null) {
                leftovers.add(mount::unmount);
            }
            leftovers.addAll(devices);
            leftovers.add(() -> run.remove(claim.id()));
            Closing.after(e, leftovers);
            throw e;
        }
    }

    /** @throws IllegalArgumentException if nothing is called {@code name} */
    private static Transport transport(String name) throws EnvironmentException {
        try {
            return Transport.named(name);
        } catch (IllegalArgumentException e) {
            if (name.equals(Transport.AUTO)
                    || Transport.all().stream().anyMatch(t -> t.name().equals(name))) {
                throw new EnvironmentException(e.getMessage(), e);
            }
            throw e;
        }
    }

    /** Sees that nobody else serves the directory or an image, and makes that known. */
    private static DaemonState claim(MountSpec spec, RunDirectory run, List<ServedFile> files) throws IOException {
        run.create();
        try (Closeable lock = run.lock()) {
            LOG.trace("claiming under {}", lock);
            for (DaemonState other : run.states()) {
                if (other.isAlive()) {
                    requireDistinct(spec, files, other);
                }
            }
            if (spec.attach()) {
                Files.createDirectories(spec.dir());
            }
            MountPoint.requireUsable(spec.dir());
            DaemonState claim = new DaemonState(
                    spec.id(), ProcessId.current(), spec.dir(), spec.transport(), spec.attach(), false, files);
            run.write(claim);
            return claim;
        }
    }

    private static void requireDistinct(MountSpec spec, List<ServedFile> files, DaemonState other)
            throws BusyException {
        for (ServedFile file : files) {
            for (Path image : file.images()) {
                var served = other.find(image);
                if (served.isPresent()) {
                    throw new BusyException(image + ": already " + other.describe(served.get()));
                }
            }
        }
        if (other.dir().equals(spec.dir())) {
            throw new BusyException(spec.dir() + ": process " + other.process().pid() + " serves "
                    + other.files().get(0).name() + " there; choose another directory");
        }
    }

    /** What this daemon tells of itself. */
    public synchronized DaemonState state() {
        return state;
    }

    /** The devices served, in the order of the state's files. */
    List<ServedDevice> devices() {
        return devices;
    }

    /** The files that can be used, absolute. */
    public List<Path> files() {
        return devices.stream()
                .map(d -> mount.directory().resolve(d.file().name()))
                .toList();
    }

    /** Makes known which loop device the only file is attached as. */
    public synchronized void attachedAs(Path loopDevice) throws IOException {
        state = state.ready(state.transport(), List.of(state.files().get(0).attachedAs(loopDevice)));
        run.write(state);
    }

    /**
     * Unmounts and closes everything, so that on return nothing is lost when the process ends, which it then does.
     *
     * @throws MountBusyException if a file is in use; nothing was changed
     */
    public void stop() throws IOException {
        mount.unmount();
        closeDevices();
    }

    /**
     * As {@link #stop}, but when a file is in use goes on serving it until it is closed. Detaches the loop device, if it
     * is of our making; when that is in use, everything stays as it is, for its users would not know where to detach it.
     */
    public void stopWhenUnused() {
        try {
            detachLoops();
            mount.unmount();
        } catch (LoopBusyException e) {
            LOG.warn(
                    "serving until 'ucow detach {}': {}",
                    state().files().get(0).images().get(0),
                    e.getMessage());
        } catch (MountBusyException e) {
            LOG.warn("serving until all files are closed: {}", e.getMessage());
            unmountLazily();
        } catch (IOException e) {
            LOG.error("dir={} cannot be unmounted, and is served until it is", mount.directory(), e);
        }
    }

    private void detachLoops() throws IOException {
        if (state().attached()) {
            for (Path file : files()) {
                for (LoopDevice loop : LoopControl.find(file)) {
                    loop.detach();
                }
            }
        }
    }

    private void unmountLazily() {
        try {
            mount.unmountLazily();
        } catch (IOException e) {
            LOG.error("dir={} cannot be unmounted, and is served until it is", mount.directory(), e);
        }
    }

    /** Runs when a signal ends the process, and when {@link #awaitEnd} is over and it ends of itself. */
    private void endOnSignal() {
        if (ended.getCount() > 0) {
            stopWhenUnused();
        }
        try {
            ended.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Returns when the mount is gone, everything is closed, and nothing of this daemon is left in the run directory.
     *
     * @throws IOException if an image could not be closed properly
     */
    public void awaitEnd() throws IOException, InterruptedException {
        try {
            mount.awaitUnmount();
            String id = state().id();
            Closing.all(List.<Closeable>of(this::closeDevices, control, () -> run.remove(id)));
            Files.deleteIfExists(run.log(id));
            LOG.info("ended dir={}", mount.directory());
        } finally {
            ended.countDown();
        }
    }

    /** Flushes and closes the devices, once. */
    private synchronized void closeDevices() throws IOException {
        if (!closed) {
            closed = true;
            Closing.all(devices);
        }
    }

    /** Where each file is and what it has done, for {@code ucow status}. */
    void forEachStatus(Consumer<JsonObject> visitor) {
        DaemonState now = state();
        for (int i = 0; i < devices.size(); i++) {
            JsonObject json = FileJson.of(now, now.files().get(i), true);
            json.putAll(devices.get(i).stats());
            visitor.accept(json);
        }
    }
}
