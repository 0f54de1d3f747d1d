package io.ucow.cli.daemon;

import java.io.IOException;
import java.nio.file.Path;

/** Starts daemons: each is {@code bin/ucow daemon}, so that the start script alone knows how to run Java. */
public final class DaemonLauncher {
    /** The hidden verb that the start script is called with. */
    public static final String VERB = "daemon";

    private static final String SCRIPT_PROPERTY = "ucow.script";

    private final RunDirectory run;

    public DaemonLauncher(RunDirectory run) {
        this.run = run;
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
    public StartedDaemon start(MountSpec spec) throws IOException {
        ProcessBuilder command = command(VERB);
        run.create();
        Path log = run.log(spec.id());
        Process process = command.redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .start();
        StartedDaemon daemon = new StartedDaemon(process, log);
        try {
            daemon.handOver(spec);
        } catch (IOException e) {
            daemon.close();
            throw e;
        }
        return daemon;
    }
}
