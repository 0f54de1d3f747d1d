package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
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

    /** No cluster. */
    private static final long NONE = -1;

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
        long own = own(cluster);
        if (own != NONE) {
            return SlotRun.of((own << groupShift) + from, n);
        }
        if (n < perCluster) {
            long host = SlotRun.slot(hosts.allocate(1));
            boolean copied = false;
            try {
                copyRest(cluster, host << clusterBits, L2Entry.mask(from, from + n));
                copied = true;
            } finally {
                if (!copied) {
                    hosts.giveBack(host, 1);
                }
            }
            return SlotRun.of((host << groupShift) + from, n);
        }
        int clusters = 1;
        while (clusters < count >>> groupShift && own(cluster + clusters) == NONE) {
            clusters++;
        }
        long run = hosts.allocate(clusters);
        return SlotRun.of(SlotRun.slot(run) << groupShift, SlotRun.count(run) << groupShift);
    }

    /**
     * The host cluster that a guest cluster's subclusters have, and that nobody else refers to, by what is mapped: the L2
     * table may not have it yet, or still have one that is about to be let go of.
     *
     * @return {@link #NONE} if there is none
     * @throws CorruptStoreException if one of the subclusters, or the cluster, is impossible
     */
    private long own(long cluster) throws IOException {
        boolean isUnaltered = true;
        long found = NONE;
        for (int i = 0; i < 1 << groupShift; i++) {
            long entry = map.lookup((cluster << groupShift) + i);
            isUnaltered &= RemapEntry.isOrigin(entry);
            if (RemapEntry.isSlot(entry)) {
                found = RemapEntry.slotOf(entry) >>> groupShift;
            }
        }
        // One may have been set aside for them: as nothing was ever recorded of it, the table says so.
        return isUnaltered && map.hasTable(cluster << groupShift) ? preallocated(cluster) : found;
    }

    private long preallocated(long cluster) throws IOException {
        long l2 = map.readL2(cluster);
        long offset = L2Entry.offset(l2);
        if (L2Entry.isCompressed(l2) || !L2Entry.isCopied(l2) || offset == 0) {
            return NONE;
        }
        if ((offset & (1L << clusterBits) - 1) != 0 || offset >>> chunkShift >= RemapEntry.MAX_SLOTS) {
            throw map.impossible(cluster);
        }
        return offset >>> clusterBits;
    }

    /** Copies the subclusters that are held, but for those of {@code mask}, to a new cluster at {@code offset}. */
    private void copyRest(long cluster, long offset, int mask) throws IOException {
        int rest = 0;
        for (int i = 0; i < 1 << groupShift; i++) {
            if (RemapEntry.isPacked(map.lookup((cluster << groupShift) + i))) {
                rest |= 1 << i;
            }
        }
        rest &= ~mask;
        if (rest == 0) {
            return;
        }
        long l2 = map.readL2(cluster);
        ByteBuffer buffer = BufferPool.shared(clusterBits).take();
        try {
            while (rest != 0) {
                int from = Integer.numberOfTrailingZeros(rest);
                int to = from + Integer.numberOfTrailingZeros(~(rest >>> from));
                rest &= ~L2Entry.mask(from, to);
                buffer.limit(to << chunkShift).position(from << chunkShift);
                if (L2Entry.isCompressed(l2)) {
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

    /** As {@link io.ucow.store.ExceptionStore#release}. */
    void release(long chunk, long slot, int count) {
        if (external) {
            return;
        }
        long first = slot >>> groupShift;
        int clusters = (int) (((slot + count - 1) >>> groupShift) - first) + 1;
        try {
            if (groupShift > 0 && own(chunk >>> groupShift) == first) {
                return; // it was there before
            }
        } catch (IOException e) {
            LOG.warn("clusters not given back image={} cluster={} count={}", image.image(), first, clusters, e);
            return;
        }
        hosts.giveBack(first, clusters);
    }
}
