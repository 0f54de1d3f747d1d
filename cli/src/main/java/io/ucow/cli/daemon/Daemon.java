package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.fuse.Handover;
import io.ucow.fuse.ImageFile;
import io.ucow.fuse.Mount;
import io.ucow.fuse.MountBusyException;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.Transport;
import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The life of a process that serves one mount: claim, open, mount, answer commands, unmount, close. With a
 * {@link Keeper} it may die at any moment: a successor takes over what the keeper holds, by {@link #resume}.
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
    private final MountSpec spec;
    private final Path workingDirectory;
    private final ControlServer control;
    /** Null where the mount ends with this process. */
    private volatile KeeperLink keeper;

    /** Open once it is known whether there is a keeper. */
    private final CountDownLatch keeperSought = new CountDownLatch(1);

    private final CountDownLatch ended = new CountDownLatch(1);
    /** Guarded by this. */
    private DaemonState state;
    /** Guarded by this. */
    private boolean closed;

    private Daemon(
            RunDirectory run,
            MountSpec spec,
            Path workingDirectory,
            DaemonState state,
            List<ServedDevice> devices,
            Mount mount,
            Function<Throwable, RemoteException> toError)
            throws IOException {
        this.run = run;
        this.spec = spec;
        this.workingDirectory = workingDirectory;
        this.devices = devices;
        this.mount = mount;
        this.state = state;
        this.control = new ControlServer(run.socket(state.id()), new Requests(this), toError);
    }

    /**
     * Serves what {@code spec} says. On return the files can be used, and the signals that end processes end this mount;
     * so does the end of this process, until {@link #findKeeper} has found one.
     *
     * @param background true if a keeper will be sought, and what this process has to say goes to its log, for which
     *     there may be nobody to read it from standard error
     * @param toError puts a failure into words and an exit code, for commands on the control socket
     * @throws IOException if that is not possible; nothing is left behind
     */
    public static Daemon start(
            MountSpec spec, RunDirectory run, boolean background, Function<Throwable, RemoteException> toError)
            throws IOException {
        DeviceSource source = DeviceSource.of(spec);
        DaemonState claim = claim(spec, run, source.files());
        List<ServedDevice> devices = List.of();
        Mount mount = null;
        try {
            if (background) {
                run.logTo(claim.id());
            }
            Transport transport = transport(spec.transport());
            devices = source.open();
            mount = transport.mount(spec.dir(), files(devices), MountOptions.of(spec.cache()));
            DaemonState ready = claim.ready(mount.transport(), claim.files());
            Path workingDirectory = Path.of("").toAbsolutePath();
            Daemon daemon = new Daemon(run, spec, workingDirectory, ready, devices, mount, toError);
            if (!background) {
                daemon.keeperSought.countDown();
            }
            daemon.serve();
            return daemon;
        } catch (Throwable e) {
            List<Closeable> leftovers = new ArrayList<>();
            if (mount != null) {
                leftovers.add(mount::unmount);
            }
            leftovers.addAll(devices);
            leftovers.add(() -> run.remove(claim.id()));
            if (background) {
                leftovers.add(() -> Files.deleteIfExists(run.log(claim.id()))); // what it says is thrown
            }
            Closing.after(e, leftovers);
            throw e;
        }
    }

    /**
     * Serves on in the place of a daemon that died or left. On return it serves.
     *
     * @param keep what that daemon's keeper holds
     * @param keeper the line to it
     * @throws IOException if that is not possible; the mount is as it was before, and the state says that daemon's
     */
    static Daemon resume(Keep keep, KeeperLink keeper, RunDirectory run, Function<Throwable, RemoteException> toError)
            throws IOException {
        MountSpec spec = keep.spec();
        DaemonState previous = run.state(spec.id())
                .orElseThrow(() -> new NoSuchFileException(spec.dir().toString(), null, "no daemon served it"));
        List<ServedDevice> devices = DeviceSource.of(spec).open();
        try {
            Mount mount = transport(previous.transport())
                    .resume(spec.dir(), files(devices), MountOptions.of(spec.cache()), keep.handover());
            DaemonState state = previous.succeededBy(ProcessId.current());
            Daemon daemon = new Daemon(run, spec, keep.workingDirectory(), state, devices, mount, toError);
            daemon.keeper = keeper;
            daemon.keeperSought.countDown();
            keeper.watch(daemon.keeperListener());
            daemon.serve();
            return daemon;
        } catch (Throwable e) {
            Closing.after(e, devices);
            throw e;
        }
    }

    private static List<ImageFile> files(List<ServedDevice> devices) {
        return devices.stream().map(ServedDevice::file).toList();
    }

    private void serve() throws IOException {
        run.write(state());
        Runtime.getRuntime().addShutdownHook(new Thread(this::endOnSignal, "signal"));
    }

    /**
     * Starts a keeper, if the transport and the kernel allow that another process goes on. Not part of the start: it takes
     * as long again, and whoever waits for the files need not wait for it.
     */
    void findKeeper() {
        Optional<Handover> handover = mount.handover();
        try {
            if (handover.isPresent()) {
                ProcessId process = beKept(handover.get());
                LOG.info("kept dir={} keeper={}", spec.dir(), process.pid());
            } else {
                LOG.info("no keeper: that takes transport direct, and Linux 6.9 or newer dir={}", spec.dir());
            }
        } catch (IOException | OutOfMemoryError e) { // that is what a lack of threads is called, too
            LOG.error("no keeper: if this process dies, so does the mount dir={}", spec.dir(), e);
        } finally {
            keeperSought.countDown();
        }
    }

    /** @throws IOException if no keeper took the mount; it ends with this process then, and the state says so */
    private ProcessId beKept(Handover handover) throws IOException {
        keptBy(null, Optional.empty()); // not by one that was lost
        KeeperLink link = KeeperLink.launch();
        try {
            ProcessId process = link.keep(new Keep(spec, handover, workingDirectory), keeperListener());
            keptBy(link, Optional.of(process));
            return process;
        } catch (IOException e) {
            Closing.after(e, List.of(link::abandon));
            throw e;
        }
    }

    /** Makes a keeper known, or with null that there is none. */
    private synchronized void keptBy(KeeperLink link, Optional<ProcessId> process) throws IOException {
        keeper = link;
        if (!state.keeper().equals(process)) {
            state = state.keptBy(process);
            run.write(state);
        }
    }

    private KeeperLink.Listener keeperListener() {
        return new KeeperLink.Listener() {
            @Override
            public void leave() {
                LOG.info("leaving dir={} to a successor", spec.dir());
                try {
                    control.close(); // not before the answer is read
                } catch (IOException e) {
                    LOG.warn("control socket", e);
                }
                // As if killed: what is under way is sent again, and the store continues (G2).
                Runtime.getRuntime().halt(0);
            }

            @Override
            public void lost() {
                if (mount.isLive()) {
                    LOG.warn("the keeper died, another one is started dir={}", spec.dir());
                    findKeeper();
                }
            }
        };
    }

    /**
     * Has a successor started. Returns when it is ready; this process ends soon after.
     *
     * @throws EnvironmentException if the mount ends with this process
     * @throws IOException also if an image could not be opened again
     */
    void awaitSuccessor() throws IOException {
        try {
            keeperSought.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (IOException) new InterruptedIOException("interrupted while a keeper starts").initCause(e);
        }
        KeeperLink link = keeper;
        if (link == null) {
            throw new EnvironmentException(mount.directory() + ": cannot be restarted while in use: "
                    + (mount.handover().isPresent() ? "it has no keeper" : "that takes transport direct, and Linux 6.9")
                    + "; unmount or detach it, and start it again");
        }
        for (ServedDevice device : devices) {
            device.requireReopenable();
        }
        link.awaitSuccessor();
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
                    spec.id(),
                    ProcessId.current(),
                    Optional.empty(),
                    spec.dir(),
                    spec.transport(),
                    spec.attach(),
                    false,
                    files);
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
            Closing.all(List.<Closeable>of(this::closeDevices, control, this::releaseKeeper, () -> run.remove(id)));
            Files.deleteIfExists(run.log(id));
            LOG.info("ended dir={}", mount.directory());
        } finally {
            ended.countDown();
        }
    }

    /** On return it is gone: whoever waits for this process need not look for another one. */
    private void releaseKeeper() throws IOException {
        KeeperLink link = keeper;
        if (link != null) {
            link.release();
            state().keeper().orElseThrow().awaitEnd();
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
    void forEachStatus(Consumer<JsonObject> visitor) throws IOException {
        DaemonState now = state();
        for (int i = 0; i < devices.size(); i++) {
            JsonObject json = FileJson.of(now, now.files().get(i));
            json.putAll(devices.get(i).stats());
            visitor.accept(json);
        }
    }
}
