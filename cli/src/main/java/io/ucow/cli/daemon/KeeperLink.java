package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A daemon's line to its {@link Keeper}.
 *
 * <p>Threading: {@link #keep} or {@link #watch} first, by one thread; the rest by any.
 */
final class KeeperLink {
    private static final Logger LOG = LoggerFactory.getLogger(KeeperLink.class);

    private final BufferedReader in;
    private final PrintStream out;
    /** The keeper, where it is this process's child; else null. */
    private final Process child;
    /** The answer to the last request to be replaced; failed before the first one. Written under this. */
    private volatile CompletableFuture<Void> leave =
            CompletableFuture.failedFuture(new IllegalStateException("nobody has asked"));

    private volatile boolean released;
    /** Nothing is heard of the keeper any more: set before {@link #leave} is completed for the last time. */
    private volatile boolean gone;

    /** What a daemon does about its keeper. */
    interface Listener {
        /** A successor waits for this process to end, which it does now. Does not return. */
        void leave();

        /** The keeper has died. */
        void lost();
    }

    /** The line on standard input and output of a successor. */
    KeeperLink(BufferedReader in, PrintStream out) {
        this(in, out, null);
    }

    private KeeperLink(BufferedReader in, PrintStream out, Process child) {
        this.in = in;
        this.out = out;
        this.child = child;
    }

    /** Starts a keeper, which waits to be given something. */
    static KeeperLink launch() throws IOException {
        Process process = DaemonLauncher.command(Keeper.VERB)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        var in = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        var out = new PrintStream(process.getOutputStream(), false, StandardCharsets.UTF_8);
        return new KeeperLink(in, out, process);
    }

    /**
     * Hands the connection over; from now on this process may die.
     *
     * @return the keeper
     * @throws IOException if it could not take it; then this process must not die
     */
    ProcessId keep(Keep what, Listener listener) throws IOException {
        Replies.send(out, what.toJson());
        ProcessId keeper = ProcessId.fromJson(Replies.read(in, item -> {}));
        watch(listener);
        return keeper;
    }

    /** Listens to the keeper from now on. */
    void watch(Listener listener) {
        Thread thread = new Thread(() -> listen(listener), "keeper");
        thread.setDaemon(true);
        thread.start();
    }

    private void listen(Listener listener) {
        try {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                JsonObject message = Replies.parse(line);
                if (message.getString("do", "").equals(Keeper.LEAVE)) {
                    leave.complete(null);
                    listener.leave();
                } else {
                    leave.completeExceptionally(new RemoteException(message.getString("error"), 1));
                }
            }
        } catch (IOException e) {
            LOG.debug("the line to the keeper broke", e);
        }
        gone = true;
        leave.completeExceptionally(died());
        if (!released) {
            listener.lost();
        }
    }

    private static IOException died() {
        return new IOException("the keeper has died");
    }

    /**
     * Has a successor started, or waits for one that somebody else asked for. Returns when it is ready to take over; this
     * process ends then, as soon as requests on its control socket are answered.
     *
     * @throws IOException if there is none; this process goes on
     */
    void awaitSuccessor() throws IOException {
        try {
            askForSuccessor().get();
        } catch (ExecutionException e) {
            throw new IOException(e.getCause().getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for a successor", e);
        }
    }

    private synchronized CompletableFuture<Void> askForSuccessor() {
        if (leave.isCompletedExceptionally()) {
            leave = new CompletableFuture<>();
            if (gone) {
                leave.completeExceptionally(died());
            }
            Replies.send(out, Requests.of(Keeper.REPLACE));
        }
        return leave;
    }

    /**
     * Ends a keeper from {@link #launch} that was given nothing, or could not take it. On return it is gone, though it
     * may have been about to start.
     */
    void abandon() throws IOException {
        released = true;
        child.destroyForcibly();
        Libc.awaitExit(child.pid());
    }

    /** Ends the keeper: nothing is to be kept any more. */
    void release() {
        released = true;
        Replies.send(out, Requests.of(Keeper.RELEASE));
        out.close();
    }
}
