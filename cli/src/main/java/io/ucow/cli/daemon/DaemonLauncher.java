package io.ucow.cli.daemon;

import io.ucow.sys.Libc;
import io.ucow.sys.LibcLoader;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Starts daemons: each is {@code bin/ucow daemon}, so that the start script alone knows how to run Java.
 *
 * <p>Threading: one thread.
 */
public final class DaemonLauncher implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(DaemonLauncher.class);

    /** The hidden verb that the start script is called with. */
    public static final String VERB = "daemon";

    private static final String SCRIPT_PROPERTY = "ucow.script";

    /** Becomes a process that waits to be told what to serve; null if there is none. */
    private FutureTask<Process> prepared;

    /** What {@link #start} started; null as long as that is nothing. */
    private Process started;

    /**
     * Starts a process before it is known what it is to serve, so that it has loaded what it needs by then. The caller
     * does not wait. {@link #close} ends it if nothing was asked of it.
     */
    public void prepare() {
        prepared = new FutureTask<>(DaemonLauncher::launch);
        new Thread(prepared, "launching").start();
    }

    /** A process of the start script that this one was started by. */
    static ProcessBuilder command(String verb) throws IOException {
        String script = System.getProperty(SCRIPT_PROPERTY);
        if (script == null) {
            throw new IOException("a daemon can only be started by bin/ucow (-D" + SCRIPT_PROPERTY + " is not set)");
        }
        return new ProcessBuilder(script, verb);
    }

    /**
     * Starts a daemon and returns when its files can be used. It ends again unless it is told to stay.
     *
     * @throws RemoteException what kept it from starting; nothing is left of it
     */
    public StartedDaemon start(MountSpec spec, RunDirectory run) throws IOException {
        run.create();
        started = takePrepared();
        LibcLoader.loadBeside(); // for what the caller does next, with a loop device or exit
        StartedDaemon daemon = new StartedDaemon(started, run.log(spec.id()));
        try {
            daemon.handOver(spec);
        } catch (IOException e) {
            daemon.close();
            throw e;
        }
        return daemon;
    }

    /** A process that says to this one's standard error what goes wrong before it has a log. */
    private static Process launch() throws IOException {
        return command(VERB).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    private Process takePrepared() throws IOException {
        FutureTask<Process> launching = prepared;
        prepared = null;
        if (launching == null) {
            return launch();
        }
        try {
            return launching.get();
        } catch (ExecutionException e) {
            throw new IOException(e.getCause().getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (IOException) new InterruptedIOException("interrupted while a daemon starts").initCause(e);
        }
    }

    /**
     * Ends this process. Nothing is flushed if a daemon stays: at its usual end a JVM would wait 0.3 s for threads in
     * native code, and {@link Process} has one that waits for the daemon.
     */
    public void exit(int code) {
        if (started != null && started.isAlive()) {
            Libc.exit(code);
        }
        System.exit(code);
    }

    /** On return a process that was prepared and not used is gone. */
    @Override
    public void close() {
        if (prepared == null) {
            return;
        }
        try {
            takePrepared().destroyForcibly().waitFor();
        } catch (IOException e) {
            LOG.debug("no daemon was prepared, and none was needed", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
