package io.ucow.store.journal;

import io.ucow.store.ChunkPacker;
import io.ucow.store.FrozenChunks;
import io.ucow.store.Zeros;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.store.remap.SlotRun;
import io.ucow.sys.BufferPool;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Moves a store's cold chunks into packs. It goes round the map as the hand of a clock: a slot that has been written since
 * it last came by loses its mark and gets a second chance; others are read, compressed, and put one behind another into
 * runs of free slots, a run for each call of {@link #move} as a rule.
 *
 * <p>Chunks that lie in the base in part stay: packed, they would hold the base's bytes, too.
 *
 * <p>Threading: as {@link ChunkPacker}; {@link #noteWrite} may be called by anyone. The hand is guarded by this.
 */
final class Packer implements ChunkPacker, AutoCloseable {
    /** What one call of {@link #next} looks at, at the most, in chunks. */
    private static final int LOOKS = 1 << 16;
    /** Packed chunks are collected in a buffer of this size before they are written. */
    private static final int PACK_SHIFT = 20;

    private final UcowStore store;
    private final PositionalFile file;
    private final RemapTable table;
    private final SlotAllocator slots;
    private final PackMap packs;
    private final PackedForm form;
    private final WriteMarks marks;
    private final int chunkShift;
    private final int chunkSize;
    private final Blocks blocks;
    /** The first chunk of which the base has nothing. */
    private final long firstBeyondBase;

    /** Where the hand is: the next chunk to look at. */
    private long hand;
    /** True when this round met chunks that are to be looked at again. */
    private volatile boolean again;
    /** True when a slot was written since the round began. Written by anyone, taken back by who packs. */
    private volatile boolean noted;

    private volatile Runnable wake = () -> {};

    Packer(
            UcowStore store,
            PositionalFile file,
            RemapTable table,
            SlotAllocator slots,
            PackMap packs,
            PackedForm form,
            long baseBytes)
            throws NativeException {
        this.store = store;
        this.file = file;
        this.table = table;
        this.slots = slots;
        this.packs = packs;
        this.form = form;
        this.chunkShift = store.geometry().chunkShift();
        this.chunkSize = store.geometry().chunkSize();
        this.blocks = Blocks.finest(chunkShift);
        this.firstBeyondBase = (baseBytes + chunkSize - 1) >>> chunkShift;
        this.marks = new WriteMarks(slots.first(), slots.count());
        this.noted = table.alteredChunks() > table.packedChunks();
    }

    /** Notes that {@code slotCount} slots are being written to. */
    void noteWrite(long slot, int slotCount) {
        if (marks.note(slot, slotCount) && !noted) {
            noted = true;
            wake.run();
        }
    }

    @Override
    public void onWork(Runnable newWake) {
        wake = newWake;
    }

    @Override
    public boolean hasWork() {
        return noted || again;
    }

    @Override
    public int next(long[] chunks) throws IOException {
        // Before any chunk is frozen: it may take a sync.
        store.limitWaiting();
        return advance(chunks);
    }

    private synchronized int advance(long[] chunks) {
        if (hand == 0) {
            noted = false;
            again = false;
        }
        int n = 0;
        for (int looks = 0; looks < LOOKS && n < chunks.length; looks++) {
            long chunk = hand < table.chunkCount() ? table.nextPresent(hand) : hand;
            if (chunk >= table.chunkCount()) {
                hand = n == 0 ? 0 : chunk;
                return n == 0 ? ROUND_OVER : n;
            }
            hand = chunk + 1;
            long entry = table.lookup(chunk);
            if (RemapEntry.isSlot(entry)) {
                if (marks.takeWritten(RemapEntry.slotOf(entry))) {
                    again = true;
                } else if (isCandidate(chunk, entry)) {
                    chunks[n++] = chunk;
                }
            }
        }
        return n;
    }

    private boolean isCandidate(long chunk, long entry) {
        return RemapEntry.isSlot(entry)
                && (RemapEntry.isWhole(entry) || chunk >= firstBeyondBase)
                && !marks.isIncompressible(RemapEntry.slotOf(entry));
    }

    @Override
    public boolean wants(long chunk, long entry) {
        return isCandidate(chunk, entry);
    }

    @Override
    public void move(FrozenChunks chunks) throws IOException {
        BufferPool rawBuffers = BufferPool.shared(chunkShift);
        BufferPool packBuffers = BufferPool.shared(PACK_SHIFT);
        ByteBuffer raw = rawBuffers.take();
        ByteBuffer pack = packBuffers.take();
        boolean done = false;
        try {
            Collected collected = new Collected(chunks.size());
            for (int i = 0; i < chunks.size(); i++) {
                readRaw(chunks.entry(i), raw);
                int held = blocks.heldBytes(RemapEntry.missing(chunks.entry(i)));
                int n = form.pack(chunks.chunk(i), raw, held, pack, pack.position());
                if (n == 0) {
                    marks.setIncompressible(RemapEntry.slotOf(chunks.entry(i)));
                } else {
                    collected.add(i, n);
                    pack.position(pack.position() + n);
                }
                if (pack.remaining() < form.mostBytes()) {
                    place(chunks, collected, pack.flip());
                    collected.count = 0;
                    pack.clear();
                }
            }
            place(chunks, collected, pack.flip());
            done = true;
        } finally {
            if (!done) {
                again = true;
            }
            packBuffers.give(pack);
            rawBuffers.give(raw);
        }
    }

    /** What is in the buffer. */
    private static final class Collected {
        /** As {@link FrozenChunks} numbers them. */
        final int[] chunks;
        /** How long each is, in bytes. */
        final int[] lengths;

        int count;

        Collected(int most) {
            this.chunks = new int[most];
            this.lengths = new int[most];
        }

        void add(int chunk, int lengthBytes) {
            chunks[count] = chunk;
            lengths[count++] = lengthBytes;
        }
    }

    /** Reads the whole of a chunk; blocks that its slot lacks are the base's, which has nothing there. */
    private void readRaw(long entry, ByteBuffer raw) throws IOException {
        raw.clear();
        int missing = RemapEntry.missing(entry);
        if (missing == 0) {
            store.read(entry, 0, raw);
            return;
        }
        int end;
        for (int from = 0; from < chunkSize; from = end) {
            end = blocks.runEnd(missing, from);
            raw.limit(end).position(from);
            if (blocks.contains(missing, from)) {
                Zeros.fill(raw);
            } else {
                store.read(entry, from, raw);
            }
        }
    }

    /** Writes what was collected to free slots, and commits it. */
    private void place(FrozenChunks chunks, Collected collected, ByteBuffer pack) throws IOException {
        int[] lengths = collected.lengths;
        int total = pack.limit();
        int at = 0;
        for (int from = 0; from < collected.count; ) {
            long run = slots.allocate((total - at + chunkSize - 1) >>> chunkShift);
            long room = (long) SlotRun.count(run) << chunkShift;
            int to = from;
            int bytes = 0;
            while (to < collected.count && bytes + lengths[to] <= room) {
                bytes += lengths[to++];
            }
            write(pack.limit(at + bytes).position(at), run);
            commit(chunks, collected, from, to, SlotRun.slot(run) << chunkShift);
            at += bytes;
            from = to;
        }
    }

    /** Writes to the first slots of a run and gives the others back; all of them if it fails. */
    private void write(ByteBuffer src, long run) throws IOException {
        long slot = SlotRun.slot(run);
        int used = (src.remaining() + chunkSize - 1) >>> chunkShift;
        boolean written = false;
        try {
            file.write(src, slot << chunkShift);
            written = true;
        } finally {
            if (!written) {
                store.release(SlotRun.entry(run), SlotRun.count(run));
            }
        }
        slots.free(slot + used, SlotRun.count(run) - used);
    }

    private void commit(FrozenChunks chunks, Collected collected, int from, int to, long offset) throws IOException {
        int[] lengths = collected.lengths;
        long place = offset;
        for (int i = from; i < to; i++) {
            // All of them before the first is committed, and may be given up again.
            packs.take(RemapEntry.packed(place, lengths[i]));
            place += lengths[i];
        }
        place = offset;
        int tried = from;
        try {
            for (; tried < to; tried++) {
                long entry = RemapEntry.packed(place, lengths[tried]);
                place += lengths[tried];
                chunks.commit(collected.chunks[tried], 1, entry);
            }
        } finally {
            for (int i = tried + 1; i < to; i++) {
                // Of the one that failed the store knows what is to become.
                store.release(RemapEntry.packed(place, lengths[i]), 1);
                place += lengths[i];
            }
        }
    }

    @Override
    public void close() throws NativeException {
        marks.close();
    }
}
