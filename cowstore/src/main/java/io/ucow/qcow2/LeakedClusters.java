package io.ucow.qcow2;

import io.ucow.store.Zeros;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Gives clusters back that count as in use more often than anything refers to them. Counts are lowered in place, which may be
 * ended, and done again, at any time; then what nothing refers to is punched out.
 *
 * <p>Threading: for one thread.
 */
final class LeakedClusters {
    private final PositionalFile file;
    private final Qcow2Image image;
    private final int clusterBits;
    private final int order;

    LeakedClusters(PositionalFile file, Qcow2Image image) {
        this.file = file;
        this.image = image;
        this.clusterBits = image.header().clusterBits();
        this.order = image.header().refcountOrder();
    }

    /**
     * Has the disk hold nothing any more, and gives back what it had. What a snapshot has as well stays. If it is ended in
     * between, some of the disk is as it was, and what was given up may be leaked.
     */
    void empty() throws IOException {
        Header header = image.header();
        Zeros.write(file, header.l1TableOffset(), (long) header.l1Size() * L1Entry.BYTES);
        file.sync();
        giveBack();
    }

    /** Changes nothing of an image in which more is wrong than that. */
    void giveBack() throws IOException {
        MetadataWalk walk = new MetadataWalk(file, image);
        try (SparseLongs references = new SparseLongs(walk.clusters());
                RecordedCounts recorded = new RecordedCounts(file, image, walk)) {
            if (!new Qcow2Check(file, image).countReferences(references, recorded)) {
                return;
            }
            ByteBuffer block = Qcow2Image.readAt(file, 0, 1 << clusterBits);
            for (int i = 0; i < recorded.blocks(); i++) {
                if (recorded.entry(i) != 0) {
                    walk.read(block, recorded.entry(i));
                    if (lower(block, (long) i << recorded.blockShift(), references)) {
                        file.write(block.clear(), recorded.entry(i));
                    }
                }
            }
            file.sync();
            punch(recorded, references);
        }
    }

    private void punch(RecordedCounts recorded, SparseLongs references) throws IOException {
        long cluster = 0;
        while (cluster < references.length()) {
            long first = cluster;
            while (cluster < references.length() && recorded.get(cluster) != 0 && references.get(cluster) == 0) {
                cluster++;
            }
            if (cluster > first) {
                file.tryPunchHole(first << clusterBits, (cluster - first) << clusterBits);
            }
            cluster++;
        }
    }

    /** @return whether any count was lowered */
    private boolean lower(ByteBuffer block, long first, SparseLongs references) {
        boolean lowered = false;
        for (int k = 0; k < 1 << Refcounts.blockShift(clusterBits, order); k++) {
            long cluster = first + k;
            long used = cluster < references.length() ? references.get(cluster) : 0;
            if (Long.compareUnsigned(Refcounts.get(block, order, k), used) > 0) {
                Refcounts.put(block, order, k, used);
                lowered = true;
            }
        }
        return lowered;
    }
}
