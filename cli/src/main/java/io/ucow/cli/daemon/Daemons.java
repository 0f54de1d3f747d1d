package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.ImageJson;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.Mounts;
import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.store.Compaction;
import io.ucow.store.ImageInfo;
import io.ucow.store.ScrubListener;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What commands do with daemons: find them, ask them, end them, and clean up after those that died.
 *
 * <p>Threading: stateless but for the run directory.
 */
public final class Daemons {
    private static final Logger LOG = LoggerFactory.getLogger(Daemons.class);

    private static final String RUN_AGAIN = "run it again";

    private final RunDirectory run;

    /**
     * A device and who serves it.
     *
     * @param daemon alive when it was looked for
     * @param file one of its files
     */
    public record Found(DaemonState daemon, ServedFile file) {}

    /**
     * An image behind a device that is served.
     *
     * @param image canonical
     */
    public record ServedImage(Found device, Path image) {}

    public Daemons(RunDirectory run) {
        this.run = run;
    }

    /** Those of this user, for commands. */
    public static Daemons ofUser() throws IOException {
        return new Daemons(RunDirectory.ofUser());
    }

    /** The living daemon that serves an image, a file in a mount or a loop device, and the file it shows that as. */
    public Optional<Found> find(Path path) throws IOException {
        Path canonical = CanonicalPath.of(path);
        for (DaemonState daemon : living()) {
            Optional<ServedFile> file = daemon.find(canonical);
            if (file.isPresent()) {
                return Optional.of(new Found(daemon, file.get()));
            }
        }
        return Optional.empty();
    }

    /**
     * The image that a path means and a living daemon has open: an image, or what it is served as, a file in a mount or a loop
     * device. Where that has several images it is the first.
     */
    public Optional<ServedImage> findImage(Path path) throws IOException {
        Path canonical = CanonicalPath.of(path);
        return find(path).filter(found -> !found.file().images().isEmpty()).map(found -> {
            List<Path> images = found.file().images();
            return new ServedImage(found, images.contains(canonical) ? canonical : images.get(0));
        });
    }

    /** The living daemon that is mounted at a directory. */
    public Optional<DaemonState> at(Path dir) throws IOException {
        Path canonical = CanonicalPath.of(dir);
        return living().stream().filter(d -> d.dir().equals(canonical)).findFirst();
    }

    /** Those that can be asked. */
    public List<DaemonState> living() throws IOException {
        List<DaemonState> living = new ArrayList<>();
        for (DaemonState daemon : run.states()) {
            if (daemon.ready() && daemon.isAlive()) {
                living.add(daemon);
            }
        }
        return living;
    }

    /** Passes the JSON of each of a daemon's files on, as {@code ucow status} prints it. */
    public void status(DaemonState daemon, Consumer<JsonObject> items) throws IOException {
        ask(run.awaitServed(daemon.id()), Requests.of(Requests.STATUS), items);
    }

    /** What a daemon knows of an image it serves. */
    public ImageInfo info(ServedImage served) throws IOException {
        return ImageJson.toInfo(ask(served, request(Requests.INFO, served), item -> {}, RUN_AGAIN));
    }

    /**
     * Has a daemon freeze the image behind one of its files, as {@link io.ucow.store.Images#snapshot}.
     *
     * @param as the layer's name, absolute
     * @return the layer
     */
    public Path snapshot(ServedImage served, Optional<Path> as) throws IOException {
        JsonObject request = request(Requests.SNAPSHOT, served);
        as.ifPresent(layer -> request.put("as", layer.toString()));
        String then =
                "see with 'ucow info " + served.image() + "' whether it is on a new layer already, else " + RUN_AGAIN;
        return Path.of(ask(served, request, item -> {}, then).getString("layer"));
    }

