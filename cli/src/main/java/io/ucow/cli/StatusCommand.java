package io.ucow.cli;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonWriter;
import io.ucow.cli.daemon.DaemonState;
import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.StatusText;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * {@code ucow status}: what devices have done since they were mounted. As JSON an array of {@code ucow list}'s objects
 * with, in addition, the components of {@link io.ucow.fuse.FileStats} by their names, {@code sizeBytes},
 * {@code readOnly}, and {@code stores}: for each image behind the device {@code image} and the components of
 * {@link io.ucow.store.DeviceStats}. With {@code --watch} one such array on a line each second.
 */
@Command(
        name = "status",
        description = "Show what devices have done: requests, bytes, latencies, copies, the state of the journal.",
        mixinStandardHelpOptions = true)
final class StatusCommand implements Callable<Integer> {
    private static final String HOME_AND_CLEAR = "\033[H\033[J";

    @Mixin
    private Output output;

    @Option(names = "--watch", description = "Show it again each second, with rates, until interrupted.")
    private boolean watch;

    @Parameters(
            arity = "0..1",
            paramLabel = "IMAGE|DIR",
            description = "An image, the file or loop device it is served as, or a mounted directory. Default: all.")
    private Path target;

    @Override
    public Integer call() throws IOException, InterruptedException {
        Daemons daemons = Daemons.ofUser();
        StatusText text = new StatusText();
        JsonArray status = collect(daemons);
        if (!watch) {
            if (output.isJson()) {
                output.json(status);
            } else {
                output.text(text.of(status));
            }
            return ExitCodes.OK;
        }
        String before = Output.isTerminal() ? HOME_AND_CLEAR : "";
        while (!output.writer().checkError()) {
            output.text(output.isJson() ? JsonWriter.string(status) + "\n" : before + text.of(status) + "\n");
            TimeUnit.SECONDS.sleep(1);
            status = collect(daemons);
        }
        return ExitCodes.OK; // whoever read it has seen enough
    }

    /** @throws NoSuchFileException when the target, or on a watch the last of all, is gone */
    private JsonArray collect(Daemons daemons) throws IOException {
        JsonArray status = new JsonArray();
        if (target == null) {
            for (DaemonState daemon : daemons.living()) {
                daemons.status(daemon, status::add);
            }
            return status;
        }
        Optional<DaemonState> directory = daemons.at(target);
        if (directory.isPresent()) {
            daemons.status(directory.get(), status::add);
            return status;
        }
        Daemons.Found found = daemons.find(target)
                .orElseThrow(() -> new NoSuchFileException(
                        target.toString(), null, "not mounted or attached by ucow; see 'ucow list'"));
        String file = found.daemon().dir().resolve(found.file().name()).toString();
        daemons.status(found.daemon(), json -> {
            if (json.getString("file").equals(file)) {
                status.add(json);
            }
        });
        return status;
    }
}
