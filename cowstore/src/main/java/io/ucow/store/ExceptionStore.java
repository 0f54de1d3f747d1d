package io.ucow.store;

import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.SpliceTarget;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Where altered chunks are kept: the service-provider interface of a format. The engine decides <em>when</em> a chunk is
 * copied and who waits; the store decides where it goes and how that is recorded.
 *
 * <p>Entries are {@link RemapEntry} longs; "slot" in them is the format's own numbering. A format that can record which
 * blocks of a chunk its slot holds (ucow's mask) says so with {@link #blockBytes}, and is then given
 * <em>partial</em> entries: the slot holds the blocks that a first write touched, the origin has the others. That write
 * copies at most the two blocks at its ends. To any other format the engine gives whole chunks only.
 *
 * <p>Durability: {@link #write} and {@link #commit} leave their bytes in the page cache, findable by the next open in
 * the same boot; {@link #flush} makes them survive power loss.
 *
 * <p>Threading: any number of threads call at once. {@link #commit} for one chunk is called by one thread at a time, the
 * holder of the chunk's future. Calls that read or write an entry run inside a section of the {@link GracePeriod} given
 * at open, or on a slot the caller has just allocated; a store reuses a freed slot only after a grace period.
 */
public interface ExceptionStore extends Closeable {
    /** Capacity and chunk size; constant. */
    Geometry geometry();

    /** True when it was opened to change nothing. */
    boolean isReadOnly();

    /**
     * The smallest part of a chunk of which it can record whether the slot holds it: a power of two, at least a sixteenth
     * of the chunk size; constant. The chunk size itself, the default, means that chunks are always whole.
     */
    default int blockBytes() {
        return geometry().chunkSize();
    }

    /**
     * Binary logarithm of how many chunks, from a multiple of that on, the format places together; constant. Of all of
     * them only one thread at a time changes what they are mapped to, so {@link #allocate} and {@link #commit} may move
     * packed ones of them along; 0, the default, where each has a place of its own.
     */
    default int groupShift() {
        return 0;
    }

    /** The entry of {@code chunk}; does not wait for anyone and, in a resident map, does no I/O. */
    long lookup(long chunk) throws IOException;

    /**
     * As {@link #lookup}, for who is about to write in place: while the chunk is frozen, an entry for which {@link
     * RemapEntry#isSlot} does not hold. Whoever gets that comes to the chunk's future.
     */
    default long lookupToWrite(long chunk) throws IOException {
        return lookup(chunk);
    }

    /**
     * Keeps writers that come from now on from writing an altered chunk in place, until {@link #thaw} or a commit. The
     * caller holds the chunk's future. Formats whose chunks never move need not support it.
     */
    default void freeze(long chunk) {
        throw new UnsupportedOperationException("chunks of this format stay where they are");
    }

    /** Ends what {@link #freeze} began, the mapping unchanged. */
    default void thaw(long chunk) {
        throw new UnsupportedOperationException("chunks of this format stay where they are");
    }

    /**
     * The first chunk at or after {@code chunk} whose entry may differ from ORIGIN, or the chunk count.
     * For walking a large map; exactness is up to the store.
     */
    long nextPresent(long chunk) throws IOException;

    /**
     * Reads from an altered chunk into all of {@code dst}, on into those that {@link RemapEntry#continues continue} it.
     * The engine does not ask for blocks that are missing: they hold anything, and may lie past the end of the file.
     *
     * @throws DamagedBlockException if the store has checksums, and a block is not what was written
     */
    void read(long entry, int offsetInChunk, ByteBuffer dst) throws IOException;

    /**
     * As {@link #read}, but by reference.
     *
     * @return what {@code target} said; false, too, where the store has to look at what it reads
     */
    default boolean splice(long entry, int offsetInChunk, int lengthBytes, SpliceTarget target) throws IOException {
        return false;
    }

    /**
     * Reads from a packed chunk, from {@code offsetInChunk} on into all of {@code dst}, which ends within it.
     *
     * @throws IOException if what is stored is damaged, or another chunk's; {@code dst} holds anything then
     */
    default void readPacked(long chunk, long entry, int offsetInChunk, ByteBuffer dst) throws IOException {
        throw new IOException("chunk " + chunk + " is packed, which this format does not know");
    }

    /** What packs this store's cold chunks; null where nothing is compressed, or nothing may be changed. */
    default ChunkPacker packer() {
        return null;
    }

    /**
     * Writes all of {@code src} in place, on into the chunks that continue {@code entry}. Blocks that are missing may be
     * written, by the holder of the chunk's future alone; they go on missing until a commit says otherwise.
     */
    void write(long entry, int offsetInChunk, ByteBuffer src) throws IOException;

    /** Makes part of a chunk, no block of it missing, read as zeros in place, giving storage back where possible. */
    void zero(long entry, int offsetInChunk, int lengthBytes) throws IOException;

    /**
     * Whether bytes that lookups see may be written in place until the caller's section ends. If not, {@link #announce}
     * them, outside of sections, and look again. For a slot that is not committed yet nobody asks.
     */
    default boolean isAnnounced(long entry, int offsetInChunk, int lengthBytes) {
        return true;
    }

    /** Prepares for writes in place to the bytes that {@link #isAnnounced} was asked about. */
    default void announce(long entry, int offsetInChunk, int lengthBytes) throws IOException {}

    /**
     * Picks places for {@code chunk} and those that follow it, as many adjacent ones as it has up to {@code count}. They
     * are the caller's alone until {@link #commit} or {@link #release}; what they hold is undefined.
     *
     * @param count {@code 1..maxCommit()}
     * @return a {@link SlotRun} of {@code 1..count} slots
     * @throws StoreFullException when there is no place left
     */
    long allocate(long chunk, int count) throws IOException;

    /**
     * Takes back {@code count} adjacent places from {@code entry} on that were allocated for {@code chunk} and those that
     * follow it, and will not be committed.
     */
    void release(long chunk, long entry, int count);

    /**
     * Records that {@code count} chunks from {@code chunk} are at {@code entry} (ZERO for all of them, or slots counting
     * up from that one), then makes it visible to lookups; frees what they held. A failure leaves the mapping as it was;
     * the entry must then not be released: it may be on record, and where it is not the store has taken it back itself.
     *
     * <p>A format that has no record for ZERO of a chunk gives it a slot that holds zeros instead; or if it has one, and
     * there is nothing behind the store, makes it ORIGIN.
     *
     * <p>A partial entry is for one chunk. The slot that the chunk has already may be committed again, with fewer blocks
     * missing: it is then neither freed nor, on failure, taken back.
     */
    void commit(long chunk, int count, long entry) throws IOException;

    /** Most chunks that one {@link #commit} may cover, {@code >= 1}. */
    int maxCommit();

    /** Makes everything written and committed before this call durable. After a failure the store refuses changes. */
    void flush() throws IOException;

    /**
     * Makes space freed by earlier commits available now, flushing if that takes one; where another thread is about to,
     * waits for it.
     *
     * @return true if there was any left to do
     */
    boolean reclaim() throws IOException;

    /**
     * Chunks whose freed space was made available since the store was opened, by whomever. What failed for want of space
     * is worth another try when this has changed since before.
     */
    long reclaimed();

    /** Where an altered chunk is, for people; the request path does not call it. */
    ChunkSource locate(long entry);

    /** What is known of the store, for people. */
    ImageInfo info() throws IOException;

    /** As {@link #info}, but without a walk through the map: where that takes one, counts of chunks are 0. */
    default ImageInfo outline() throws IOException {
        return info();
    }

    /** Counters; those of the engine itself are zero. */
    DeviceStats stats();

    /** Bytes of storage the file occupies. */
    long allocatedBytes() throws IOException;

    /** Flushes, marks the store clean, releases every resource. A second call does nothing. */
    @Override
    void close() throws IOException;
}