    /**
     * Has a daemon make the image behind one of its files larger, and with it the file and loop devices on it. When it fails
     * between these, do it again.
     *
     * @param fromBytes the size that it must have, if {@code sizeBytes} was reckoned from that
     * @throws IOException also if it has another size than {@code fromBytes} by now
     */
    public void grow(ServedImage served, OptionalLong fromBytes, long sizeBytes) throws IOException {
        JsonObject request = request(Requests.GROW, served);
        request.put("size", sizeBytes);
        fromBytes.ifPresent(from -> request.put(Requests.FROM, from));
        ask(served, request, item -> {}, "it has the old size or the new one, " + RUN_AGAIN);
        // Not done by the daemon: killed in the middle, it would wait for itself, and its successor for its end.
        Path path =
                served.device().daemon().dir().resolve(served.device().file().name());
        try (NativeFile file = NativeFile.open(path, Libc.O_RDWR)) {
            file.truncate(sizeBytes);
        } catch (NativeException e) {
            // Another command may have made it larger still; then that one tells the kernel.
            if (info(served).geometry().sizeBytes() <= sizeBytes) {
                throw e;
            }
            return;
        }
        for (LoopDevice loop : LoopControl.find(path)) {
            loop.refreshCapacity();
        }
    }

    /**
     * Has a daemon merge the image behind one of its files into its base, as {@link io.ucow.store.OnlineCommit}.
     *
     * @param progress told of how many further bytes of the device have been dealt with
     */
    public void commit(ServedImage served, LongConsumer progress) throws IOException {
        ask(
                served,
                request(Requests.COMMIT, served),
                item -> progress.accept(item.getLong(Requests.BYTES)),
                "nothing is lost, " + RUN_AGAIN + ": ucow commit " + served.image());
    }

    /**
     * Has a daemon compact the image behind one of its files, as {@link io.ucow.store.Images#compact}. If this process ends
     * meanwhile, so does that.
     *
     * @return the JSON of the {@link io.ucow.store.CompactReport}
     */
    public JsonObject compact(ServedImage served, Compaction.Listener listener) throws IOException {
        return ask(
                served,
                request(Requests.COMPACT, served),
                item -> listener.progress(item.getLong("movedBytes"), item.getLong("totalBytes")),
                RUN_AGAIN);
    }

    /**
     * Has a daemon scrub the image behind one of its files, as {@link io.ucow.store.Images#scrub}. If this process ends
     * meanwhile, so does that.
     *
     * @return the JSON of the {@link io.ucow.store.ScrubReport}
     */
    public JsonObject scrub(ServedImage served, long bytesPerSecond, ScrubListener listener) throws IOException {
        JsonObject request = request(Requests.SCRUB, served);
        request.put("rate", bytesPerSecond);
        Consumer<JsonObject> items = item -> {
            if (item.has("start")) {
                listener.damaged(item.getLong("start"), item.getLong("length"));
            } else {
                listener.progress(item.getLong("checkedBytes"), item.getLong("totalBytes"));
            }
        };
        return ask(served, request, items, RUN_AGAIN);
    }

    /** Passes the JSON of each extent of an image on. */
    public void map(ServedImage served, Consumer<JsonObject> items) throws IOException {
        ask(served, request(Requests.MAP, served), items, RUN_AGAIN);
    }

    /** Passes each line of the device's table on. */
    public void table(Found device, Consumer<String> lines) throws IOException {
        JsonObject request = Requests.of(Requests.TABLE);
        request.put("name", device.file().name());
        ask(run.awaitServed(device.daemon().id()), request, item -> lines.accept(item.getString("line")));
    }

    /**
     * Ends a daemon. On return it is unmounted and gone.
     *
     * @throws IOException if its files are in use, saying by whom where that can be found out; nothing was changed
     */
    public void stop(DaemonState daemon) throws IOException {
        DaemonState serving = run.awaitServed(daemon.id());
        try {
            ask(serving, Requests.of(Requests.STOP), item -> {});
        } catch (RemoteException e) {
            // The kernel knows for certain whether it is in use, but not by whom.
            if (MountInfo.at(daemon.dir()).isPresent()) {
                requireUnused(daemon, MountUsers.of(daemon.dir()));
            }
            throw e;
        }
        serving.process().awaitEnd();
    }

    /**
     * Detaches the loop device of a daemon that {@code ucow attach} started, and ends the daemon.
     *
     * @throws IOException if one of them is in use, saying by whom; nothing was changed
     */
    public void detach(Found attached) throws IOException {
        requireUnused(attached.daemon(), MountUsers.processes(attached.daemon().dir()));
        detachLoop(attached.daemon(), attached.file());
        stop(attached.daemon());
    }

