package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.Consumer;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A daemon's control socket, mode 0600. A client sends requests, one JSON object with a member {@code do} on each line,
 * and reads the answer to each as {@link Replies} lays it out.
 *
 * <p>Threading: one thread accepts, each connection has its own; none keeps the daemon alive.
 */
final class ControlServer implements Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(ControlServer.class);

    /** What the daemon does about a request. */
    interface Handler {
        /**
         * Answers one request.
         *
         * @param items takes the items of the answer, if it has any; throws when there is nobody to read them
         * @return what goes into {@code done}
         */
        JsonObject answer(JsonObject request, Consumer<JsonObject> items) throws IOException;
    }

    private static final Duration LAST_ANSWER_LIMIT = Duration.ofSeconds(2);

    private final ServerSocketChannel server;
    /** Held for reading while a request is answered. */
    private final ReadWriteLock underWay = new ReentrantReadWriteLock();

    private final Handler handler;
    private final Function<Throwable, RemoteException> toError;

    /**
     * Listens from now on.
     *
     * @param toError puts a failure into the words and the exit code that the client is to have
     */
    ControlServer(Path socket, Handler handler, Function<Throwable, RemoteException> toError) throws IOException {
        this.handler = handler;
        this.toError = toError;
        this.server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        Files.deleteIfExists(socket);
        server.bind(UnixDomainSocketAddress.of(socket));
        Files.setPosixFilePermissions(socket, PosixFilePermissions.fromString("rw-------"));
        startThread("control", this::acceptAll);
    }

    private void acceptAll() {
        try {
            while (true) {
                SocketChannel client = server.accept();
                try {
                    startThread("control-client", () -> serve(client));
                } catch (OutOfMemoryError e) {
                    LOG.warn("no thread can be had: commands wait for one another", e);
                    serve(client);
                }
            }
        } catch (ClosedChannelException e) {
            LOG.debug("control socket closed");
        } catch (IOException e) {
            LOG.warn("no more commands are accepted", e);
        }
    }

    private void serve(SocketChannel client) {
        try (client;
                BufferedReader in = new BufferedReader(
                        new InputStreamReader(Channels.newInputStream(client), StandardCharsets.UTF_8));
                PrintStream out = new PrintStream(Channels.newOutputStream(client), false, StandardCharsets.UTF_8)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                answer(line, out);
            }
        } catch (IOException e) {
            LOG.debug("a command went away", e);
        }
    }

    private void answer(String line, PrintStream out) {
        underWay.readLock().lock();
        try {
            Replies.done(out, handler.answer(Replies.parse(line), item -> sendItem(out, item)));
        } catch (IOException | RuntimeException e) {
            LOG.info("refused request={}", line, e);
            Replies.error(out, toError.apply(e));
        } finally {
            underWay.readLock().unlock();
        }
    }

    /** Work for a command that went away ends here. */
    private static void sendItem(PrintStream out, JsonObject item) {
        Replies.item(out, item);
        if (out.checkError()) {
            throw new UncheckedIOException(new IOException("the command went away"));
        }
    }

    private static void startThread(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }

    /**
     * Accepts no more, and waits a moment for answers under way, so that the one to {@code stop} is not cut off.
     * Connections stay until the process ends, and tell their clients by that when it does.
     */
    @Override
    public void close() throws IOException {
        server.close();
        try {
            if (underWay.writeLock().tryLock(LAST_ANSWER_LIMIT.toMillis(), TimeUnit.MILLISECONDS)) {
                underWay.writeLock().unlock();
            } else {
                LOG.info("ending although a command has not read its answer");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
