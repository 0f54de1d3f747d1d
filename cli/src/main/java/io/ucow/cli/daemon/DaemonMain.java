package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.fuse.Transport;
import io.ucow.store.Images;
import io.ucow.sys.Libc;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The daemon's end of the pipes that {@link StartedDaemon} draws. */
public final class DaemonMain {
    private static final Logger LOG = LoggerFactory.getLogger(DaemonMain.class);

    private DaemonMain() {}

    /**
     * Serves until the mount is gone.
     *
     * @param in from the command that started this process
     * @param out to it; closed when it needs this process no more
     * @return the process's exit code
     */
    public static int run(InputStream in, PrintStream out, Function<Throwable, RemoteException> toError)
            throws IOException, InterruptedException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        Daemon daemon;
        try {
            load();
            String request = lines.readLine();
            if (request == null) {
                return 0; // whoever started this process needs no daemon
            }
            JsonObject json = Replies.parse(request);
            if (json.has(Keeper.RESUME)) {
                return resume(Keep.fromJson(json.getObject(Keeper.RESUME)), lines, out, toError);
            }
            Libc.setsid();
            daemon = Daemon.start(MountSpec.fromJson(request), RunDirectory.ofUser(), true, toError);
            Libc.chdir("/"); // no sooner: a table's relative paths start from the command's directory
        } catch (IOException | RuntimeException | Error e) {
            RemoteException error = toError.apply(e);
            Replies.error(out, error);
            return error.exitCode();
        }
        confirm(daemon, lines, out, toError);
        daemon.findKeeper();
        daemon.awaitEnd();
        return 0;
    }

    /** Loads what takes a process long, before anybody waits for it. */
    private static void load() {
        LOG.debug("plugins={} transports={}", Images.plugins(), Transport.all());
    }

    /** As a successor, to which a keeper speaks. */
    private static int resume(
            Keep keep, BufferedReader in, PrintStream out, Function<Throwable, RemoteException> toError)
            throws IOException, InterruptedException {
        Replies.item(out, new JsonObject());
        out.flush();
        if (in.readLine() == null) {
            return 0; // not needed any more
        }
        Daemon daemon = Daemon.resume(keep, new KeeperLink(in, out), RunDirectory.ofUser(), toError);
        Libc.chdir("/");
        Replies.done(out, new JsonObject());
        announce(daemon);
        daemon.awaitEnd();
        return 0;
    }

    /** Tells the command that the files can be used, and hears from it whether that is good for anything. */
    private static void confirm(
            Daemon daemon, BufferedReader lines, PrintStream out, Function<Throwable, RemoteException> toError) {
        try {
            Replies.done(out, filesOf(daemon));
            announce(daemon);
            String line = lines.readLine();
            if (line == null) {
                LOG.warn("the command that started this daemon is gone or has failed");
                daemon.stopWhenUnused();
                return;
            }
            String loop = Replies.parse(line).getObject("item").getString("loop");
            if (loop != null) {
                daemon.attachedAs(Path.of(loop));
            }
            Replies.done(out, new JsonObject());
            out.close();
        } catch (IOException | RuntimeException e) {
            LOG.error("cannot go on", e);
            Replies.error(out, toError.apply(e));
            daemon.stopWhenUnused();
        }
    }

    private static void announce(Daemon daemon) {
        DaemonState state = daemon.state();
        LOG.info(
                "serving dir={} files={} transport={}",
                state.dir(),
                state.files().size(),
                state.transport());
    }

    private static JsonObject filesOf(Daemon daemon) {
        JsonArray files = new JsonArray();
        daemon.files().forEach(f -> files.add(f.toString()));
        JsonObject result = new JsonObject();
        result.put("files", files);
        return result;
    }
}
