package io.ucow.cli;

import io.ucow.cli.daemon.DaemonState;
import io.ucow.cli.daemon.Daemons;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code ucow restart}: another process in the place of the one that serves, for an upgrade while disks are in use. */
@Command(
        name = "restart",
        description = {
            "Replace the daemon that serves an image by a new one, of the version that is installed now.",
            "Whoever uses the disk notices nothing but a short wait. Returns when the new daemon serves."
        },
        mixinStandardHelpOptions = true)
final class RestartCommand implements Callable<Integer> {
    @Parameters(
            paramLabel = "IMAGE|DIR",
            description = "An image, the file or loop device it is served as, or a mounted directory.")
    private Path target;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<DaemonState> daemon = daemons.at(target);
        if (daemon.isEmpty()) {
            daemon = daemons.find(target).map(Daemons.Found::daemon);
        }
        daemons.restart(daemon.orElseThrow(() ->
                new NoSuchFileException(target.toString(), null, "not mounted or attached by ucow; see 'ucow list'")));
        return ExitCodes.OK;
    }
}
