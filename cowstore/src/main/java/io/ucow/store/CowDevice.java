package io.ucow.store;

import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;

/**
 * A base seen through the exceptions of a store: the engine. It owns copying and waiting, the store owns where things
 * are.
 *
 * <p>Reads, and writes to chunks that have a slot, are a lookup and one positional I/O for each run of chunks that lie
 * together, inside a {@link GracePeriod} section and without any lock. A write to a chunk that has none, or one that
 * lacks {@link Blocks} which the write touches, takes the chunk's future, writes those blocks to the slot, commits it and
 * completes the future; whoever comes to the same chunk meanwhile to change it waits, everybody else goes on. See
 * ARCHITECTURE.md, "Life of a write".
 *
 * <p>Threading: as {@link BlockDevice}. The only allocation on the request path is that of an exception.
 */
public final class CowDevice implements ImageDevice {
    private final ExceptionStore store;
    private final Origin origin;
    private final Geometry geometry;
    private final Blocks blocks;
    private final GracePeriod readers;
    private final boolean detectZeroes;
    /** Null unless a commit wants to know what is changed. */
    private final DirtyBlocks changed;

    private final ChunkFutures futures;
    private final BufferPool scratch;
    private final LongAdder copies = new LongAdder();
    private final LongAdder flushes = new LongAdder();
    private final AtomicBoolean closed = new AtomicBoolean();
    /** What packs cold chunks in the background; null until it is asked for, and where nothing is compressed. */
    private Packing packing;

    /**
     * Takes ownership of both parts.
     *
     * @param readers the sections that {@code store} was opened with
     * @param detectZeroes as in {@link OpenOptions}
     */
    CowDevice(ExceptionStore store, Origin origin, GracePeriod readers, boolean detectZeroes) {
        this(store, origin, readers, detectZeroes, null);
    }

    /** @param changed told of all that is changed; null for nobody */
    CowDevice(ExceptionStore store, Origin origin, GracePeriod readers, boolean detectZeroes, DirtyBlocks changed) {
        this.changed = changed;
        this.store = store;
        this.origin = origin;
        this.geometry = store.geometry();
        this.blocks = new Blocks(geometry.chunkShift(), Integer.numberOfTrailingZeros(store.blockBytes()));
        this.futures = new ChunkFutures(store.groupShift());
        this.readers = readers;
        this.detectZeroes = detectZeroes;
        this.scratch = BufferPool.shared(geometry.chunkShift());
    }

    @Override
    public long sizeBytes() {
        return geometry.sizeBytes();
    }

    @Override
    public boolean isReadOnly() {
        return store.isReadOnly();
    }

    @Override
    public int granularityBytes() {
        return geometry.chunkSize();
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        Objects.checkFromIndexSize(guestOffset, dst.remaining(), sizeBytes());
        int end = dst.limit();
        int ticket = readers.enter();
        try {
            while (dst.hasRemaining()) {
                long chunk = geometry.chunkOf(guestOffset);
                int within = geometry.offsetInChunk(guestOffset);
                long entry = store.lookup(chunk);
                int n = runLength(chunk, entry, within, dst.remaining(), false);
                dst.limit(dst.position() + n);
                if (RemapEntry.isOrigin(entry) || isMissing(entry, within)) {
                    origin.read(dst, guestOffset);
                } else if (RemapEntry.isZero(entry)) {
                    Zeros.fill(dst);
                } else if (RemapEntry.isPacked(entry)) {
                    store.readPacked(chunk, entry, within, dst);
                } else {
                    store.read(entry, within, dst);
                }
                dst.limit(end);
                guestOffset += n;
            }
        } catch (DamagedBlockException e) {
            throw e.onDevice(guestOffset);
        } finally {
            readers.exit(ticket);
            dst.limit(end);
        }
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        int ticket = readers.enter();
        try {
            long chunk = geometry.chunkOf(guestOffset);
            int within = geometry.offsetInChunk(guestOffset);
            long entry = store.lookup(chunk);
            if (runLength(chunk, entry, within, lengthBytes, false) < lengthBytes) {
                return false;
            }
            if (RemapEntry.isOrigin(entry) || isMissing(entry, within)) {
                return origin.splice(guestOffset, lengthBytes, target);
            }
            return RemapEntry.isSlot(entry) && store.splice(entry, within, lengthBytes, target);
        } finally {
            readers.exit(ticket);
        }
    }