    /**
     * Has a daemon replaced by a new process. On return that one serves.
     *
     * @throws IOException if it cannot be; the daemon goes on
     */
    public void restart(DaemonState daemon) throws IOException {
        DaemonState serving = run.awaitServed(daemon.id());
        try {
            ask(serving, Requests.of(Requests.RESTART), item -> {});
        } catch (RemoteException e) {
            throw e;
        } catch (IOException e) {
            LOG.debug(
                    "ends by itself, as for somebody else's restart pid={}",
                    serving.process().pid(),
                    e);
        }
        serving.process().awaitEnd();
        run.awaitServed(daemon.id());
    }

    private static void requireUnused(DaemonState daemon, List<String> users) throws BusyException {
        if (!users.isEmpty()) {
            throw new BusyException(daemon.dir() + ": in use by " + String.join(", ", users)
                    + "; end that, and try again; nothing was changed");
        }
    }

    private static JsonObject request(String verb, ServedImage served) {
        JsonObject request = Requests.of(verb);
        request.put("image", served.image().toString());
        return request;
    }

    /** @param then what to do if the daemon ends before it has answered, for people */
    private JsonObject ask(ServedImage served, JsonObject request, Consumer<JsonObject> items, String then)
            throws IOException {
        DaemonState serving = run.awaitServed(served.device().daemon().id());
        try {
            return ask(serving, request, items);
        } catch (RemoteException e) {
            throw e;
        } catch (IOException e) {
            throw new IOException(e.getMessage() + "; " + then, e);
        }
    }

    private JsonObject ask(DaemonState serving, JsonObject request, Consumer<JsonObject> items) throws IOException {
        try (ControlClient client = ControlClient.connect(run, serving)) {
            return client.ask(request, items);
        }
    }

    /** The dead daemon, not cleaned up yet, that served a path or was mounted there. */
    public Optional<DaemonState> findDead(Path path) throws IOException {
        Path canonical = CanonicalPath.of(path);
        for (DaemonState daemon : run.states()) {
            boolean meant =
                    daemon.dir().equals(canonical) || daemon.find(canonical).isPresent();
            if (meant && !daemon.isAlive()) {
                return Optional.of(daemon);
            }
        }
        return Optional.empty();
    }

    /**
     * Cleans up after every daemon that died: what a command does first that starts one. What is still in use stays, with
     * a warning that says by whom.
     *
     * @param concerned images and directories that the command is about
     * @throws LoopBusyException if what is in use is of one of those
     */
    public void cleanDead(Collection<Path> concerned) throws IOException {
        for (Path path : concerned) {
            Optional<DaemonState> dead = findDead(path);
            if (dead.isPresent()) {
                cleanIfDead(dead.get());
            }
        }
        cleanDead();
    }

    /** The same, about nothing in particular. */
    public void cleanDead() throws IOException {
        for (DaemonState daemon : run.states()) {
            try {
                cleanIfDead(daemon);
            } catch (LoopBusyException e) {
                LOG.warn(
                        "left over from a daemon that died: {}; end that, then: ucow unmount {}",
                        e.getMessage(),
                        daemon.dir());
            }
        }
    }

    /**
     * Removes what is left of a daemon, if it is dead: its loop devices, its mount, its files in the run directory.
     *
     * @throws LoopBusyException if a loop device is in use; it stays, and all the rest
     */
    public void cleanIfDead(DaemonState daemon) throws IOException {
        if (daemon.isAlive()) {
            return;
        }
        try (Closeable lock = run.lock()) {
            LOG.trace("cleaning under {}", lock);
            if (!run.states().contains(daemon)) {
                return; // somebody else was faster, and its successor may be there
            }
            for (ServedFile file : daemon.files()) {
                if (file.loop().isPresent()) {
                    detachLoop(daemon, file);
                }
            }
            Mounts.cleanDead(daemon.dir());
            run.remove(daemon.id());
            LOG.info(
                    "cleaned up after dead daemon pid={} dir={}",
                    daemon.process().pid(),
                    daemon.dir());
        }
    }

    private static void detachLoop(DaemonState daemon, ServedFile file) throws IOException {
        for (LoopDevice loop : LoopControl.find(daemon.dir().resolve(file.name()))) {
            loop.detach();
        }
    }
}
