package io.ucow.qcow2;

import java.util.Arrays;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Clusters that one reference fewer is made to, once that is durable; some more than once.
 *
 * <p>Threading: any number of threads; its lock is held for a few instructions.
 */
final class FreedClusters {
    private static final long[] NONE = {};

    private final ReentrantLock lock = new ReentrantLock();
    /** Guarded by lock, as what follows. */
    private long[] clusters = new long[64];

    private int count;

    void add(long cluster) {
        lock.lock();
        try {
            if (count == clusters.length) {
                clusters = Arrays.copyOf(clusters, 2 * count);
            }
            clusters[count++] = cluster;
        } finally {
            lock.unlock();
        }
    }

    /** Adds each of them. */
    void addAll(long[] more) {
        for (long cluster : more) {
            add(cluster);
        }
    }

    /** Adds all that an L2 entry refers to. */
    void addAll(long l2, int clusterBits) {
        long last = L2Entry.lastCluster(l2, clusterBits);
        for (long cluster = L2Entry.firstCluster(l2, clusterBits); cluster <= last; cluster++) {
            add(cluster);
        }
    }

    int count() {
        lock.lock();
        try {
            return count;
        } finally {
            lock.unlock();
        }
    }

    /** Takes all that there are. */
    long[] take() {
        lock.lock();
        try {
            long[] taken = count == 0 ? NONE : Arrays.copyOf(clusters, count);
            count = 0;
            return taken;
        } finally {
            lock.unlock();
        }
    }
}
