package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import com.grack.nanojson.JsonWriter;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/** A command's connection to a daemon's control socket. See {@link ControlServer} for what can be asked. */
public final class ControlClient implements Closeable {
    private final DaemonState daemon;
    private final SocketChannel channel;
    private final BufferedReader in;

    private ControlClient(DaemonState daemon, SocketChannel channel) {
        this.daemon = daemon;
        this.channel = channel;
        this.in = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), StandardCharsets.UTF_8));
    }

    /**
     * Connects to a daemon.
     *
     * @throws IOException naming the daemon, if it does not listen
     */
    public static ControlClient connect(RunDirectory run, DaemonState daemon) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(run.socket(daemon.id())));
        } catch (IOException e) {
            channel.close();
            throw failure(daemon, e);
        }
        return new ControlClient(daemon, channel);
    }

    /** Asks for something that has one answer. */
    public JsonObject ask(JsonObject request) throws IOException {
        return ask(request, item -> {
            throw new IllegalStateException("unexpected item " + item);
        });
    }

    /**
     * Asks for something whose answer comes in items.
     *
     * @param items takes each as it comes
     * @throws RemoteException if the daemon refuses or fails
     */
    public JsonObject ask(JsonObject request, Consumer<JsonObject> items) throws IOException {
        ByteBuffer line = ByteBuffer.wrap((JsonWriter.string(request) + '\n').getBytes(StandardCharsets.UTF_8));
        try {
            while (line.hasRemaining()) {
                channel.write(line);
            }
            return Replies.read(in, items);
        } catch (RemoteException e) {
            throw e;
        } catch (IOException e) {
            throw failure(daemon, e);
        }
    }

    private static IOException failure(DaemonState daemon, IOException cause) {
        return new IOException(
                "no answer from the daemon of " + daemon.dir() + ", process "
                        + daemon.process().pid() + ": " + cause.getMessage(),
                cause);
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
