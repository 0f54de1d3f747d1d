package io.ucow.it.bench;

/** What a job's rate counts. */
enum Unit {
    /** Requests per second. */
    IOPS("IOPS"),
    /** 1 000 000 bytes per second. */
    MEGABYTES("MB/s"),
    /** Kibibytes per second, as bonnie++ counts. */
    KIBIBYTES("KiB/s"),
    /** 1 000 000 bytes taken of the disk: no rate, and less is better. */
    TAKEN("MB taken"),
    /** Operations on files per second. */
    FILES("files/s");

    private final String label;

    Unit(String label) {
        this.label = label;
    }

    /** As tables have it. */
    String label() {
        return label;
    }
}
