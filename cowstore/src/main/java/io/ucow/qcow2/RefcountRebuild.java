package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.BitSet;

/**
 * Writes a refcount table and its blocks, all new, behind everything else in a file.
 *
 * <p>Threading: for one thread.
 */
final class RefcountRebuild {

    private final PositionalFile file;
    private final Qcow2Image image;
    private final int clusterBits;
    private final int order;
    private final int blockShift;

    /** Where a table is, and how large. */
    record Table(long offset, int clusters) {}

    RefcountRebuild(PositionalFile file, Qcow2Image image) {
        this.file = file;
        this.image = image;
        this.clusterBits = image.header().clusterBits();
        this.order = image.header().refcountOrder();
        this.blockShift = Refcounts.blockShift(clusterBits, order);
    }

    /**
     * Writes them, not durably.
     *
     * @param counts what each cluster before {@code end} is to count; those of what is written are added
     * @param end the first cluster to write to
     * @throws CorruptStoreException if a count is larger than the image can record, or the file
     */
    Table write(SparseLongs counts, long end) throws IOException {
        BitSet blocks = new BitSet();
        for (long cluster = 0; cluster < end; cluster++) {
            long count = counts.get(cluster);
            if (count != 0) {
                require(Long.compareUnsigned(count, Refcounts.max(order)) <= 0, cluster, count);
                blocks.set(index(cluster));
            }
        }
        long own = 0;
        long tableClusters = 0;
        do {
            own = tableClusters + blocks.cardinality();
            for (long cluster = end; cluster < end + own; cluster++) {
                blocks.set(index(cluster));
            }
            tableClusters = ((long) blocks.length() * Long.BYTES + (1L << clusterBits) - 1) >>> clusterBits;
        } while (tableClusters + blocks.cardinality() > own);
        for (long cluster = end; cluster < end + own; cluster++) {
            counts.set(cluster, 1);
        }
        writeTable(blocks, end, (int) tableClusters);
        writeBlocks(blocks, counts, end + tableClusters, end + own);
        return new Table(end << clusterBits, (int) tableClusters);
    }

    private void require(boolean fits, long cluster, long count) throws CorruptStoreException {
        if (!fits) {
            throw new CorruptStoreException(image.image() + ": cluster " + cluster + " has "
                    + Long.toUnsignedString(count) + " references, and its refcounts go up to "
                    + Long.toUnsignedString(Refcounts.max(order)));
        }
    }

    private int index(long cluster) throws CorruptStoreException {
        long index = cluster >>> blockShift;
        if (index >= Refcounts.MAX_TABLE_BYTES / Long.BYTES) {
            throw new CorruptStoreException(
                    image.image() + ": has more clusters than its refcount table can count; use larger clusters");
        }
        return (int) index;
    }

    private void writeTable(BitSet blocks, long first, int clusters) throws IOException {
        ByteBuffer table = ByteBuffer.allocateDirect(clusters << clusterBits).order(ByteOrder.BIG_ENDIAN);
        long next = first + clusters;
        for (int i = blocks.nextSetBit(0); i >= 0; i = blocks.nextSetBit(i + 1)) {
            table.putLong(i * Long.BYTES, next++ << clusterBits);
        }
        file.write(table, first << clusterBits);
    }

    private void writeBlocks(BitSet blocks, SparseLongs counts, long first, long end) throws IOException {
        ByteBuffer block = ByteBuffer.allocateDirect(1 << clusterBits).order(ByteOrder.BIG_ENDIAN);
        long next = first;
        for (int i = blocks.nextSetBit(0); i >= 0; i = blocks.nextSetBit(i + 1)) {
            for (int k = 0; k < 1 << blockShift; k++) {
                long cluster = ((long) i << blockShift) + k;
                Refcounts.put(block, order, k, cluster < end ? counts.get(cluster) : 0);
            }
            file.write(block.clear(), next++ << clusterBits);
        }
    }
}
