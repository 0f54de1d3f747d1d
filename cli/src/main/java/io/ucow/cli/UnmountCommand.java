package io.ucow.cli;

import io.ucow.cli.daemon.CanonicalPath;
import io.ucow.cli.daemon.DaemonState;
import io.ucow.cli.daemon.Daemons;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.Mounts;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** {@code ucow unmount}: the end of {@code ucow mount}. */
@Command(
        name = "unmount",
        description = {
            "Unmount DIR and end its daemon; also cleans up when the daemon has died.",
            "If a file in DIR is in use, says so and changes nothing."
        },
        mixinStandardHelpOptions = true)
final class UnmountCommand implements Callable<Integer> {
    @Parameters(paramLabel = "DIR", description = "Where 'ucow mount' put the images.")
    private Path dir;

    @Override
    public Integer call() throws IOException {
        Daemons daemons = Daemons.ofUser();
        Optional<DaemonState> dead = daemons.findDead(dir);
        Optional<DaemonState> living = daemons.at(dir);
        if (dead.isPresent()) {
            daemons.cleanIfDead(dead.get());
        } else if (living.isPresent()) {
            daemons.stop(requireMounted(living.get()));
        } else {
            unmountUnknown();
        }
        daemons.cleanDead();
        return ExitCodes.OK;
    }

    private static DaemonState requireMounted(DaemonState daemon) throws NoSuchFileException {
        if (daemon.attached()) {
            throw new NoSuchFileException(
                    daemon.dir().toString(),
                    null,
                    "not from 'ucow mount'; it is "
                            + daemon.describe(daemon.files().get(0)));
        }
        return daemon;
    }

    /** A mount that this run directory does not know: its daemon may be another user's, or its state was lost. */
    private void unmountUnknown() throws IOException {
        Path canonical = CanonicalPath.of(dir);
        if (MountInfo.at(canonical).filter(MountInfo::isUcow).isEmpty()) {
            throw new NoSuchFileException(dir.toString(), null, "no ucow mount there; see 'ucow list'");
        }
        if (!Mounts.cleanDead(canonical)) {
            Mounts.unmount(canonical);
        }
    }
}
