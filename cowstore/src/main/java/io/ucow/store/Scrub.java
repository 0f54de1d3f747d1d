package io.ucow.store;

import io.ucow.store.ChecksummedStore.BlockState;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.BufferPool;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads all that an image holds, while the device may be in use, and compares it with its checksums: slots block by block,
 * packed chunks with their own. What has none yet gets one. Of what the base shows through nothing is read.
 *
 * <p>The work is cut into steps of a quarter of a megabyte, or one chunk. It may be given up after any of them.
 *
 * <p>Threading: confined to one thread at a time.
 */
public final class Scrub {
    private static final Logger LOG = LoggerFactory.getLogger(Scrub.class);

    private static final int STEP_BYTES = 256 << 10;

    private final ChecksummedStore store;
    private final Geometry geometry;
    private final Blocks blocks;
    private final GracePeriod readers;
    private final BufferPool scratch;
    private final long totalBytes;

    private long next;
    private long checkedBytes;
    private long learnedBytes;
    private long damagedBytes;
    /** A range that may go on with the next block. */
    private long damagedFrom = -1;

    private long damagedEnd = -1;
    /** Offset and length in turn of ranges that nobody was told of yet. */
    private final List<Long> untold = new ArrayList<>();

    Scrub(ChecksummedStore store, Blocks blocks, GracePeriod readers, BufferPool scratch) {
        this.store = store;
        this.geometry = store.geometry();
        this.blocks = blocks;
        this.readers = readers;
        this.scratch = scratch;
        this.totalBytes = store.stats().alteredChunks() << geometry.chunkShift();
    }

    /** Does the next part. @return false when there is none left */
    boolean step() throws IOException {
        ByteBuffer buffer = scratch.take();
        try {
            long end = checkedBytes + STEP_BYTES;
            while (checkedBytes < end && next < geometry.chunkCount()) {
                boolean any = scrub(next, buffer);
                next = any ? next + 1 : Math.max(next + 1, store.nextPresent(next));
            }
            if (next >= geometry.chunkCount()) {
                endRange();
                return false;
            }
            return true;
        } finally {
            scratch.give(buffer);
        }
    }

    /** Tells of what was done by the last steps; may wait for whoever is told. */
    void tell(ScrubListener listener) {
        for (int i = 0; i < untold.size(); i += 2) {
            listener.damaged(untold.get(i), untold.get(i + 1));
        }
        untold.clear();
        listener.progress(checkedBytes, Math.max(totalBytes, checkedBytes));
    }

    /** Bytes read so far. */
    long checkedBytes() {
        return checkedBytes;
    }

    /** @return false when the store holds nothing of the chunk */
    private boolean scrub(long chunk, ByteBuffer buffer) throws IOException {
        int ticket = readers.enter();
        try {
            long entry = store.lookup(chunk);
            if (RemapEntry.isSlot(entry)) {
                scrubSlot(chunk, entry, buffer);
            } else if (RemapEntry.isPacked(entry)) {
                scrubPacked(chunk, entry, buffer);
            } else {
                return false;
            }
            return true;
        } finally {
            readers.exit(ticket);
        }
    }

    private void scrubSlot(long chunk, long entry, ByteBuffer buffer) {
        int block = store.summedBytes();
        int length = (geometry.lengthOf(chunk) + block - 1) & -block;
        int missing = RemapEntry.missing(entry);
        int to;
        for (int at = 0; at < length; at = to) {
            to = Math.min(length, blocks.runEnd(missing, at));
            if (!blocks.contains(missing, at)) {
                long guestOffset = geometry.startOf(chunk) + at;
                try {
                    store.scrub(entry, at, to - at, buffer, (offset, state) -> {
                        if (state == BlockState.DAMAGED) {
                            addDamaged(guestOffset + offset, block);
                        } else if (state == BlockState.LEARNED) {
                            learnedBytes += block;
                        }
                    });
                } catch (IOException e) {
                    LOG.warn("cannot be read device offset={} bytes={}", guestOffset, to - at, e);
                    addDamaged(guestOffset, to - at);
                }
                checkedBytes += to - at;
            }
        }
    }

    private void scrubPacked(long chunk, long entry, ByteBuffer buffer) {
        int length = geometry.lengthOf(chunk);
        try {
            store.readPacked(chunk, entry, 0, buffer.clear().limit(length));
        } catch (IOException e) {
            LOG.warn("cannot be read device offset={} bytes={}", geometry.startOf(chunk), length, e);
            addDamaged(geometry.startOf(chunk), length);
        }
        checkedBytes += length;
    }

    private void addDamaged(long guestOffset, int lengthBytes) {
        int n = (int) Math.min(lengthBytes, geometry.sizeBytes() - guestOffset);
        damagedBytes += n;
        if (guestOffset != damagedEnd) {
            endRange();
            damagedFrom = guestOffset;
        }
        damagedEnd = guestOffset + n;
    }

    private void endRange() {
        if (damagedFrom >= 0) {
            untold.add(damagedFrom);
            untold.add(damagedEnd - damagedFrom);
            damagedFrom = -1;
        }
    }

    /** What was done so far. */
    ScrubReport report() {
        return new ScrubReport(checkedBytes, learnedBytes, damagedBytes);
    }
}
