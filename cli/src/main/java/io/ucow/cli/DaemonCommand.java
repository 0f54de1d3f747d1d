package io.ucow.cli;

import io.ucow.cli.daemon.DaemonLauncher;
import io.ucow.cli.daemon.DaemonMain;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** What {@link DaemonLauncher} starts; not for people. */
@Command(name = DaemonLauncher.VERB, hidden = true)
final class DaemonCommand implements Callable<Integer> {
    @Override
    public Integer call() throws IOException, InterruptedException {
        Logging.ofDaemon();
        return DaemonMain.run(System.in, System.out, ErrorLine::toRemote);
    }
}
