package io.ucow.cli;

import io.ucow.cli.daemon.Keeper;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** What a daemon starts, so that it can die; not for people. */
@Command(name = Keeper.VERB, hidden = true)
final class KeeperCommand implements Callable<Integer> {
    @Override
    public Integer call() throws IOException, InterruptedException {
        Logging.ofDaemon();
        return Keeper.run(System.in, System.out);
    }
}
