package io.ucow.it.bench;

/** The state of the device that a job needs. Each stage gets a device of its own, fresh for each round and target. */
enum Stage {
    /** Nothing written yet: reads go to the base, each write is a first one. Jobs run in their order, reads first. */
    UNALTERED,
    /** Wholly written, by {@code fill-1m}, which is the first job of the stage and itself measured if it was asked for. */
    ALTERED,
    /** An ext4 made on it. */
    FILE_SYSTEM,
    /** A store that holds a tree of files, as a system has them, and that nobody has written to since. */
    TREE,
    /** A store wholly written, by {@code store-fill-1m}, with what half can be saved of. */
    FILLED,
    /** No device: an overlay that has data in the half of its chunks, and what moves whole disks. */
    MOVED,
    /** No device: a disk that holds the tree, and what makes a compressed qcow2 image of it. */
    COMPRESSED;

    /** True when its jobs are about the tree of files. */
    boolean hasTree() {
        return this == TREE || this == COMPRESSED;
    }

    /** True when its jobs are done by kinds of stores, and compare these. */
    boolean isOfStores() {
        return this == TREE || this == FILLED;
    }
}
