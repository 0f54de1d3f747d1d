package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.Mounts;
import io.ucow.loop.LoopBusyException;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.store.Compaction;
import io.ucow.store.ScrubListener;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
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

    private final RunDirectory run;

    /**
     * A device and who serves it.
     *
     * @param daemon alive when it was looked for
     * @param file one of its files
     */
    public record Found(DaemonState daemon, ServedFile file) {}

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
    public JsonObject info(DaemonState daemon, Path image) throws IOException {
        JsonObject request = Requests.of(Requests.INFO);
        request.put("image", image.toString());
        return ask(run.awaitServed(daemon.id()), request, item -> {});
    }

    /**
     * Has a daemon freeze the image behind one of its files, as {@link io.ucow.store.Images#snapshot}.
     *
     * @param as the layer's name, absolute
     * @return the layer
     */
    public Path snapshot(Found served, Path image, Optional<Path> as) throws IOException {
        JsonObject request = Requests.of(Requests.SNAPSHOT);
        request.put("image", image.toString());
        as.ifPresent(layer -> request.put("as", layer.toString()));
        return Path.of(
                ask(run.awaitServed(served.daemon().id()), request, item -> {}).getString("layer"));
    }

    /**
     * Has a daemon make the image behind one of its files larger, and with it the file and loop devices on it. When it fails
     * between these, do it again.
     */
    public void grow(Found served, Path image, long sizeBytes) throws IOException {
        JsonObject request = Requests.of(Requests.GROW);
        request.put("image", image.toString());
        request.put("size", sizeBytes);
        ask(run.awaitServed(served.daemon().id()), request, item -> {});
        // Not done by the daemon: killed in the middle, it would wait for itself, and its successor for its end.
        Path path = served.daemon().dir().resolve(served.file().name());
        try (NativeFile file = NativeFile.open(path, Libc.O_RDWR)) {
            file.truncate(sizeBytes);
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
    public void commit(Found served, Path image, LongConsumer progress) throws IOException {
        JsonObject request = Requests.of(Requests.COMMIT);
        request.put("image", image.toString());
        DaemonState serving = run.awaitServed(served.daemon().id());
        try {
            ask(serving, request, item -> progress.accept(item.getLong(Requests.BYTES)));
        } catch (RemoteException e) {
            throw e;
        } catch (IOException e) {
            throw new IOException(e.getMessage() + "; nothing is lost, run it again: ucow commit " + image, e);
        }
    }

    /**
     * Has a daemon compact the image behind one of its files, as {@link io.ucow.store.Images#compact}. If this process ends
     * meanwhile, so does that.
     *
     * @return the JSON of the {@link io.ucow.store.CompactReport}
     */
    public JsonObject compact(Found served, Path image, Compaction.Listener listener) throws IOException {
        JsonObject request = Requests.of(Requests.COMPACT);
        request.put("image", image.toString());
        return ask(
                run.awaitServed(served.daemon().id()),
                request,
                item -> listener.progress(item.getLong("movedBytes"), item.getLong("totalBytes")));
    }

    /**
     * Has a daemon scrub the image behind one of its files, as {@link io.ucow.store.Images#scrub}. If this process ends
     * meanwhile, so does that.
     *
     * @return the JSON of the {@link io.ucow.store.ScrubReport}
     */
    public JsonObject scrub(Found served, Path image, long bytesPerSecond, ScrubListener listener) throws IOException {
        JsonObject request = Requests.of(Requests.SCRUB);
        request.put("image", image.toString());
        request.put("rate", bytesPerSecond);
        return ask(run.awaitServed(served.daemon().id()), request, item -> {
            if (item.has("start")) {
                listener.damaged(item.getLong("start"), item.getLong("length"));
            } else {
                listener.progress(item.getLong("checkedBytes"), item.getLong("totalBytes"));
            }
        });
    }

    /** Passes the JSON of each extent of an image on. */
    public void map(DaemonState daemon, Path image, Consumer<JsonObject> items) throws IOException {
        JsonObject request = Requests.of(Requests.MAP);
        request.put("image", image.toString());
        ask(run.awaitServed(daemon.id()), request, items);
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
        ask(serving, Requests.of(Requests.RESTART), item -> {});
        serving.process().awaitEnd();
        run.awaitServed(daemon.id());
    }

    private static void requireUnused(DaemonState daemon, List<String> users) throws BusyException {
        if (!users.isEmpty()) {
            throw new BusyException(daemon.dir() + ": in use by " + String.join(", ", users)
                    + "; end that, and try again; nothing was changed");
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
