package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.Zeros;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.Errno;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.security.SecureRandom;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.LongStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The clusters of an image's {@link PendingLog}: taken for the first commit, or over from a process that died, and given
 * back at a clean close.
 *
 * <p>Threading: {@link #current} and {@link #begun} by any number of threads.
 */
final class LogSpace implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LogSpace.class);
    private static final SecureRandom SALTS = new SecureRandom();

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final HostClusters hosts;
    private final UUID bootId;
    private final int clusterBits;
    private final int maxBytes;

    /** Held by who begins a log. */
    private final ReentrantLock lock = new ReentrantLock();
    /** Null until the first commit. */
    private volatile PendingLog log;
    /** True where there can be none. */
    private volatile boolean without;

    /**
     * @param maxBytes what a log may have, at least a cluster's; 0 for none
     * @param left what a killed process of this boot left, taken over if this does not throw; null for none
     */
    LogSpace(
            PositionalFile file,
            Qcow2Image image,
            ClusterMap map,
            HostClusters hosts,
            UUID bootId,
            int maxBytes,
            PendingLog left)
            throws IOException {
        this.file = file;
        this.image = image;
        this.map = map;
        this.hosts = hosts;
        this.bootId = bootId;
        this.clusterBits = image.header().clusterBits();
        this.maxBytes = maxBytes;
        this.without = maxBytes == 0;
        if (left == null) {
            takeOverVoid();
        } else {
            note(left.place());
            log = left;
        }
    }

    /** The log; null if there is none so far. */
    PendingLog current() {
        return log;
    }

    /**
     * The log, which is begun if there is none.
     *
     * @return null if there can be none: version 2, a header without room, or the disk is full for now
     */
    PendingLog begun() throws IOException {
        if (log != null || without) {
            return log;
        }
        lock.lock();
        try {
            if (log == null && !without) {
                begin();
            }
            return log;
        } finally {
            lock.unlock();
        }
    }

    private void begin() throws IOException {
        try {
            long run = hosts.allocate(Math.max(1, maxBytes >>> clusterBits));
            without = !beginIn(SlotRun.slot(run), SlotRun.count(run));
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC) {
                throw e;
            }
            LOG.debug("no room for a log image={}", image.image(), e);
        }
    }

    private boolean beginIn(long first, int clusters) throws IOException {
        long offset = first << clusterBits;
        int bytes = (int) Math.min((long) clusters << clusterBits, maxBytes);
        boolean begun = false;
        try {
            // Written out: a full disk must still take a record.
            Zeros.write(file, offset, bytes);
            begun = beginAt(new LogExtension(offset, bytes, bootId, SALTS.nextLong()));
            return begun;
        } finally {
            if (!begun) {
                hosts.giveBack(first, clusters);
            }
        }
    }

    private boolean beginAt(LogExtension place) throws IOException {
        PendingLog fresh = PendingLog.create(file, place);
        boolean begun = false;
        try {
            begun = place.announce(file, image);
        } finally {
            if (!begun) {
                fresh.close();
            }
        }
        if (begun) {
            note(place);
            map.overlay(fresh);
            log = fresh;
        } else {
            LOG.warn("no room for a header extension: first writes wait for a sync image={}", image.image());
        }
        return begun;
    }

    /** Begins a log where one of an earlier boot was, if it is this image's still. */
    private void takeOverVoid() throws IOException {
        LogExtension old = LogExtension.read(file, image);
        if (old == null || !hosts.isCountedOnce(firstCluster(old), clusters(old))) {
            return;
        }
        beginAt(new LogExtension(old.offset(), old.bytes(), bootId, SALTS.nextLong()));
    }

    private void note(LogExtension place) throws CorruptStoreException {
        for (long i = 0; i < clusters(place); i++) {
            if (!hosts.noteMetadata(firstCluster(place) + i)) {
                throw Qcow2Image.corrupt(
                        image.image(), place.offset(), "the log of pending entries is where other metadata is");
            }
        }
    }

    private long firstCluster(LogExtension place) {
        return place.offset() >>> clusterBits;
    }

    private int clusters(LogExtension place) {
        return (int) ((place.bytes() + (1L << clusterBits) - 1) >>> clusterBits);
    }

    /** Ends the log, all of which has been written to the L2 tables, and lets go of its clusters. */
    void withdraw() throws IOException {
        if (log == null) {
            return;
        }
        LogExtension.withdraw(file, image);
        // Whoever finds the log named may use its clusters.
        file.sync();
        long first = firstCluster(log.place());
        hosts.drop(LongStream.range(first, first + clusters(log.place())).toArray());
    }

    @Override
    public void close() throws IOException {
        if (log != null) {
            log.close();
        }
    }
}
