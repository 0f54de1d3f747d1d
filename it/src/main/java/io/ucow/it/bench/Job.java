package io.ucow.it.bench;

import java.util.List;
import java.util.stream.Stream;

/**
 * One thing to measure.
 *
 * @param name what {@code --jobs} selects
 * @param stage what it finds
 * @param unit of its rate
 * @param timed whether it runs for the seconds that were asked for; else until it has done a fixed amount
 * @param options fio's, but for those that all jobs have; empty for what is not fio's
 */
record Job(String name, Stage stage, Unit unit, boolean timed, List<String> options) {
    static final Job FILL =
            new Job("fill-1m", Stage.ALTERED, Unit.MEGABYTES, false, List.of("--rw=write", "--bs=1M", "--iodepth=4"));
    static final Job BONNIE = new Job(BonnieCsv.JOB, Stage.FILE_SYSTEM, Unit.KIBIBYTES, false, List.of());

    /** What half can be saved of: random bytes, and as many zeros. */
    private static final List<String> COMPRESSIBLE =
            List.of("--buffer_compress_percentage=50", "--buffer_compress_chunk=4k", "--refill_buffers");

    static final Job STORE_FILL = new Job(
            "store-fill-1m",
            Stage.FILLED,
            Unit.MEGABYTES,
            false,
            concat(List.of("--rw=write", "--bs=1M", "--iodepth=4"), COMPRESSIBLE));
    static final Job TREE_SPACE = new Job("tree-space", Stage.TREE, Unit.TAKEN, false, List.of());

    static final Job FLATTEN = moving("flatten");
    static final Job COMMIT = moving("commit");
    /** With so much data that the start of a program does not count. */
    static final Job FLATTEN_LARGE = moving("flatten-large"), COMMIT_LARGE = moving("commit-large");

    private static final int LARGE = 4;
    /** Before the codec's name. */
    private static final String COMPRESS = "compress-";

    /** In the order in which each stage runs them. fio's random map is on: no block is written twice before all were. */
    static final List<Job> ALL = List.of(
            random("read-4k-qd16", Stage.UNALTERED, "--rw=randread", "--iodepth=16"),
            random("read-4k-qd1", Stage.UNALTERED, "--rw=randread", "--iodepth=1"),
            sequential("read-1m", Stage.UNALTERED, "--rw=read"),
            new Job(
                    "first-write-4k-qd16",
                    Stage.UNALTERED,
                    Unit.IOPS,
                    false,
                    List.of("--rw=randwrite", "--bs=4k", "--iodepth=16", "--io_size=64M")),
            FILL,
            random("rewrite-4k-qd16", Stage.ALTERED, "--rw=randwrite", "--iodepth=16"),
            random("rewrite-4k-qd1", Stage.ALTERED, "--rw=randwrite", "--iodepth=1"),
            random("mix-70-30-4k-qd16", Stage.ALTERED, "--rw=randrw", "--rwmixread=70", "--iodepth=16"),
            sequential("rewrite-1m", Stage.ALTERED, "--rw=write"),
            random("write-4k-fsync", Stage.ALTERED, "--rw=randwrite", "--iodepth=1", "--fsync=1"),
            BONNIE,
            TREE_SPACE,
            random("tree-read-4k-qd16", Stage.TREE, "--rw=randread", "--iodepth=16"),
            random("tree-read-4k-qd1", Stage.TREE, "--rw=randread", "--iodepth=1"),
            sequential("tree-read-1m", Stage.TREE, "--rw=read"),
            STORE_FILL,
            // In the first quarter, while the rest, ten seconds after it was written, is packed.
            new Job(
                    "packing-write-4k-qd16",
                    Stage.FILLED,
                    Unit.IOPS,
                    true,
                    concat(
                            List.of("--rw=randwrite", "--bs=4k", "--iodepth=16", "--size=25%", "--ramp_time=10"),
                            COMPRESSIBLE)),
            FLATTEN,
            COMMIT,
            FLATTEN_LARGE,
            COMMIT_LARGE,
            compressing("zlib"),
            compressing("zstd"));

    private static Job random(String name, Stage stage, String... options) {
        return new Job(name, stage, Unit.IOPS, true, concat(List.of("--bs=4k"), List.of(options)));
    }

    private static Job sequential(String name, Stage stage, String option) {
        return new Job(name, stage, Unit.MEGABYTES, true, List.of("--bs=1M", "--iodepth=4", option));
    }

    private static Job moving(String name) {
        return new Job(name, Stage.MOVED, Unit.MEGABYTES, false, List.of());
    }

    private static Job compressing(String codec) {
        return new Job(COMPRESS + codec, Stage.COMPRESSED, Unit.MEGABYTES, false, List.of());
    }

    /** Of a job that compresses: with what. */
    String codec() {
        return name.substring(COMPRESS.length());
    }

    /** Whether what it moves goes to a new file; else to the base. */
    boolean flattens() {
        return equals(FLATTEN) || equals(FLATTEN_LARGE);
    }

    /** How many times the base's size the disk has that it moves. */
    int scale() {
        return equals(FLATTEN_LARGE) || equals(COMMIT_LARGE) ? LARGE : 1;
    }

    private static List<String> concat(List<String> first, List<String> others) {
        return Stream.concat(first.stream(), others.stream()).toList();
    }

    /** Its rows: one, but for bonnie++, which has one for each of its rates, and where the space counts as well. */
    List<Metric> metrics() {
        if (equals(BONNIE)) {
            return BonnieCsv.METRICS;
        }
        Metric rate = new Metric(name, unit, name);
        return stage == Stage.COMPRESSED ? List.of(rate, new Metric(name + "-space", Unit.TAKEN, name)) : List.of(rate);
    }
}
