package io.ucow.qcow2;

import io.ucow.store.Zeros;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Errno;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Empty L2 tables made ahead: power loss must not leave an L1 entry that names something else's bytes, so a table is
 * durable before it is named, and the sync for one table costs as much as all that was written since the last.
 *
 * <p>Those that a killed process leaves are leaked clusters.
 *
 * <p>Threading: any number of threads; who takes one may wait for a sync.
 */
final class SpareTables {
    /** As many as are made at once; with clusters of 64 KiB these have the entries of 4 GiB. */
    static final int MOST = 8;

    private final PositionalFile file;
    private final HostClusters hosts;
    private final int clusterBits;

    private final ReentrantLock lock = new ReentrantLock();
    /** The next one to be taken, and how many there are. Guarded by lock. */
    private long next;

    private int count;

    SpareTables(PositionalFile file, HostClusters hosts, int clusterBits) {
        this.file = file;
        this.hosts = hosts;
        this.clusterBits = clusterBits;
    }

    /**
     * Takes one.
     *
     * @param wanted how many to make if there is none, 1..{@link #MOST}
     * @return its cluster: counted, and zeros, both durable
     */
    long take(int wanted) throws IOException {
        lock.lock();
        try {
            if (count == 0) {
                make(wanted);
            }
            count--;
            return next++;
        } finally {
            lock.unlock();
        }
    }

    private void make(int wanted) throws IOException {
        try {
            makeAll(wanted);
        } catch (IOException e) {
            if (wanted == 1 || Errno.of(e) != Errno.ENOSPC) {
                throw e;
            }
            makeAll(1); // of a full disk, the last there is
        }
    }

    private void makeAll(int wanted) throws IOException {
        long run = hosts.allocate(wanted);
        long first = SlotRun.slot(run);
        int made = SlotRun.count(run);
        try {
            for (long i = 0; i < made; i++) {
                Zeros.write(file, (first + i) << clusterBits, 1 << clusterBits);
            }
            file.sync();
            next = first;
            count = made;
        } finally {
            if (count == 0) {
                hosts.giveBack(first, made);
            }
        }
    }

    /** Gives back those that nobody has taken. */
    void giveBack() {
        lock.lock();
        try {
            if (count > 0) {
                hosts.giveBack(next, count);
                count = 0;
            }
        } finally {
            lock.unlock();
        }
    }
}
