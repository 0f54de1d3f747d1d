package io.ucow.cli;

import io.ucow.cli.daemon.CanonicalPath;
import io.ucow.cli.daemon.Daemon;
import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.daemon.MountSpec;
import io.ucow.cli.daemon.RunDirectory;
import io.ucow.cli.daemon.StartedDaemon;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
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

/** {@code ucow mount}: images as files in a directory, served by one daemon. */
@Command(
        name = "mount",
        description = {
            "Show images as disk files in a directory: vm1.cow becomes DIR/vm1.",
            "Returns when they can be used; a daemon serves them until 'ucow unmount DIR'."
        },
        customSynopsis = {
            "ucow mount [--transport NAME] [--cache MODE] [--detect-zeroes WHEN] [--read-only] [--foreground]"
                    + " [--snapshot NAME] IMAGE... DIR",
            "       ucow mount [--transport NAME] [--cache MODE] [--detect-zeroes WHEN] [--read-only] [--foreground]"
                    + " --table FILE|- DIR"
        },
        mixinStandardHelpOptions = true)
final class MountCommand implements Callable<Integer> {
    private static final String STDIN = "-";

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

    @Option(names = "--read-only", description = "Change nothing, and refuse writes.")
    private boolean readOnly;

    @Mixin
    private SnapshotOption snapshot;

    @Option(
            names = "--foreground",
            description =
                    "Serve in this process, until unmounted or interrupted. Prints the files when they can be used.")
    private boolean foreground;

    @Option(
            names = "--table",
            paramLabel = "FILE",
            description = "Devices as device-mapper tables: START LENGTH cow IDENT BASE COWDEV CHUNK, linear, zero."
                    + " '-' reads standard input.")
    private String table;

    @Parameters(arity = "1..*", paramLabel = "IMAGE... DIR", description = "Images, and the empty directory to use.")
    private List<Path> paths;

    @Override
    public Integer call() throws IOException, InterruptedException {
        List<Path> images = new ArrayList<>(paths.subList(0, paths.size() - 1));
        if (table == null && images.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "name at least one IMAGE, and then DIR");
        }
        if (table != null && !images.isEmpty()) {
            throw new ParameterException(spec.commandLine(), "--table takes no IMAGE, only DIR");
        }
        if (table != null && snapshot.name().isPresent()) {
            throw new ParameterException(spec.commandLine(), "--snapshot is for IMAGE, not for a table");
        }
        RunDirectory run = RunDirectory.ofUser();
        MountSpec mount = mountSpec(images, CanonicalPath.of(paths.get(paths.size() - 1)));
        new Daemons(run).cleanDead(paths);
        if (foreground) {
            serve(mount, run);
        } else {
            try (StartedDaemon daemon = ucow.launcher().start(mount, run)) {
                daemon.stay();
            }
        }
        return ExitCodes.OK;
    }

    private MountSpec mountSpec(List<Path> images, Path dir) throws IOException {
        List<Path> canonical = new ArrayList<>();
        for (Path image : images) {
            ImageFiles.requireImage(image);
            canonical.add(CanonicalPath.of(image));
        }
        return new MountSpec(
                RunDirectory.idFor(dir),
                dir,
                false,
                transport.name,
                cache.mode,
                detectZeroes.isOn(),
                readOnly,
                snapshot.name(),
                canonical,
                table == null ? Optional.empty() : Optional.of(tableText()),
                STDIN.equals(table) ? "<stdin>" : String.valueOf(table));
    }

    private String tableText() throws IOException {
        if (STDIN.equals(table)) {
            return new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        }
        Path file = Path.of(table);
        ImageFiles.requireNoDirectory(file, "a table");
        return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    }

    private void serve(MountSpec mount, RunDirectory run) throws IOException, InterruptedException {
        Daemon daemon = Daemon.start(mount, run, false, ErrorLine::toRemote);
        daemon.files().forEach(spec.commandLine().getOut()::println);
        spec.commandLine().getOut().flush();
        daemon.awaitEnd();
    }
}
