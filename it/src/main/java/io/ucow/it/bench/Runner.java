package io.ucow.it.bench;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Runs the jobs. Within a round all targets go through one stage before any goes through the next; who is first changes
 * from round to round. What fails on one target is noted, and the run goes on.
 *
 * <p>Threading: one thread.
 */
final class Runner {
    /** A job of a fixed amount may be this slow before it is given up, whatever the target. */
    private static final Duration FIXED_LIMIT = Duration.ofMinutes(3);

    private static final int MIB = 1 << 20;

    private final Scratch scratch;
    private final List<Target> targets;
    private final List<Job> jobs;
    private final int seconds;
    private final long sizeBytes;
    private final Results results;
    private final PrintStream progress;

    /**
     * @param jobs those asked for, in their order in {@link Job#ALL}
     * @param seconds how long a timed job runs
     * @param sizeBytes the base's size
     * @param progress gets a line for each job
     */
    Runner(Scratch scratch, List<Target> targets, List<Job> jobs, int seconds, long sizeBytes, PrintStream progress) {
        this.scratch = scratch;
        this.targets = targets;
        this.jobs = jobs;
        this.seconds = seconds;
        this.sizeBytes = sizeBytes;
        this.results = new Results(targets, jobs);
        this.progress = progress;
    }

    /** Runs everything {@code rounds} times. The base has been written. */
    Results run(int rounds) throws IOException {
        for (int round = 1; round <= rounds; round++) {
            List<Target> order = new ArrayList<>(targets);
            Collections.rotate(order, 1 - round);
            for (Stage stage : Stage.values()) {
                List<Job> selected =
                        jobs.stream().filter(job -> job.stage() == stage).toList();
                if (!selected.isEmpty()) {
                    for (Target target : order) {
                        if (stage.isOfStores() != (target.family() == Target.Family.STORE)) {
                            continue;
                        }
                        if (stage == Stage.MOVED) {
                            runMoves(selected, target, round);
                        } else if (stage == Stage.COMPRESSED) {
                            runCompressions(selected, target, round);
                        } else {
                            runStage(stage, selected, target, round);
                        }
                    }
                }
            }
        }
        return results;
    }

    private void runStage(Stage stage, List<Job> selected, Target target, int round) throws IOException {
        scratch.settle(0);
        List<Job> open = new ArrayList<>(selected);
        try (Attachment attachment = stage == Stage.TREE ? target.attachTree(scratch) : target.attach(scratch)) {
            if (stage == Stage.ALTERED && !selected.contains(Job.FILL)) {
                fio(Job.FILL, attachment.device());
            }
            if (stage == Stage.FILLED && !selected.contains(Job.STORE_FILL)) {
                fio(Job.STORE_FILL, attachment.device());
            }
            for (Job job : selected) {
                runJob(job, attachment.device(), target, round);
                open.remove(job);
            }
        } catch (IOException e) {
            // Either there is no device, and no job has run; or it cannot be ended, and what has run counts.
            open.forEach(job -> fail(job, target, round, e));
            if (open.isEmpty()) {
                progress.println("bench: " + target.name() + ": " + e.getMessage());
            }
        }
    }

    /** Each job moves the same data: half of the disk's, between holes, over a base that is a hole. */
    private void runMoves(List<Job> selected, Target target, int round) throws IOException {
        if (!target.moves()) {
            return;
        }
        Path data = scratch.path("data.img");
        for (Job job : selected) {
            Path base = scratch.path("empty.img");
            Movable moved = null;
            try {
                scratch.program("truncate", "--size=" + job.scale() * sizeBytes, base)
                        .run();
                long bytes = writeData(data, job.scale());
                moved = target.overlay(scratch, base, data);
                scratch.settle(bytes);
                double seconds =
                        job.flattens() ? seconds(moved.flatten(), scratch.out()) : seconds(moved.commit(), base);
                add(job.metrics().get(0), target, round, Sample.of(bytes / seconds / 1e6));
            } catch (IOException e) {
                fail(job, target, round, e);
            } finally {
                Files.deleteIfExists(scratch.out());
                Files.deleteIfExists(base);
                Files.deleteIfExists(data);
                if (moved != null) {
                    Files.deleteIfExists(moved.file());
                }
            }
        }
    }

