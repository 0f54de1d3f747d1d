package io.ucow.store;

import io.ucow.sys.BufferPool;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.LongConsumer;

/**
 * Finds where two devices differ, sector by sector. What is a hole in both is not read.
 *
 * <p>Threading: one comparison, one thread.
 */
public final class DeviceDiff {
    /** Unit of comparison, in bytes. */
    public static final int SECTOR_BYTES = 512;

    private static final int PIECE_SHIFT = 18;
    private static final int PIECE_BYTES = 1 << PIECE_SHIFT;

    /** Told of differences. */
    @FunctionalInterface
    public interface Visitor {
        /** A range of sectors that all differ, between two that do not; the last may be cut short by the end. */
        void differs(long offset, long lengthBytes);
    }

    /** One of the two, and where its next data is, as far as that is known. */
    private static final class Side {
        private final Origin device;
        private long data = -1;

        Side(Origin device) {
            this.device = device;
        }

        /** As {@link Origin#seekData}; an answer that still holds is not asked for again. */
        long seekData(long offset) throws IOException {
            if (data < offset) {
                data = device.seekData(offset);
            }
            return data;
        }
    }

    private final Side left;
    private final Side right;
    private final long sizeBytes;
    private final Visitor visitor;
    private final LongConsumer progress;
    /** The range found last, which may go on; empty when {@code start == end}. */
    private long start;

    private long end;
    private boolean different;

    private DeviceDiff(Origin left, Origin right, Visitor visitor, LongConsumer progress) {
        this.left = new Side(left);
        this.right = new Side(right);
        this.sizeBytes = Math.max(left.sizeBytes(), right.sizeBytes());
        this.visitor = visitor;
        this.progress = progress;
    }

    /**
     * Compares two devices; the shorter one reads as zeros past its end.
     *
     * @param visitor told of every maximal range that differs, in order
     * @param progress told of how many further bytes have been compared, holes included; all calls together make the
     *     size of the longer one
     * @return true if the visitor was called
     */
    public static boolean compare(Origin left, Origin right, Visitor visitor, LongConsumer progress)
            throws IOException {
        return new DeviceDiff(left, right, visitor, progress).run();
    }

    private boolean run() throws IOException {
        BufferPool buffers = BufferPool.shared(PIECE_SHIFT);
        ByteBuffer ours = buffers.take();
        ByteBuffer theirs = buffers.take();
        try {
            for (long at = skipHoles(0); at < sizeBytes; at = skipHoles(at)) {
                long dataEnd = Math.min(sizeBytes, Math.max(left.device.seekHole(at), right.device.seekHole(at)));
                // At least one piece: where data does not begin with a sector, that sector begins in a hole.
                do {
                    long pieceEnd = Math.min(sizeBytes, (at & -PIECE_BYTES) + PIECE_BYTES);
                    comparePiece(at, (int) (pieceEnd - at), ours, theirs);
                    progress.accept(pieceEnd - at);
                    at = pieceEnd;
                } while (at < dataEnd);
            }
            report();
            return different;
        } finally {
            buffers.give(ours);
            buffers.give(theirs);
        }
    }

    /** The sector at or after {@code offset}, which begins one, with the next data of either side. */
    private long skipHoles(long offset) throws IOException {
        if (offset >= sizeBytes) {
            return sizeBytes;
        }
        long data = Math.min(left.seekData(offset), right.seekData(offset));
        long found = data >= sizeBytes ? sizeBytes : data & -SECTOR_BYTES;
        progress.accept(found - offset);
        return found;
    }

    private void comparePiece(long offset, int length, ByteBuffer ours, ByteBuffer theirs) throws IOException {
        left.device.read(ours.clear().limit(length), offset);
        right.device.read(theirs.clear().limit(length), offset);
        int at = 0;
        while (at < length) {
            int equal = mismatch(ours, theirs, at, length);
            if (equal < 0) {
                return;
            }
            at = (at + equal) & -SECTOR_BYTES;
            int sectorEnd = Math.min(length, at + SECTOR_BYTES);
            add(offset + at, offset + sectorEnd);
            at = sectorEnd;
        }
    }

    /** Bytes from {@code from} on that are equal; -1 when all up to {@code to} are. */
    private static int mismatch(ByteBuffer ours, ByteBuffer theirs, int from, int to) {
        return ours.limit(to).position(from).mismatch(theirs.limit(to).position(from));
    }

    private void add(long from, long to) {
        if (from != end || start == end) {
            report();
            start = from;
        }
        end = to;
    }

    private void report() {
        if (start < end) {
            different = true;
            visitor.differs(start, end - start);
        }
    }
}
