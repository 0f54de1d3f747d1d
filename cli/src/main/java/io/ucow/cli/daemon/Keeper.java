package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A small process beside each daemon that can be succeeded. It holds duplicates of the daemon's connection to the
 * kernel, so that the mount and every unanswered request outlive the daemon, and when the daemon dies starts another
 * one, which serves on. Whoever uses the files only sees them take longer.
 *
 * <pre>
 *   daemon                                   keeper                                  successor
 *     | -- Keep ------------------------------&gt; |  takes duplicates
 *     | &lt;----------------------------- done --- |
 *     |                                         |
 *     x  dies, or                               |
 *     | -- replace ---------------------------&gt; | -- Keep -----------------------------&gt; |  loads its classes
 *     |                                         | &lt;------------------------- item ------- |
 *     | &lt;---------------------------- leave --- |                                         |
 *     x                                         | -- go --------------------------------&gt; |  opens, takes over, resends
 *                                               | &lt;------------------------- done ------- |
 *                                               | &lt;---------------------- release ------- |  when it has unmounted
 *                                               x                                         x
 * </pre>
 *
 * <p>A successor that fails is tried again a few times, later each time. Then the keeper ends, and with its duplicates
 * the connection: every request fails at once with an I/O error, none hangs.
 *
 * <p>Threading: one thread.
 */
public final class Keeper {
    /** The hidden verb that the start script is called with. */
    public static final String VERB = "keeper";

    /** Requests of a daemon, and what it is told. */
    static final String REPLACE = "replace", RELEASE = "release", LEAVE = "leave";

    /** First line to a successor has this member with a {@link Keep}. */
    static final String RESUME = "resume";

    private static final Logger LOG = LoggerFactory.getLogger(Keeper.class);
    static final int ATTEMPTS = 8;
    private static final Duration FIRST_PAUSE = Duration.ofMillis(100), LONGEST_PAUSE = Duration.ofSeconds(5);
    /** A daemon that died sooner than this after it was ready did not serve: perhaps one request kills them all. */
    private static final Duration SERVED = Duration.ofMillis(200);

    private final Keep kept;
    private final Duration firstPause;
    private Line daemon;
    /** Daemons in a row that did not serve. */
    private int failures;

    /** The pipes to a daemon. */
    private record Line(long pid, BufferedReader in, PrintStream out, long readyNanos) {
        static Line of(long pid, InputStream in, PrintStream out) {
            var lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
            return new Line(pid, lines, out, System.nanoTime());
        }
    }

    private Keeper(Keep kept, Line daemon, Duration firstPause) {
        this.kept = kept;
        this.firstPause = firstPause;
        this.daemon = daemon;
    }

    /**
     * Keeps what the daemon at the other end of the pipes hands over, until it is released or gives up.
     *
     * @return the process's exit code
     */
    public static int run(InputStream in, PrintStream out) throws IOException, InterruptedException {
        return run(in, out, FIRST_PAUSE);
    }

    /** @param firstPause before the second successor is tried; each later one is twice as long, up to a limit */
    static int run(InputStream in, PrintStream out, Duration firstPause) throws IOException, InterruptedException {
        var lines = new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8));
        String first = lines.readLine();
        if (first == null) {
            return 0; // the mount did not come about
        }
        Keep given = Keep.fromJson(Replies.parse(first));
        Keep kept = given.heldBy(given.handover().take());
        Libc.chdir("/");
        Replies.done(out, ProcessId.current().toJson());
        var keeper = new Keeper(kept, new Line(given.handover().pid(), lines, out, System.nanoTime()), firstPause);
        return keeper.keep() ? 0 : 1;
    }

    /** @return false if it gave up */
    private boolean keep() throws IOException, InterruptedException {
        while (true) {
            String line = daemon.in().readLine();
            String request = line == null ? "" : Replies.parse(line).getString("do", "");
            switch (request) {
                case RELEASE -> {
                    return true;
                }
                case REPLACE -> replace();
                default -> {
                    if (line == null && !succeed()) {
                        return false;
                    }
                }
            }
        }
    }

    /** The daemon has died, or is about to: its end of the pipe is closed. */
    private boolean succeed() throws IOException, InterruptedException {
        Libc.awaitExit(daemon.pid()); // only then are its locks gone, and its last system calls over
        LOG.warn("daemon died pid={} dir={}", daemon.pid(), kept.spec().dir());
        boolean served = System.nanoTime() - daemon.readyNanos() > SERVED.toNanos();
        failures = served ? 0 : failures + 1;
        while (failures < ATTEMPTS) {
            pause();
            try {
                go(start());
                return true;
            } catch (IOException e) {
                failures++;
                LOG.warn("no successor, attempt={} of={}", failures, ATTEMPTS, e);
            }
        }
        LOG.error(
                "giving up: requests to {} fail from now on; clean up with 'ucow unmount' or 'ucow detach'",
                kept.spec().dir());
        return false;
    }

    private void pause() throws InterruptedException {
        if (failures > 0) {
            long millis = firstPause.toMillis() << (failures - 1);
            TimeUnit.MILLISECONDS.sleep(Math.min(millis, LONGEST_PAUSE.toMillis()));
        }
    }

    /** Puts a successor in the place of a daemon that is well: it is ready to go on before that one leaves. */
    private void replace() throws IOException, InterruptedException {
        Line successor;
        try {
            successor = start();
        } catch (IOException e) {
            LOG.warn("no successor, the daemon stays", e);
            Replies.error(daemon.out(), new RemoteException("no successor could be started: " + e.getMessage(), 1));
            return;
        }
        Replies.send(daemon.out(), Requests.of(LEAVE));
        Libc.awaitExit(daemon.pid());
        try {
            go(successor);
            LOG.info("daemon replaced pid={} dir={}", daemon.pid(), kept.spec().dir());
        } catch (IOException e) {
            LOG.warn("the successor failed, and another one is tried", e); // once the end of the line is read
        }
    }

    /** A process that is ready to take over. */
    private Line start() throws IOException {
        JsonObject message = new JsonObject();
        message.put(RESUME, kept.toJson());
        ProcessBuilder builder = DaemonLauncher.command(DaemonLauncher.VERB);
        if (Files.isDirectory(kept.workingDirectory())) {
            builder.directory(kept.workingDirectory().toFile());
        }
        Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
        var out = new PrintStream(process.getOutputStream(), false, StandardCharsets.UTF_8);
        Line line = Line.of(process.pid(), process.getInputStream(), out);
        Replies.send(line.out(), message);
        String warm = line.in().readLine();
        if (warm == null) {
            throw new IOException("process " + line.pid() + " ended before it could take over");
        }
        return line;
    }

    /** Lets a successor serve. */
    private void go(Line successor) throws IOException {
        Replies.send(successor.out(), new JsonObject());
        Replies.read(successor.in(), item -> {});
        daemon = new Line(successor.pid(), successor.in(), successor.out(), System.nanoTime());
    }
}
