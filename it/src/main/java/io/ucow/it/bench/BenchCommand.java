package io.ucow.it.bench;

import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.Sizes;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code bin/bench}. */
@Command(
        name = "bench",
        description = {
            "Compare ucow with its peers on this machine: the same jobs, through the same kind of loop device, in turn.",
            "Prints medians of the rounds and ratios within them, as Markdown. Needs root."
        },
        mixinStandardHelpOptions = true,
        footer = {
            "",
            "Targets: native (a raw copy under a loop device), qemu and qemu-ext (qemu-storage-daemon's FUSE export of a",
            "qcow2 overlay), nbdkit (cow filter, nbdfuse), xmount, pass-through (a raw copy through ucow's transport direct),",
            "ucow-jnr, ucow-direct, ucow-qcow2 (an overlay as qemu's); for the jobs on stores, store-plain, store-lz4 and",
            "store-checksums. Those that are not installed are left out. All data fits in the page cache. The defaults take",
            "about half an hour.",
            "",
            "bin/bench --engine [JMH's options] measures the engine alone."
        })
public final class BenchCommand implements Callable<Integer> {
    private static final long MIN_SIZE = 128 << 20;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--rounds",
            paramLabel = "N",
            defaultValue = "3",
            description = "How often to measure everything. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "2",
            description = "How long each timed job runs. Default: ${DEFAULT-VALUE}.")
    private int seconds;

    @Option(
            names = "--size",
            paramLabel = "SIZE",
            defaultValue = "1G",
            description = "The base's size, a multiple of 1M, 128M or more. Default: ${DEFAULT-VALUE}.")
    private String size;

    @Option(
            names = "--jobs",
            paramLabel = "GLOB",
            split = ",",
            defaultValue = "*",
            description = "Only these, such as 'read-*,bonnie'. Default: all.")
    private List<String> jobGlobs;

    @Option(
            names = "--targets",
            paramLabel = "GLOB",
            split = ",",
            defaultValue = "*",
            description = "Only these, such as 'native,ucow-*'. Default: all.")
    private List<String> targetGlobs;

    @Option(names = "--json", paramLabel = "FILE", description = "Write every sample, and the rest, as JSON.")
    private Path json;

    @Option(names = "--svg", paramLabel = "FILE", description = "Draw the ratios to native.")
    private Path svg;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            defaultValue = "${sys:java.io.tmpdir}",
            description = "Where to keep the files meanwhile. Default: ${DEFAULT-VALUE}.")
    private Path dir;

    /** Runs the benchmark and ends the process. */
    public static void main(String[] arguments) {
        CommandLine command = new CommandLine(new BenchCommand())
                .setExecutionExceptionHandler((failure, line, parsed) -> {
                    line.getErr().println("bench: " + failure.getMessage());
                    return 1;
                });
        System.exit(command.execute(arguments));
    }

    @Override
    public Integer call() throws IOException {
        long sizeBytes = sizeBytes();
        List<Job> jobs = selected(Job.ALL, Job::name, jobGlobs, "job");
        Map<String, String> skipped = new LinkedHashMap<>();
        List<Target> targets = usable(skipped);
        Results results = measure(targets, jobs, sizeBytes);
        System.out.println(new MarkdownReport(results, skipped));
        if (json != null) {
            Files.writeString(json, JsonReport.of(results, skipped, settings(sizeBytes)));
        }
        if (svg != null) {
            Files.writeString(svg, new SvgPlot(results).toString());
        }
        return 0;
    }

    private long sizeBytes() {
        long bytes;
        try {
            bytes = Sizes.parse(size);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
        if (bytes < MIN_SIZE || bytes % (1 << 20) != 0) {
            throw new ParameterException(spec.commandLine(), "--size takes a multiple of 1M, 128M or more");
        }
        return bytes;
    }

    private List<Target> usable(Map<String, String> skipped) throws IOException {
        List<Target> usable = new ArrayList<>();
        List<Target> all = Targets.all(Path.of(System.getProperty("ucow.bin")));
        for (Target target : selected(all, Target::name, targetGlobs, "target")) {
            Optional<String> missing = target.missing();
            if (missing.isEmpty()) {
                usable.add(target);
            } else {
                skipped.put(target.name(), missing.get());
                System.err.println("bench: without " + target.name() + ": " + missing.get());
            }
        }
        return usable;
    }

    private <T> List<T> selected(List<T> all, Function<T, String> name, List<String> globs, String what) {
        List<T> selected = new ArrayList<>();
        List<PathMatcher> matchers = globs.stream()
                .map(glob -> FileSystems.getDefault().getPathMatcher("glob:" + glob))
                .toList();
        for (T one : all) {
            Path path = Path.of(name.apply(one));
            if (matchers.stream().anyMatch(matcher -> matcher.matches(path))) {
                selected.add(one);
            }
        }
        if (selected.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "no " + what + " is called " + String.join(",", globs) + "; there are "
                            + String.join(", ", all.stream().map(name).toList()));
        }
        return selected;
    }

    private Results measure(List<Target> targets, List<Job> jobs, long sizeBytes) throws IOException {
        Scratch scratch = Scratch.in(dir);
        Thread onSignal = new Thread(scratch::close, "clean-up");
        Runtime.getRuntime().addShutdownHook(onSignal);
        try {
            System.err.println("Writing a base of " + Sizes.format(sizeBytes));
            scratch.writeBase(sizeBytes);
            if (jobs.stream().anyMatch(job -> job.stage().hasTree())) {
                scratch.writeTree(sizeBytes);
            }
            return new Runner(scratch, targets, jobs, seconds, sizeBytes, System.err).run(rounds);
        } finally {
            scratch.close();
        }
    }

    private JsonObject settings(long sizeBytes) {
        JsonObject settings = new JsonObject();
        settings.put("rounds", rounds);
        settings.put("seconds", seconds);
        settings.put("sizeBytes", sizeBytes);
        settings.put("kernel", System.getProperty("os.version"));
        settings.put("cpus", Runtime.getRuntime().availableProcessors());
        settings.put("java", System.getProperty("java.version"));
        return settings;
    }
}
