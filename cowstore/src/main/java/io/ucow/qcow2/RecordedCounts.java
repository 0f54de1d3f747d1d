package io.ucow.qcow2;

import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The reference counts that the file has of its own clusters, as far as they can be read.
 *
 * <p>Threading: for one thread.
 */
final class RecordedCounts implements AutoCloseable {
    private final MetadataWalk walk;
    private final Header header;
    /** Why there is no table; null if there is one. */
    private final String fault;

    private final ByteBuffer table;
    private final SparseLongs counts;

    /** Reads all of them. Memory is 8 bytes for each cluster that counts as in use. */
    RecordedCounts(PositionalFile file, Qcow2Image image, MetadataWalk walk) throws IOException {
        this.walk = walk;
        this.header = image.header();
        this.fault = walk.areaFault(header.refcountTableOffset(), tableBytes());
        this.table = Qcow2Image.readAt(file, header.refcountTableOffset(), fault == null ? (int) tableBytes() : 0);
        this.counts = new SparseLongs(walk.clusters());
        try {
            ByteBuffer block = Qcow2Image.readAt(file, 0, header.clusterSize());
            for (int i = 0; i < blocks(); i++) {
                readBlock(i, block);
            }
        } catch (IOException | RuntimeException e) {
            counts.close();
            throw e;
        }
    }

    private void readBlock(int index, ByteBuffer block) throws IOException {
        long first = (long) index << blockShift();
        if (entry(index) == 0 || fault(index) != null || first >= walk.clusters()) {
            return;
        }
        walk.read(block, entry(index));
        for (int k = 0; k < 1 << blockShift() && first + k < walk.clusters(); k++) {
            long count = Refcounts.get(block, header.refcountOrder(), k);
            if (count != 0) {
                counts.set(first + k, count);
            }
        }
    }

    long tableBytes() {
        return (long) header.refcountTableClusters() << header.clusterBits();
    }

    /** Why the table cannot be where the header says; null if it can. */
    String fault() {
        return fault;
    }

    /** Entries of the table. */
    int blocks() {
        return table.capacity() / Long.BYTES;
    }

    /** An entry of the table: where the block is, 0 for none. */
    long entry(int index) {
        return table.getLong(index * Long.BYTES);
    }

    /** Why an entry that is not 0 cannot be; null if it can. */
    String fault(int index) {
        long entry = entry(index);
        return (entry & Refcounts.RESERVED) != 0
                ? "has reserved bits set: 0x" + Long.toHexString(entry)
                : walk.areaFault(entry, header.clusterSize());
    }

    /** Binary logarithm of the clusters that a block counts. */
    int blockShift() {
        return Refcounts.blockShift(header.clusterBits(), header.refcountOrder());
    }

    /** The count of a cluster of the file, as an unsigned number. */
    long get(long cluster) {
        return counts.get(cluster);
    }

    @Override
    public void close() throws NativeException {
        counts.close();
    }
}
