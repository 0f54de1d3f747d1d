package io.ucow.qcow2;

import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where chunks may be written. In an external data file each has its own place, the disk's. Else they get free clusters;
 * and with extended L2 entries the subclusters of a guest cluster one together, of which only what is written is ever
 * filled. Should such a cluster be shared with a snapshot, or compressed, what else it holds is copied along.
 *
 * <p>Threading: any; of the chunks of one guest cluster one thread at a time.
 */
final class Places {
    private static final Logger LOG = LoggerFactory.getLogger(Places.class);

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final HostClusters hosts;
    private final Decompressors decompressors;
    private final int clusterBits;
    private final int chunkShift;
    /** Binary logarithm of the chunks that are placed together. */
    private final int groupShift;

    private final boolean external;

    Places(PositionalFile file, Qcow2Image image, ClusterMap map, HostClusters hosts, Decompressors decompressors) {
        this.file = file;
        this.image = image;
        this.map = map;
        this.hosts = hosts;
        this.decompressors = decompressors;
        this.clusterBits = image.header().clusterBits();
        this.chunkShift = image.geometry().chunkShift();
        this.groupShift = image.subclusterShift();
        this.external = image.header().hasExternalData();
    }

    /** As {@link io.ucow.store.ExceptionStore#allocate}. */
    long allocate(long chunk, int count) throws IOException {
        if (external) {
            return SlotRun.of(chunk, count);
        }
        return groupShift == 0 ? hosts.allocate(count) : allocateSubclusters(chunk, count);
    }

    private long allocateSubclusters(long chunk, int count) throws IOException {
        long cluster = chunk >>> groupShift;
        int perCluster = 1 << groupShift;
        int from = (int) chunk & (perCluster - 1);
        int n = Math.min(count, perCluster - from);
        long l2 = l2(cluster);
        if (isOwn(l2)) {
            requireSound(cluster, l2, bitmap(cluster));
            return SlotRun.of((L2Entry.offset(l2) >>> chunkShift) + from, n);
        }
        if (n < perCluster) {
            long host = SlotRun.slot(hosts.allocate(1));
            boolean copied = false;
            try {
                copyRest(cluster, l2, host << clusterBits, L2Entry.mask(from, from + n));
                copied = true;
            } finally {
                if (!copied) {
                    hosts.giveBack(host, 1);
                }
            }
            return SlotRun.of((host << groupShift) + from, n);
        }
        int clusters = 1;
        while (clusters < count >>> groupShift && !isOwn(l2(cluster + clusters))) {
            clusters++;
        }
        long run = hosts.allocate(clusters);
        return SlotRun.of(SlotRun.slot(run) << groupShift, SlotRun.count(run) << groupShift);
    }

    private long l2(long cluster) throws IOException {
        return map.hasTable(cluster << groupShift) ? map.readL2(cluster) : 0;
    }

    private long bitmap(long cluster) throws IOException {
        return map.hasTable(cluster << groupShift) ? map.readBitmap(cluster) : 0;
    }

    /** True when there is a cluster that nobody else refers to. */
    private static boolean isOwn(long l2) {
        return !L2Entry.isCompressed(l2) && L2Entry.isCopied(l2) && L2Entry.offset(l2) != 0;
    }

    /** Copies the subclusters that are held, but for those of {@code mask}, to a new cluster at {@code offset}. */
    private void copyRest(long cluster, long l2, long offset, int mask) throws IOException {
        boolean compressed = L2Entry.isCompressed(l2);
        long bitmap = bitmap(cluster);
        if (!compressed) {
            requireSound(cluster, l2, bitmap);
        }
        int rest = (compressed ? L2Entry.ALL : L2Entry.allocated(bitmap)) & ~mask;
        if (rest == 0) {
            return;
        }
        ByteBuffer buffer = BufferPool.shared(clusterBits).take();
        try {
            while (rest != 0) {
                int from = Integer.numberOfTrailingZeros(rest);
                int to = from + Integer.numberOfTrailingZeros(~(rest >>> from));
                rest &= ~L2Entry.mask(from, to);
                buffer.limit(to << chunkShift).position(from << chunkShift);
                if (compressed) {
                    decompressors.read(l2, from << chunkShift, buffer);
                } else {
                    file.read(buffer, L2Entry.offset(l2) + ((long) from << chunkShift));
                    Zeros.fill(buffer);
                }
                file.write(buffer.position(from << chunkShift), offset + ((long) from << chunkShift));
            }
        } finally {
            BufferPool.shared(clusterBits).give(buffer);
        }
    }

    /** What lookups of one subcluster do not see: that another one, or the cluster itself, is impossible. */
    private void requireSound(long cluster, long l2, long bitmap) throws IOException {
        long offset = L2Entry.offset(l2);
        if ((offset & (1L << clusterBits) - 1) != 0
                || offset >>> chunkShift >= RemapEntry.MAX_SLOTS
                || (offset == 0 && L2Entry.allocated(bitmap) != 0)
                || (L2Entry.allocated(bitmap) & L2Entry.zeros(bitmap)) != 0) {
            throw map.impossible(cluster);
        }
    }

    /** As {@link io.ucow.store.ExceptionStore#release}. */
    void release(long chunk, long slot, int count) {
        if (external) {
            return;
        }
        long first = slot >>> groupShift;
        int clusters = (int) (((slot + count - 1) >>> groupShift) - first) + 1;
        try {
            long l2 = groupShift == 0 ? 0 : l2(chunk >>> groupShift);
            if (isOwn(l2) && L2Entry.offset(l2) == first << clusterBits) {
                return; // it was there before
            }
        } catch (IOException e) {
            LOG.warn("clusters not given back image={} cluster={} count={}", image.image(), first, clusters, e);
            return;
        }
        hosts.giveBack(first, clusters);
    }
}
