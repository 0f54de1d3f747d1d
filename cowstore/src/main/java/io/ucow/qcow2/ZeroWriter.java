package io.ucow.qcow2;

import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.PositionalFile;
import java.io.IOException;

/**
 * Has chunks read as zeros, each in the way that its image knows: an L2 entry that says so, or else a place that holds
 * zeros.
 *
 * <p>Threading: as {@link Writer}'s commits.
 */
final class ZeroWriter {
    private static final int SECTOR = 512;
    private static final int PAGE = 4096;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final ClusterMap map;
    private final Writer writer;
    private final int chunkShift;
    /** Binary logarithm of the chunks in a cluster. */
    private final int groupShift;

    private final boolean external;

    /** @param writer what records entries, and has places and their data */
    ZeroWriter(PositionalFile file, Qcow2Image image, ClusterMap map, Writer writer) {
        this.file = file;
        this.image = image;
        this.map = map;
        this.writer = writer;
        this.chunkShift = image.geometry().chunkShift();
        this.groupShift = image.subclusterShift();
        this.external = image.header().hasExternalData();
    }

    /** As {@link io.ucow.store.ExceptionStore#commit} of ZERO. */
    void commit(long chunk, int count) throws IOException {
        if (external) {
            // It is read without the image, too, if it is raw; else this gives space back.
            writer.zero(chunk << chunkShift, (long) count << chunkShift);
        }
        int done = 0;
        while (done < count) {
            int n = alike(chunk + done, count - done);
            if (isRecordable(chunk + done, n)) {
                giveBackPart(chunk + done, n);
                writer.commitInTable(chunk + done, n, RemapEntry.ZERO, 0);
            } else {
                store(chunk + done, n);
            }
            done += n;
        }
    }

    /** How many chunks from {@code chunk} on, {@code count} at the most, are whole clusters of one table, or a part of one. */
    private int alike(long chunk, int count) {
        int group = 1 << groupShift;
        int within = (int) chunk & (group - 1);
        return within > 0 || count < group
                ? Math.min(count, group - within)
                : (int) Math.min(count & -group, map.chunksToTableEnd(chunk));
    }

    /**
     * Version 2 has no entry for "zeros whatever is behind it"; with nothing behind it none is needed, but for a chunk that
     * is unaltered: whoever has that made zero is about to put something behind the image. Compressed clusters have no
     * subclusters.
     */
    private boolean isRecordable(long chunk, int count) throws IOException {
        if (image.header().version() < 3) {
            boolean altered = image.backingName().isEmpty();
            for (int i = 0; i < count && altered; i++) {
                altered = !RemapEntry.isOrigin(map.lookup(chunk + i));
            }
            return altered;
        }
        return count >>> groupShift > 0
                || !RemapEntry.isPacked(map.lookup(chunk))
                || !L2Entry.isCompressed(map.readL2(chunk >>> groupShift));
    }

    /** Gives the storage of subclusters back that are about to be zeros, in a cluster that may stay for the others. */
    private void giveBackPart(long chunk, int count) throws IOException {
        long bytes = (long) count << chunkShift;
        if (external || count >>> groupShift > 0 || bytes < PAGE) {
            return;
        }
        long entry = map.lookup(chunk);
        for (int i = 1; i < count; i++) {
            if (!RemapEntry.continues(map.lookup(chunk + i - 1), map.lookup(chunk + i))) {
                return; // not worth a system call for each piece
            }
        }
        if (RemapEntry.isSlot(entry)) {
            writer.zero(RemapEntry.slotOf(entry) << chunkShift, bytes);
        }
    }

    /** Of chunks that cannot be recorded as zeros each gets, or has, a place with zeros. */
    private void store(long chunk, int count) throws IOException {
        for (int done = 0; done < count; ) {
            long entry = map.lookup(chunk + done);
            int n = 1;
            if (RemapEntry.isSlot(entry)) {
                writer.zero(RemapEntry.slotOf(entry) << chunkShift, 1L << chunkShift);
            } else {
                int wanted = 1;
                while (done + wanted < count && !RemapEntry.isSlot(map.lookup(chunk + done + wanted))) {
                    wanted++;
                }
                long run = writer.allocate(chunk + done, wanted);
                n = SlotRun.count(run);
                fill(chunk + done, SlotRun.slot(run), n);
                writer.commit(chunk + done, n, SlotRun.entry(run));
            }
            done += n;
        }
    }

    private void fill(long chunk, long slot, int count) throws IOException {
        boolean filled = false;
        try {
            long end = (slot + count) << chunkShift;
            writer.zero(slot << chunkShift, (long) count << chunkShift);
            if (file.size() < end) {
                // To QEMU an image is damaged that ends before a cluster which it refers to.
                Zeros.write(file, end - SECTOR, SECTOR);
            }
            filled = true;
        } finally {
            if (!filled) {
                writer.release(chunk, slot, count);
            }
        }
    }
}
