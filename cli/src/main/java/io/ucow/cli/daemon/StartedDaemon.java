package io.ucow.cli.daemon;

import com.grack.nanojson.JsonObject;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A daemon as the command that starts it sees it: a child process at the other end of two pipes.
 *
 * <pre>
 *   command                                      daemon
 *     | -- what to serve, one line of JSON --&gt;     |  claims, opens, mounts
 *     | &lt;-------------- done, or error -----------  |
 *     | -- stay, and the loop device if any --&gt;    |  records it       } or the pipe ends, because the command
 *     | &lt;-------------- done, end of pipe --------  |                  } failed or died: unmounts and ends
 * </pre>
 */
public final class StartedDaemon implements Closeable {
    private final Process process;
    private final Path log;
    private final PrintStream out;
    private final BufferedReader in;
    private final List<Path> files = new ArrayList<>();
    private boolean staying;

    StartedDaemon(Process process, Path log) {
        this.process = process;
        this.log = log;
        this.out = new PrintStream(process.getOutputStream(), true, StandardCharsets.UTF_8);
        this.in = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    }

    void handOver(MountSpec spec) throws IOException {
        out.println(spec.toJson());
        JsonObject ready = readReply();
        ready.getArray("files").forEach(f -> files.add(Path.of((String) f)));
    }

    /** The files that can be used now, absolute, in the order they were asked for. */
    public List<Path> files() {
        return List.copyOf(files);
    }

    /** Tells the daemon to outlive this command. */
    public void stay() throws IOException {
        confirm(new JsonObject());
    }

    /** The same, and which loop device its only file is attached as. */
    public void stayAttachedAs(Path loopDevice) throws IOException {
        JsonObject message = new JsonObject();
        message.put("loop", loopDevice.toString());
        confirm(message);
    }

    private void confirm(JsonObject message) throws IOException {
        Replies.item(out, message);
        readReply();
        staying = true;
    }

    private JsonObject readReply() throws IOException {
        try {
            return Replies.read(in, item -> {});
        } catch (RemoteException e) {
            throw e;
        } catch (IOException e) {
            String where = Files.exists(log) ? "; its log is " + log : "";
            throw new IOException("the daemon ended before it was ready" + where, e);
        }
    }

    /** Lets go of the daemon. If it was not told to stay, returns when it is gone and nothing is left of it. */
    @Override
    public void close() throws IOException {
        out.close();
        in.close();
        if (staying) {
            return;
        }
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for process " + process.pid() + " to end", e);
        }
    }
}