    private void runCompressions(List<Job> selected, Target target, int round) throws IOException {
        for (Job job : selected) {
            try {
                Program program = target.compress(scratch, job.codec()).orElse(null);
                if (program != null) {
                    scratch.settle(sizeBytes);
                    double seconds = seconds(program, scratch.out());
                    add(job.metrics().get(0), target, round, Sample.of(sizeBytes / seconds / 1e6));
                    add(job.metrics().get(1), target, round, Sample.of(scratch.takenBytes(scratch.out()) / 1e6));
                }
            } catch (IOException e) {
                fail(job, target, round, e);
            } finally {
                Files.deleteIfExists(scratch.out());
            }
        }
    }

    /** Until what it has written is on disk: not every program sees to that itself. */
    private double seconds(Program program, Path written) throws IOException {
        long before = System.nanoTime();
        program.within(FIXED_LIMIT).run();
        scratch.program("sync", written).within(FIXED_LIMIT).run();
        return (System.nanoTime() - before) / 1e9;
    }

    /** Every other mebibyte of the base, time and again, with holes in between. @return bytes in it */
    private long writeData(Path data, int times) throws IOException {
        scratch.program("truncate", "--size=" + times * sizeBytes, data).run();
        long written = 0;
        try (FileChannel from = FileChannel.open(scratch.base(), StandardOpenOption.READ);
                FileChannel to = FileChannel.open(data, StandardOpenOption.WRITE)) {
            for (long at = 0; at < times * sizeBytes; at += 2 * MIB) {
                to.position(at);
                for (int done = 0; done < MIB; ) {
                    done += (int) from.transferTo(at % sizeBytes + done, MIB - done, to);
                }
                written += MIB;
            }
        }
        return written;
    }

    private void runJob(Job job, Path device, Target target, int round) throws IOException {
        scratch.settle(sizeBytes);
        try {
            if (job.equals(Job.BONNIE)) {
                bonnie(device).forEach((metric, sample) -> add(metric, target, round, sample));
            } else if (job.equals(Job.TREE_SPACE)) {
                add(job.metrics().get(0), target, round, Sample.of(target.takenBytes(scratch) / 1e6));
            } else {
                add(job.metrics().get(0), target, round, fio(job, device));
            }
        } catch (IOException e) {
            fail(job, target, round, e);
        }
    }

    private void add(Metric metric, Target target, int round, Sample sample) {
        results.add(metric, target, round, sample);
        progress.printf(
                Locale.ROOT,
                "round %d  %-12s  %-22s %10.0f %s%n",
                round,
                target.name(),
                metric.name(),
                sample.rate(),
                metric.unit().label());
    }

    private void fail(Job job, Target target, int round, IOException reason) {
        results.addFailure(job, target, reason.getMessage());
        progress.printf("round %d  %-12s  %-22s failed: %s%n", round, target.name(), job.name(), reason.getMessage());
    }

    private Sample fio(Job job, Path device) throws IOException {
        Path json = scratch.path("fio.json");
        List<Object> arguments = new ArrayList<>(List.of(
                "--name=" + job.name(),
                "--filename=" + device,
                "--direct=1",
                "--ioengine=libaio",
                "--output-format=json",
                "--output=" + json));
        arguments.addAll(job.options());
        if (job.timed()) {
            arguments.add("--time_based");
            arguments.add("--runtime=" + seconds);
        }
        scratch.program("fio", arguments.toArray())
                .within(FIXED_LIMIT.plusSeconds(seconds))
                .run();
        return FioOutput.parse(Files.readString(json), job.unit());
    }

    /**
     * On an ext4 that does nothing in the background. It is made with direct I/O, one write at a time: QEMU 7.2's FUSE
     * export loses data of writes that it gets at the same time (probably what QEMU's change "fuse: Copy write buffer
     * content before polling" mends), and a file system made otherwise cannot even be mounted.
     */
    private Map<Metric, Sample> bonnie(Path device) throws IOException {
        scratch.program("mkfs.ext4", "-q", "-F", "-D", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
                .run();
        Path dir = Files.createDirectory(scratch.path("mnt"));
        try {
            scratch.program("mount", device, dir).run();
        } catch (IOException e) {
            Files.delete(dir);
            throw e;
        }
        try {
            long mebibytes = sizeBytes / 4 * 3 / MIB;
            // It wants twice the memory's size; told that there is less, it takes what fits the page cache.
            String csv = scratch.program(
                            "bonnie++", "-q", "-u", "root", "-d", dir, "-s", mebibytes, "-r", mebibytes / 2, "-n", 16)
                    .within(FIXED_LIMIT)
                    .run();
            return BonnieCsv.parse(csv);
        } finally {
            scratch.program("umount", dir).run();
            Files.delete(dir);
        }
    }
}