    /**
     * As {@link BlockDevice#write}. Where zeros are detected, a chunk that {@code src} covers with zeros is discarded
     * instead, and zeros for a part of a chunk that reads as zeros anyway are not written. Other parts of chunks are:
     * punching many small holes would cost more than it gives back.
     */
    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        int length = src.remaining();
        Objects.checkFromIndexSize(guestOffset, length, sizeBytes());
        requireWritable();
        try {
            if (detectZeroes) {
                writeDetecting(guestOffset, src);
            } else {
                writeData(guestOffset, src);
            }
        } finally {
            noteChange(guestOffset, length);
        }
    }

    /** After the change, also one that failed half-way, and before it is answered: see {@link DirtyBlocks}. */
    private void noteChange(long guestOffset, long lengthBytes) {
        if (changed != null) {
            changed.mark(guestOffset, lengthBytes);
        }
    }

    private void writeDetecting(long guestOffset, ByteBuffer src) throws IOException {
        int end = src.limit();
        boolean next = src.hasRemaining() && needsNoSlot(guestOffset, src, src.position());
        while (src.hasRemaining()) {
            int position = src.position();
            boolean slotless = next;
            int n = 0;
            while (position + n < end && next == slotless) {
                n += lengthInChunk(guestOffset + n, end - position - n);
                next = position + n < end && needsNoSlot(guestOffset + n, src, position + n);
            }
            if (slotless) {
                zero(guestOffset, n);
                src.position(position + n);
            } else {
                src.limit(position + n);
                try {
                    writeData(guestOffset, src);
                } finally {
                    src.limit(end);
                }
            }
            guestOffset += n;
        }
    }

    /** True when what {@code src} has from {@code position} on for one chunk is zeros, and need not be stored as such. */
    private boolean needsNoSlot(long guestOffset, ByteBuffer src, int position) throws IOException {
        long chunk = geometry.chunkOf(guestOffset);
        int n = lengthInChunk(guestOffset, src.limit() - position);
        return (n == geometry.lengthOf(chunk) || readsAsZero(chunk, store.lookup(chunk)))
                && Zeros.isAll(src, position, n);
    }

    /** Bytes from {@code guestOffset} to its chunk's end, {@code wanted} at the most. */
    private int lengthInChunk(long guestOffset, int wanted) {
        return Math.min(wanted, geometry.chunkSize() - geometry.offsetInChunk(guestOffset));
    }

    private void writeData(long guestOffset, ByteBuffer src) throws IOException {
        while (src.hasRemaining()) {
            int n = overwrite(guestOffset, src);
            if (n == 0) {
                // First writer copies, the rest wait on its future; whole-chunk writes too, or a copy in flight would
                // bring old bytes back (I3).
                n = alter(guestOffset, src, src.remaining());
            }
            guestOffset += n;
        }
    }

    /**
     * Writes the run of altered chunks that starts at {@code guestOffset} in place.
     *
     * @return bytes written; 0 when the first chunk has no slot, or one that lacks a block which the write touches, or is
     *     about to move
     */
    private int overwrite(long guestOffset, ByteBuffer src) throws IOException {
        long chunk = geometry.chunkOf(guestOffset);
        int within = geometry.offsetInChunk(guestOffset);
        while (true) {
            long entry;
            int n;
            int ticket = readers.enter();
            try {
                entry = store.lookupToWrite(chunk);
                if (!holds(entry, within, Math.min(src.remaining(), geometry.chunkSize() - within))) {
                    return 0;
                }
                n = runLength(chunk, entry, within, src.remaining(), true);
                if (store.isAnnounced(entry, within, n)) {
                    writeInPlace(guestOffset, entry, within, src, n);
                    return n;
                }
            } finally {
                readers.exit(ticket);
            }
            store.announce(entry, within, n);
        }
    }

    private void writeInPlace(long guestOffset, long entry, int within, ByteBuffer src, int n) throws IOException {
        int end = src.limit();
        src.limit(src.position() + n);
        try {
            store.write(entry, within, src);
        } catch (DamagedBlockException e) {
            throw e.onDevice(guestOffset);
        } finally {
            src.limit(end);
        }
    }

    /** True when {@code entry} is of a slot that has all blocks which {@code n} bytes from {@code within} touch. */
    private boolean holds(long entry, int within, int n) {
        return RemapEntry.isWhole(entry)
                || (RemapEntry.isSlot(entry) && (RemapEntry.missing(entry) & blocks.touched(within, within + n)) == 0);
    }

    /** True when {@code entry} is of a slot that lacks the block at {@code within}. */
    private boolean isMissing(long entry, int within) {
        return RemapEntry.isPartial(entry) && blocks.contains(RemapEntry.missing(entry), within);
    }

    /** Bytes from {@code within} in {@code chunk}, at most {@code wanted}, that one I/O can serve. */
    private int runLength(long chunk, long entry, int within, int wanted, boolean toWrite) throws IOException {
        if (RemapEntry.isPartial(entry)) {
            return Math.min(blocks.runEnd(RemapEntry.missing(entry), within) - within, wanted);
        }
        int n = geometry.chunkSize() - within;
        long previous = entry;
        while (n < wanted) {
            chunk++;
            long next = toWrite ? store.lookupToWrite(chunk) : store.lookup(chunk);
            if (!RemapEntry.continues(previous, next)) {
                return n;
            }
            previous = next;
            n += geometry.chunkSize();
        }
        return Math.min(n, wanted);
    }

    /**
     * Gives the chunk at {@code guestOffset}, or a run of whole ones from there, slots that hold the new bytes; or the
     * slot it has, the blocks that it lacks.
     *
     * @param src what to write, advanced by what was taken; null for zeros
     * @param wanted bytes to write; some may be left for the next call
     * @return bytes written; 0 when somebody else did so first, and the chunk can be written in place
     */
    private int alter(long guestOffset, ByteBuffer src, long wanted) throws IOException {
        int position = src == null ? 0 : src.position();
        long reclaimed = store.reclaimed();
        try {
            return tryAlter(guestOffset, src, wanted);
        } catch (IOException e) {
            // Discarded slots become free at the next barrier: a guest that just discarded must not see a full disk.
            if (Errno.of(e) != Errno.ENOSPC || !(store.reclaim() || store.reclaimed() != reclaimed)) {
                throw e;
            }
            if (src != null) {
                src.position(position);
            }
            return tryAlter(guestOffset, src, wanted);
        }
    }

    private int tryAlter(long guestOffset, ByteBuffer src, long wanted) throws IOException {
        long chunk = geometry.chunkOf(guestOffset);
        int within = geometry.offsetInChunk(guestOffset);
        int whole = src == null || within > 0 ? 0 : (int) Math.min(wanted >>> geometry.chunkShift(), store.maxCommit());
        if (whole > 0 && !RemapEntry.isSlot(store.lookup(chunk))) {
            return replaceChunks(chunk, whole, src) << geometry.chunkShift();
        }
        return alterChunk(chunk, within, src, (int) Math.min(wanted, geometry.chunkSize() - within));
    }

    /**
     * Writes up to {@code wanted} whole chunks that have no slot: as many as lie together, in one write and one commit.
     *
     * @return how many; 0 when the first one has a slot by now
     */
    private int replaceChunks(long first, int wanted, ByteBuffer src) throws IOException {
        int claimed = 0;
        try {
            while (claimed < wanted && claimUnaltered(first, first + claimed)) {
                claimed++;
            }
            int n = claimed == 0 ? 0 : fillSlots(first, claimed, src);
            copies.add(n);
            return n;
        } finally {
            futures.complete(first, first + claimed);
        }
    }

    /**
     * Claims the future of a chunk that has no slot.
     *
     * @param first claimed are the chunks from this one on up to {@code chunk}
     * @return false, and nothing is claimed, when it has one
     */
    private boolean claimUnaltered(long first, long chunk) throws IOException {
        if (RemapEntry.isSlot(store.lookup(chunk))) {
            return false;
        }
        if (chunk > first && futures.isShared(chunk, chunk - 1)) {
            return true;
        }
        futures.claim(chunk);
        boolean unaltered = false;
        try {
            // Again: whoever held the future may have altered it.
            unaltered = !RemapEntry.isSlot(store.lookup(chunk));
            return unaltered;
        } finally {
            if (!unaltered) {
                futures.complete(chunk);
            }
        }
    }

    private int fillSlots(long first, int wanted, ByteBuffer src) throws IOException {
        long run = store.allocate(first, wanted);
        int count = SlotRun.count(run);
        int end = src.limit();
        boolean written = false;
        try {
            src.limit(src.position() + (count << geometry.chunkShift()));
            store.write(SlotRun.entry(run), 0, src);
            written = true;
        } finally {
            src.limit(end);
            if (!written) {
                store.release(first, SlotRun.entry(run), count);
            }
        }
        store.commit(first, count, SlotRun.entry(run));
        return count;
    }

    /** Writes {@code n} bytes of one chunk that its slot, if it has one, does not hold all blocks of. */
    private int alterChunk(long chunk, int within, ByteBuffer src, int n) throws IOException {
        futures.claim(chunk);
        try {
            long entry = store.lookup(chunk);
            if (holds(entry, within, n)) {
                return 0;
            }
            if (RemapEntry.isSlot(entry)) {
                fillMissing(chunk, entry, within, src, n);
            } else {
                fillSlot(chunk, entry, within, src, n);
            }
            copies.increment();
            return n;
        } finally {
            futures.complete(chunk);
        }
    }

    private void fillMissing(long chunk, long entry, int within, ByteBuffer src, int n) throws IOException {
        int missing = RemapEntry.missing(entry);
        if ((blocks.touched(within, within + n) & ~missing) == 0) {
            writeBlocks(chunk, entry, missing, entry, within, src, n);
        } else {
            writeHeldToo(chunk, entry, missing, within, src, n);
        }
        // The blocks written become readable with this, no sooner.
        store.commit(chunk, 1, RemapEntry.withMissing(entry, missing & ~blocks.touched(within, within + n)));
    }

    /** As {@link #writeBlocks}, where that writes to blocks which the slot has as well. */
    private void writeHeldToo(long chunk, long entry, int missing, int within, ByteBuffer src, int n)
            throws IOException {
        while (true) {
            int ticket = readers.enter();
            try {
                if (store.isAnnounced(entry, within, n)) {
                    writeBlocks(chunk, entry, missing, entry, within, src, n);
                    return;
                }
            } finally {
                readers.exit(ticket);
            }
            store.announce(entry, within, n);
        }
    }

    private void fillSlot(long chunk, long old, int within, ByteBuffer src, int n) throws IOException {
        long slot = SlotRun.entry(store.allocate(chunk, 1));
        boolean written = false;
        int missing = 0;
        try {
            if (RemapEntry.isOrigin(old)) {
                writeBlocks(chunk, old, blocks.all(), slot, within, src, n);
                missing = blocks.all() & ~blocks.touched(within, within + n);
            } else {
                // Missing blocks are the origin's: what was zero, or packed, moves to the slot as a whole.
                writeMerged(chunk, old, slot, 0, geometry.chunkSize(), within, src, n);
            }
            written = true;
        } finally {
            if (!written) {
                store.release(chunk, slot, 1);
            }
        }
        store.commit(chunk, 1, RemapEntry.withMissing(slot, missing));
    }

    /**
     * Writes {@code n} bytes from {@code within} on to {@code slot}, and with them the rest of those blocks at either end
     * that are {@code missing}. Of a block that the slot has, only the bytes to write are touched: others may be writing
     * the rest of it in place (I8).
     */
    private void writeBlocks(long chunk, long old, int missing, long slot, int within, ByteBuffer src, int n)
            throws IOException {
        int end = within + n;
        int from = blocks.contains(missing, within) ? blocks.startOf(within) : within;
        int to = blocks.contains(missing, end - 1) ? blocks.endOf(end) : end;
        if (src == null || from < within || end < to) {
            writeMerged(chunk, old, slot, from, to, within, src, n);
            return;
        }
        int limit = src.limit();
        src.limit(src.position() + n);
        try {
            store.write(slot, within, src);
        } finally {
            src.limit(limit);
        }
    }

    /**
     * Writes the bytes {@code from..to-1} of a chunk to {@code slot}: {@code n} of them, from {@code within} on, are
     * {@code src}'s, or zeros, the others those that the chunk had.
     */
    private void writeMerged(long chunk, long old, long slot, int from, int to, int within, ByteBuffer src, int n)
            throws IOException {
        ByteBuffer merged = scratch.take();
        try {
            // What the merge overwrites is not read. Past the device's end a block holds what the origin has there, or
            // zeros. Positions in the buffer are offsets in the chunk.
            readOld(chunk, old, merged, from, within);
            merged.limit(within + n).position(within);
            if (src == null) {
                Zeros.fill(merged);
            } else {
                merged.put(within, src, src.position(), n);
                src.position(src.position() + n);
            }
            readOld(chunk, old, merged, within + n, to);
            store.write(slot, from, merged.limit(to).position(from));
        } finally {
            scratch.give(merged);
        }
    }

    private void readOld(long chunk, long old, ByteBuffer merged, int from, int to) throws IOException {
        merged.limit(to).position(from);
        if (from == to) {
            return;
        }
        if (RemapEntry.isOrigin(old) || RemapEntry.isSlot(old)) {
            origin.read(merged, geometry.startOf(chunk) + from);
        } else if (RemapEntry.isZero(old) || from >= geometry.lengthOf(chunk)) {
            // Of a packed chunk that is damaged, a write of all that the device has of it needs nothing.
            Zeros.fill(merged);
        } else {
            store.readPacked(chunk, old, from, merged);
        }
    }

    /** As {@link #discard}: both leave zeros behind and take no more storage than they must. */
    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        discard(guestOffset, lengthBytes);
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        requireWritable();
        try {
            zero(guestOffset, lengthBytes);
        } finally {
            noteChange(guestOffset, lengthBytes);
        }
    }

    private void zero(long guestOffset, long lengthBytes) throws IOException {
        long end = guestOffset + lengthBytes;
        while (guestOffset < end) {
            long chunk = geometry.chunkOf(guestOffset);
            // The last chunk is whole when the range reaches the device's end.
            long wholeEnd = end == sizeBytes() ? geometry.chunkCount() : geometry.chunkOf(end);
            if (geometry.offsetInChunk(guestOffset) == 0 && chunk < wholeEnd) {
                int count = (int) Math.min(wholeEnd - chunk, store.maxCommit());
                zeroChunks(chunk, count);
                guestOffset = geometry.startOf(chunk + count);
            } else {
                guestOffset += zeroPart(guestOffset, end - guestOffset);
            }
        }
    }

    /** Turns whole chunks into ZERO, one commit for each run that is not so already. */
    private void zeroChunks(long chunk, int count) throws IOException {
        long end = chunk + count;
        long first = skipZero(chunk, end);
        if (first == end) {
            return;
        }
        futures.claim(first, end);
        try {
            for (long from = skipZero(first, end); from < end; ) {
                long to = from + 1;
                while (to < end && !readsAsZero(to, store.lookup(to))) {
                    to++;
                }
                store.commit(from, (int) (to - from), RemapEntry.ZERO);
                from = skipZero(to, end);
            }
        } finally {
            futures.complete(first, end);
        }
    }

    private long skipZero(long chunk, long end) throws IOException {
        while (chunk < end && readsAsZero(chunk, store.lookup(chunk))) {
            chunk++;
        }
        return chunk;
    }

    private boolean readsAsZero(long chunk, long entry) {
        return RemapEntry.isZero(entry)
                || (RemapEntry.isOrigin(entry) && geometry.startOf(chunk) >= origin.sizeBytes());
    }

    /** Zeroes up to {@code wanted} bytes within one chunk. @return bytes done; 0 to look again */
    private int zeroPart(long guestOffset, long wanted) throws IOException {
        long chunk = geometry.chunkOf(guestOffset);
        int within = geometry.offsetInChunk(guestOffset);
        int n = (int) Math.min(wanted, geometry.chunkSize() - within);
        while (true) {
            long entry;
            int ticket = readers.enter();
            try {
                entry = store.lookupToWrite(chunk);
                if (readsAsZero(chunk, entry)) {
                    return n;
                }
                if (!holds(entry, within, n)) {
                    break;
                }
                if (store.isAnnounced(entry, within, n)) {
                    store.zero(entry, within, n);
                    return n;
                }
            } catch (DamagedBlockException e) {
                throw e.onDevice(guestOffset);
            } finally {
                readers.exit(ticket);
            }
            store.announce(entry, within, n);
        }
        return alter(guestOffset, null, n);
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        return seek(guestOffset, true);
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        return seek(guestOffset, false);
    }

    private long seek(long guestOffset, boolean data) throws IOException {
        long at = Objects.checkIndex(guestOffset, sizeBytes());
        long inOrigin = -1;
        while (at < sizeBytes()) {
            long chunk = geometry.chunkOf(at);
            long entry = store.lookup(chunk);
            long end = runEnd(chunk, entry);
            if (RemapEntry.isOrigin(entry)) {
                if (inOrigin < at) {
                    inOrigin = data ? origin.seekData(at) : origin.seekHole(at);
                }
                if (inOrigin < end) {
                    return inOrigin;
                }
            } else if (RemapEntry.isZero(entry) != data) {
                return at;
            }
            at = end;
        }
        return at;
    }

    /** Where {@code chunk} ends, or the unaltered region that the store knows it to be in. */
    private long runEnd(long chunk, long entry) throws IOException {
        long next = RemapEntry.isOrigin(entry) ? Math.max(chunk + 1, store.nextPresent(chunk)) : chunk + 1;
        return Math.min(sizeBytes(), geometry.startOf(next));
    }

    /**
     * Moves chunks to other places while the device is in use. Chunks that somebody is changing are passed over; of the
     * others, writers and discards wait until their chunk is moved, reads do not.
     *
     * @param chunks their numbers, the first {@code count} of the array, in any order
     * @return how many were moved
     * @throws IOException what {@code mover} threw; chunks not moved by then stay where they are
     */
    public int relocate(long[] chunks, int count, ChunkMover mover) throws IOException {
        requireWritable();
        FrozenChunks frozen = new FrozenChunks(store, futures, count);
        try {
            for (int i = 0; i < count; i++) {
                frozen.tryAdd(Objects.checkIndex(chunks[i], geometry.chunkCount()), mover);
            }
            if (frozen.size() > 0) {
                // Who looked a chunk up before it was frozen may still be writing to it.
                readers.await();
                mover.move(frozen);
            }
            return frozen.moved();
        } finally {
            frozen.thaw();
        }
    }

    /** What moves chunks that are in slot {@code from} or a later one to free slots before {@code below}. */
    SlotMover slotMover(long from, long below) {
        return new SlotMover(store, blocks, from, below);
    }

    /**
     * What makes the image's file shorter, to be done step by step while the device is open.
     *
     * @throws UnsupportedFormatException if chunks of the image's format stay where they are
     */
    Compaction compaction() throws IOException {
        requireWritable();
        if (store instanceof CompactableStore compactable) {
            return new Compaction(this, compactable);
        }
        throw new UnsupportedFormatException(
                store.info().image() + ": images of format '" + store.info().format() + "' cannot be compacted");
    }

    /** Makes the image's file shorter. Throws as {@link #compaction}. */
    CompactReport compact(Compaction.Listener listener) throws IOException {
        Compaction compaction = compaction();
        while (compaction.step()) {
            listener.progress(compaction.movedBytes(), compaction.totalBytes());
        }
        return compaction.report();
    }

    @Override
    public void flush() throws IOException {
        flushes.increment();
        store.flush();
    }

    @Override
    public long allocatedBytes() throws IOException {
        return store.allocatedBytes();
    }

    @Override
    public ImageInfo info() throws IOException {
        return store.info();
    }

    /** As {@link ExceptionStore#outline}. */
    ImageInfo outline() throws IOException {
        return store.outline();
    }

    @Override
    public DeviceStats stats() {
        DeviceStats s = store.stats();
        return new DeviceStats(
                copies.sum(),
                futures.waits(),
                flushes.sum(),
                s.alteredChunks(),
                s.zeroChunks(),
                s.journalRecords(),
                s.journalCapacity(),
                s.checkpoints(),
                s.checkpointPages(),
                s.packedChunks(),
                s.logicalBytes(),
                s.storedBytes(),
                s.damagedReads());
    }

    @Override
    public void forEachExtent(Consumer<MapExtent> visitor) throws IOException {
        new ExtentWalk(store, blocks, visitor).run();
    }

    /** What of it is the store's, and what the origin's. */
    Shadow shadow() {
        return new Shadow(store, blocks);
    }

    /**
     * Sees to it that what lies past the device's end can be written to, if the last chunk is a part of one: it gets a slot
     * if it is packed, and no checksums of it are known any more. Nobody else uses the device.
     */
    void prepareTail() throws IOException {
        long last = geometry.chunkCount() - 1;
        if (geometry.lengthOf(last) == geometry.chunkSize()) {
            return;
        }
        if (RemapEntry.isPacked(store.lookup(last))) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(1);
            read(geometry.startOf(last), bytes);
            write(geometry.startOf(last), bytes.flip());
        }
        long entry = store.lookup(last);
        if (store instanceof ChecksummedStore summed && summed.hasChecksums() && RemapEntry.isSlot(entry)) {
            summed.forgetChecksums(entry);
        }
    }

    /**
     * What compares all that the image holds with its checksums, to be done step by step while the device is open.
     *
     * @throws UnsupportedFormatException if there are none
     */
    Scrub scrub() throws IOException {
        if (store instanceof ChecksummedStore summed && summed.hasChecksums()) {
            return new Scrub(summed, blocks, readers, scratch);
        }
        throw new UnsupportedFormatException(
                store.info().image() + ": has no checksums; they come with 'ucow create --checksums'");
    }

    /** Compares all that the image holds with its checksums. Throws as {@link #scrub()}. */
    ScrubReport scrub(long bytesPerSecond, ScrubListener listener) throws IOException {
        Scrub scrub = scrub();
        Pace pace = new Pace(bytesPerSecond);
        while (scrub.step()) {
            scrub.tell(listener);
            pace.await(scrub.checkedBytes());
        }
        scrub.tell(listener);
        return scrub.report();
    }

    /** Has a thread of this device's pack cold chunks from now on, in a store that compresses; called once at the most. */
    void startPacking(String name) {
        if (store.packer() != null) {
            packing = new Packing(this, store.packer(), name);
            packing.start();
        }
    }

    /**
     * Packs every chunk that can be and that is not written to meanwhile, in a store that compresses, and gives the space
     * back. Several threads may be at it; all is packed when one begins after the others have ended. Not while {@link
     * #startPacking}'s thread is at it.
     */
    void packAll() throws IOException {
        ChunkPacker packer = store.packer();
        if (packer == null) {
            return;
        }
        long[] chunks = new long[Packing.batch(geometry.chunkSize())];
        // The first round takes the marks of what was written just now away.
        for (int round = 0; round < 2; round++) {
            for (int n = packer.next(chunks); n != ChunkPacker.ROUND_OVER; n = packer.next(chunks)) {
                relocate(chunks, n, packer);
            }
        }
        store.reclaim();
    }

    private void requireWritable() throws IOException {
        if (store.isReadOnly()) {
            throw new NativeException("write", Errno.EROFS);
        }
    }

    /** Closes store and origin, the store first; what fails is thrown when both are closed. */
    @Override
    public void close() throws IOException {
        if (!closed.compareAndSet(false, true)) {
            return;
        }
        if (packing != null) {
            packing.stop();
        }
        try (origin) {
            store.close();
        }
    }
}
