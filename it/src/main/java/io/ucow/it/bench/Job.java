package io.ucow.it.bench;

import java.util.List;

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

    static final Job FLATTEN = new Job("flatten", Stage.MOVED, Unit.MEGABYTES, false, List.of());
    static final Job COMMIT = new Job("commit", Stage.MOVED, Unit.MEGABYTES, false, List.of());

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
            FLATTEN,
            COMMIT);

    private static Job random(String name, Stage stage, String... options) {
        return new Job(name, stage, Unit.IOPS, true, List.of(concat("--bs=4k", options)));
    }

    private static Job sequential(String name, Stage stage, String option) {
        return new Job(name, stage, Unit.MEGABYTES, true, List.of("--bs=1M", "--iodepth=4", option));
    }

    private static String[] concat(String first, String... others) {
        String[] all = new String[others.length + 1];
        all[0] = first;
        System.arraycopy(others, 0, all, 1, others.length);
        return all;
    }

    /** Its rows: one, but for bonnie++, which has one for each of its rates. */
    List<Metric> metrics() {
        return equals(BONNIE) ? BonnieCsv.METRICS : List.of(new Metric(name, unit, name));
    }
}
