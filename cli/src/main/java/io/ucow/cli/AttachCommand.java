package io.ucow.cli;

import io.ucow.cli.daemon.CanonicalPath;
import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.daemon.MountSpec;
import io.ucow.cli.daemon.RunDirectory;
import io.ucow.cli.daemon.StartedDaemon;
import io.ucow.loop.LoopControl;
import io.ucow.loop.LoopDevice;
import io.ucow.loop.LoopOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** {@code ucow attach}: an image as a loop device, in one step. */
@Command(
        name = "attach",
        description = {
            "Make a block device of an image: print /dev/loopN, and nothing else.",
            "Returns when it can be used; a daemon serves it until 'ucow detach'."
        },
        mixinStandardHelpOptions = true)
final class AttachCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @ParentCommand
    private UcowCli ucow;

    @Mixin
    private TransportOption transport;

    @Mixin
    private CacheOption cache;

    @Mixin
    private DetectZeroesOption detectZeroes;

    @Option(
            names = {"-r", "--read-only"},
            description = "Change nothing, and refuse writes.")
    private boolean readOnly;

    @Option(
            names = "--no-direct-io",
            negatable = false,
            description = "Let the loop device keep the data in the page cache a second time.")
    private boolean noDirectIo;

    @Option(
            names = {"-P", "--partscan"},
            description = "Offer the partitions of the disk as /dev/loopNpM.")
    private boolean partitionScan;

    @Mixin
    private SnapshotOption snapshot;

    @Option(
            names = {"-b", "--sector-size"},
            paramLabel = "N",
            defaultValue = "0",
            description = "Logical sector size of the device in bytes. Default: the kernel's choice, 512 mostly.")
    private int sectorBytes;

    @Parameters(paramLabel = "IMAGE", description = "The image.")
    private Path image;

    @Override
    public Integer call() throws IOException {
        LoopOptions options = loopOptions();
        ImageFiles.requireImage(image);
        RunDirectory run = RunDirectory.ofUser();
        new Daemons(run).cleanDead(List.of(image));
        try (StartedDaemon daemon = ucow.launcher().start(mountSpec(run), run)) {
            LoopDevice loop = LoopControl.attach(daemon.files().get(0), options);
            try {
                daemon.stayAttachedAs(loop.path());
            } catch (IOException e) {
                loop.detach();
                throw e;
            }
            spec.commandLine().getOut().println(loop.path());
        }
        return ExitCodes.OK;
    }

    private LoopOptions loopOptions() {
        try {
            return LoopOptions.defaults()
                    .withReadOnly(readOnly || snapshot.name().isPresent())
                    .withDirectIo(!noDirectIo)
                    .withPartitionScan(partitionScan)
                    .withSectorBytes(sectorBytes);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }

    private MountSpec mountSpec(RunDirectory run) throws IOException {
        Path canonical = CanonicalPath.of(image);
        String id = RunDirectory.idFor(canonical);
        return new MountSpec(
                id,
                run.mountPoint(id),
                true,
                transport.name,
                cache.mode,
                detectZeroes.isOn(),
                readOnly,
                snapshot.name(),
                List.of(canonical),
                Optional.empty(),
                "");
    }
}
