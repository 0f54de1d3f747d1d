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

/** {@code ucow detach}: the end of {@code ucow attach}. */
@Command(
        name = "detach",
        description = {
            "Take the loop device off an image and end its daemon; also cleans up when the daemon has died.",
            "If the device is in use, says by whom and changes nothing."
        },
        mixinStandardHelpOptions = true)
final class DetachCommand implements Callable<Integer> {
    @Parameters(paramLabel = "IMAGE|/dev/loopN", description = "What 'ucow attach' was given, or what it printed.")
    private Path target;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<DaemonState> dead = daemons.findDead(target);
        if (dead.isPresent()) {
            daemons.cleanIfDead(dead.get());
        } else {
            detach(daemons);
        }
        daemons.cleanDead();
        return ExitCodes.OK;
    }

    private void detach(Daemons daemons) throws IOException {
        Daemons.Found found = daemons.find(target)
                .orElseThrow(() ->
                        new NoSuchFileException(target.toString(), null, "not attached by ucow; see 'ucow list'"));
        if (!found.daemon().attached()) {
            throw new NoSuchFileException(
                    target.toString(),
                    null,
                    "not attached, but " + found.daemon().describe(found.file()));
        }
        daemons.detach(found);
    }
}
