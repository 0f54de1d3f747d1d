package io.ucow.store.journal;

import io.ucow.store.Compression;
import io.ucow.store.format.MapPage;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Reads and unpacks every packed chunk of a store whose map is sound: none overlaps another, so that takes as long as to
 * read the file.
 *
 * <p>Threading: confined to one thread.
 */
final class PackCheck {
    private final Superblock superblock;
    private final RemapTable table;
    private final PackReader reader;

    PackCheck(PositionalFile file, Superblock superblock, RemapTable table) {
        int chunkShift = superblock.geometry().chunkShift();
        this.superblock = superblock;
        this.table = table;
        this.reader = superblock.compression() == Compression.NONE
                ? null
                : new PackReader(file, new PackedForm(Superblock.bytes(superblock.uuid()), chunkShift), chunkShift);
    }

    /** @param problems told of each chunk that is damaged */
    void run(Problems problems) throws IOException {
        if (reader == null) {
            return;
        }
        BufferPool buffers = BufferPool.shared(superblock.geometry().chunkShift());
        ByteBuffer stored = buffers.take();
        ByteBuffer raw = buffers.take();
        try {
            for (long chunk = table.nextPresent(0); chunk < table.chunkCount(); chunk = table.nextPresent(chunk)) {
                long leafEnd = Math.min(table.chunkCount(), (chunk / MapPage.FANOUT + 1) * MapPage.FANOUT);
                for (; chunk < leafEnd; chunk++) {
                    long entry = table.lookup(chunk);
                    String problem = RemapEntry.isPacked(entry) ? reader.problem(chunk, entry, stored, raw) : null;
                    if (problem != null) {
                        problems.report(problem);
                    }
                }
                if (chunk >= table.chunkCount()) {
                    return;
                }
            }
        } finally {
            buffers.give(stored);
            buffers.give(raw);
        }
    }
}
