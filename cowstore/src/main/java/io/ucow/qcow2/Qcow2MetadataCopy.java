package io.ucow.qcow2;

import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Copies all metadata of an image to the same places of another file, in whole blocks of 4 KiB, so that {@code dd} can put it
 * back.
 *
 * <p>Threading: for one thread.
 */
final class Qcow2MetadataCopy implements MetadataWalk.Visitor {
    private static final int BLOCK = 4096;
    private static final int PIECE = 64 << 10;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final MetadataWalk walk;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(PIECE);
    private PositionalFile copy;
    /** A bit for each cluster that has been copied. */
    private SparseLongs done;

    Qcow2MetadataCopy(PositionalFile file, Qcow2Image image, MetadataWalk walk) {
        this.file = file;
        this.image = image;
        this.walk = walk;
    }

    /** Writes all of it; {@code to} is empty. */
    void writeTo(PositionalFile to) throws IOException {
        copy = to;
        try (SparseLongs copied = new SparseLongs((walk.clusters() >>> 6) + 1);
                RecordedCounts recorded = new RecordedCounts(file, image, walk)) {
            done = copied;
            if (recorded.fault() == null) {
                copy(image.header().refcountTableOffset(), recorded.tableBytes());
            }
            for (int i = 0; i < recorded.blocks(); i++) {
                if (recorded.entry(i) != 0 && recorded.fault(i) == null) {
                    copy(recorded.entry(i), 1);
                }
            }
            walk.run(this);
        }
    }

    private void copy(long offset, long bytes) throws IOException {
        int clusterBits = image.header().clusterBits();
        for (long cluster = offset >>> clusterBits;
                bytes != 0 && cluster <= (offset + bytes - 1) >>> clusterBits;
                cluster++) {
            if ((done.getAndBitwiseOr(cluster >>> 6, 1L << cluster) & (1L << cluster)) == 0) {
                long at = (cluster << clusterBits) & -BLOCK;
                long end = Math.min(file.size(), (((cluster + 1) << clusterBits) + BLOCK - 1) & -BLOCK);
                while (at < end) {
                    buffer.clear().limit((int) Math.min(PIECE, end - at));
                    file.read(buffer, at);
                    copy.write(buffer.flip(), at);
                    at += buffer.limit();
                }
            }
        }
    }

    @Override
    public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) throws IOException {
        boolean possible = walk.areaFault(offset, bytes) == null;
        if (possible) {
            copy(offset, bytes);
        }
        return possible;
    }

    @Override
    public boolean table(MetadataWalk.L1Table l1, int index, long entry) throws IOException {
        if (walk.areaFault(L1Entry.offset(entry), 1) == null) {
            copy(L1Entry.offset(entry), 1);
        }
        return false;
    }

    @Override
    public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2) {}

    @Override
    public void damagedBitmaps(String what) {}
}
