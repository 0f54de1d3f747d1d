package io.ucow.store;

import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
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
 * together, inside a {@link GracePeriod} section and without any lock. A write to a chunk that has none takes the
 * chunk's future, fills a new slot with the merged chunk, commits it and completes the future; whoever comes to the same
 * chunk meanwhile to change it waits, everybody else goes on. See ARCHITECTURE.md, "Life of a write".
 *
 * <p>Threading: as {@link BlockDevice}. The only allocation on the request path is that of an exception.
 */
public final class CowDevice implements BlockDevice {
    private final ExceptionStore store;
    private final Origin origin;
    private final Geometry geometry;
    private final GracePeriod readers;
    private final ChunkFutures futures = new ChunkFutures();
    private final BufferPool scratch;
    private final LongAdder copies = new LongAdder();
    private final LongAdder flushes = new LongAdder();
    private final AtomicBoolean closed = new AtomicBoolean();

    /**
     * Takes ownership of both parts.
     *
     * @param readers the sections that {@code store} was opened with
     */
    CowDevice(ExceptionStore store, Origin origin, GracePeriod readers) {
        this.store = store;
        this.origin = origin;
        this.geometry = store.geometry();
        this.readers = readers;
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
                int n = runLength(chunk, entry, within, dst.remaining());
                dst.limit(dst.position() + n);
                if (RemapEntry.isOrigin(entry)) {
                    origin.read(dst, guestOffset);
                } else if (RemapEntry.isZero(entry)) {
                    Zeros.fill(dst);
                } else {
                    store.read(entry, within, dst);
                }
                dst.limit(end);
                guestOffset += n;
            }
        } finally {
            readers.exit(ticket);
            dst.limit(end);
        }
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes());
        requireWritable();
        while (src.hasRemaining()) {
            int n = overwrite(guestOffset, src);
            if (n == 0) {
                // First writer copies, the rest wait on its future; whole-chunk writes too, or a copy in flight would
                // bring old bytes back (I3).
                n = copyUp(guestOffset, src, src.remaining());
            }
            guestOffset += n;
        }
    }

    /**
     * Writes the run of altered chunks that starts at {@code guestOffset} in place.
     *
     * @return bytes written; 0 when the first chunk is not altered
     */
    private int overwrite(long guestOffset, ByteBuffer src) throws IOException {
        int ticket = readers.enter();
        try {
            long chunk = geometry.chunkOf(guestOffset);
            long entry = store.lookup(chunk);
            if (!RemapEntry.isSlot(entry)) {
                return 0;
            }
            int within = geometry.offsetInChunk(guestOffset);
            int n = runLength(chunk, entry, within, src.remaining());
            int end = src.limit();
            src.limit(src.position() + n);
            try {
                store.write(entry, within, src);
            } finally {
                src.limit(end);
            }
            return n;
        } finally {
            readers.exit(ticket);
        }
    }

    /** Bytes from {@code within} in {@code chunk}, at most {@code wanted}, that one I/O can serve. */
    private int runLength(long chunk, long entry, int within, int wanted) throws IOException {
        int n = geometry.chunkSize() - within;
        long previous = entry;
        while (n < wanted) {
            long next = store.lookup(++chunk);
            if (!RemapEntry.continues(previous, next)) {
                return n;
            }
            previous = next;
            n += geometry.chunkSize();
        }
        return Math.min(n, wanted);
    }

    /**
     * Gives the chunk at {@code guestOffset} a slot that holds its bytes with {@code src} merged in.
     *
     * @param src what to merge, advanced by what was taken; null for zeros
     * @param wanted bytes to merge; what lies beyond the chunk is left for the next call
     * @return bytes merged; 0 when somebody else gave the chunk a slot, so that it can be written in place
     */
    private int copyUp(long guestOffset, ByteBuffer src, long wanted) throws IOException {
        long chunk = geometry.chunkOf(guestOffset);
        int within = geometry.offsetInChunk(guestOffset);
        int n = (int) Math.min(wanted, geometry.chunkSize() - within);
        futures.claim(chunk);
        try {
            long entry = store.lookup(chunk);
            if (RemapEntry.isSlot(entry)) {
                return 0;
            }
            fillSlotOrReclaim(chunk, entry, within, src, n);
            copies.increment();
            return n;
        } finally {
            futures.complete(chunk);
        }
    }

    private void fillSlotOrReclaim(long chunk, long old, int within, ByteBuffer src, int n) throws IOException {
        int position = src == null ? 0 : src.position();
        try {
            fillSlot(chunk, old, within, src, n);
        } catch (IOException e) {
            // Discarded slots become free at the next barrier: a guest that just discarded must not see a full disk.
            if (Errno.of(e) != Errno.ENOSPC || !store.reclaim()) {
                throw e;
            }
            if (src != null) {
                src.position(position);
            }
            fillSlot(chunk, old, within, src, n);
        }
    }

    private void fillSlot(long chunk, long old, int within, ByteBuffer src, int n) throws IOException {
        long slot = store.allocate(chunk);
        boolean written = false;
        try {
            if (n == geometry.chunkSize() && src != null) {
                int end = src.limit();
                src.limit(src.position() + n);
                try {
                    store.write(slot, 0, src);
                } finally {
                    src.limit(end);
                }
            } else {
                writeMerged(chunk, old, within, src, n, slot);
            }
            written = true;
        } finally {
            if (!written) {
                store.release(slot);
            }
        }
        store.commit(chunk, 1, slot);
    }

    private void writeMerged(long chunk, long old, int within, ByteBuffer src, int n, long slot) throws IOException {
        ByteBuffer merged = scratch.take();
        try {
            // What the merge overwrites is not read. Past the device's end the slot holds what the origin has there, or
            // zeros.
            readOld(chunk, old, merged, 0, within);
            merged.limit(within + n);
            if (src == null) {
                Zeros.fill(merged);
            } else {
                merged.put(within, src, src.position(), n);
                src.position(src.position() + n);
            }
            readOld(chunk, old, merged, within + n, geometry.chunkSize());
            store.write(slot, 0, merged.clear());
        } finally {
            scratch.give(merged);
        }
    }

    private void readOld(long chunk, long old, ByteBuffer merged, int from, int to) throws IOException {
        merged.limit(to).position(from);
        if (from == to) {
            return;
        }
        if (RemapEntry.isOrigin(old)) {
            origin.read(merged, geometry.startOf(chunk) + from);
        } else if (RemapEntry.isZero(old)) {
            Zeros.fill(merged);
        } else {
            store.read(old, from, merged);
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
        for (long c = first; c < end; c++) {
            futures.claim(c);
        }
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
            for (long c = first; c < end; c++) {
                futures.complete(c);
            }
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
        int ticket = readers.enter();
        try {
            long entry = store.lookup(chunk);
            if (readsAsZero(chunk, entry)) {
                return n;
            }
            if (RemapEntry.isSlot(entry)) {
                store.zero(entry, within, n);
                return n;
            }
        } finally {
            readers.exit(ticket);
        }
        return copyUp(guestOffset, null, n);
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        long at = Objects.checkIndex(guestOffset, sizeBytes());
        long originData = -1;
        while (at < sizeBytes()) {
            long chunk = geometry.chunkOf(at);
            long entry = store.lookup(chunk);
            long end = runEnd(chunk, entry);
            if (RemapEntry.isOrigin(entry)) {
                if (originData < at) {
                    originData = origin.seekData(at);
                }
                if (originData < end) {
                    return originData;
                }
            } else if (!RemapEntry.isZero(entry)) {
                return at;
            }
            at = end;
        }
        return at;
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        long at = Objects.checkIndex(guestOffset, sizeBytes());
        long originHole = -1;
        while (at < sizeBytes()) {
            long chunk = geometry.chunkOf(at);
            long entry = store.lookup(chunk);
            long end = runEnd(chunk, entry);
            if (RemapEntry.isOrigin(entry)) {
                if (originHole < at) {
                    originHole = origin.seekHole(at);
                }
                if (originHole < end) {
                    return originHole;
                }
            } else if (RemapEntry.isZero(entry)) {
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

    @Override
    public void flush() throws IOException {
        flushes.increment();
        store.flush();
    }

    @Override
    public long allocatedBytes() throws IOException {
        return store.allocatedBytes();
    }

    /** What is known of the image. */
    public ImageInfo info() throws IOException {
        return store.info();
    }

    /** What this device has done since it was opened. */
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
                s.checkpointPages());
    }

    /**
     * Calls {@code visitor} for each run of the device, in order and without gaps. Under load the picture is that of no
     * single instant.
     */
    public void forEachExtent(Consumer<MapExtent> visitor) throws IOException {
        long chunkCount = geometry.chunkCount();
        long chunk = 0;
        while (chunk < chunkCount) {
            long entry = store.lookup(chunk);
            long end = RemapEntry.isOrigin(entry) ? store.nextPresent(chunk) : chunk + 1;
            end = Math.max(end, chunk + 1);
            long previous = entry;
            while (end < chunkCount) {
                long next = store.lookup(end);
                if (!RemapEntry.continues(previous, next)) {
                    break;
                }
                previous = next;
                end = RemapEntry.isOrigin(next) ? Math.max(end + 1, store.nextPresent(end)) : end + 1;
            }
            long start = geometry.startOf(chunk);
            long stop = Math.min(geometry.startOf(end), sizeBytes());
            visitor.accept(new MapExtent(start, stop - start, store.locate(entry)));
            chunk = end;
        }
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
        try (origin) {
            store.close();
        }
    }
}
