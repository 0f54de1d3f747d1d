package io.ucow.store.journal;

import io.ucow.store.Compression;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The journal's ring as it is in the file, read once. Of a place it can say which record is there, whatever the superblock
 * thinks of it, or that what is there never was a record.
 *
 * <p>Threading: confined to one thread.
 */
final class JournalReader {
    /** What {@link #numberAt} says of a place without a record. */
    static final long NONE = -1;

    private final Superblock superblock;
    private final String name;
    private final ByteBuffer ring;
    private final int available;
    private final CRC32C checksum = new CRC32C();
    private final byte[] uuid;

    /** @throws IOException if the ring cannot be read; a ring that the file cuts short has fewer places */
    JournalReader(PositionalFile file, Superblock superblock) throws IOException {
        this.superblock = superblock;
        this.name = file.name();
        this.uuid = Superblock.bytes(superblock.uuid());
        this.ring = ByteBuffer.allocateDirect(capacity() * JournalRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        file.read(ring, superblock.journalOffset());
        this.available = ring.position() / JournalRecord.SIZE;
    }

    /** Places in the ring, in the file or not. */
    int capacity() {
        return (int) superblock.journalCapacity();
    }

    /** True when the valid record {@code seq} is in its place. */
    boolean has(long seq) {
        int index = indexOf(seq);
        if (index >= available) {
            return false;
        }
        checksum.reset();
        checksum.update(uuid);
        return JournalRecord.isValid(ring, index * JournalRecord.SIZE, checksum, seq);
    }

    /** The number of the valid record in a place, {@code 0 <= index < capacity()}, of any session; or {@link #NONE}. */
    long numberAt(int index) {
        long seq = index < available ? JournalRecord.seq(ring, index * JournalRecord.SIZE) : NONE;
        return seq >= 0 && indexOf(seq) == index && has(seq) ? seq : NONE;
    }

    /** The number of some valid record that is {@code first} or higher; {@link #NONE} if there is none. */
    long anyFrom(long first) {
        for (int index = 0; index < capacity(); index++) {
            if (numberAt(index) >= first) {
                return numberAt(index);
            }
        }
        return NONE;
    }

    /** True when the place of {@code seq} holds something that no writer leaves: neither a record nor zeros. */
    boolean isDamaged(long seq) {
        int index = indexOf(seq);
        if (index >= available || numberAt(index) != NONE) {
            return false;
        }
        for (int i = 0; i < JournalRecord.SIZE; i += Long.BYTES) {
            if (ring.getLong(index * JournalRecord.SIZE + i) != 0) {
                return true;
            }
        }
        return false;
    }

    /** True for a barrier; of this and the following, {@link #has} holds for {@code seq}. */
    boolean isBarrier(long seq) {
        return type(seq) == JournalRecord.BARRIER;
    }

    /** True for a record that says which regions of the file may have changed; only a store with checksums has any. */
    boolean isOverwrite(long seq) {
        return superblock.checksums() && type(seq) == JournalRecord.OVERWRITE;
    }

    int type(long seq) {
        return JournalRecord.type(ring, position(seq));
    }

    long chunk(long seq) {
        return JournalRecord.chunk(ring, position(seq));
    }

    long count(long seq) {
        return JournalRecord.count(ring, position(seq));
    }

    long value(long seq) {
        return JournalRecord.value(ring, position(seq));
    }

    /** True when a barrier covers no record that is newer than itself. */
    boolean isPossibleBarrier(long seq) {
        return value(seq) >= 0 && value(seq) <= seq;
    }

    /** True when an overwrite is of regions that a file can have. */
    boolean isPossibleOverwrite(long seq) {
        return count(seq) >= 1 && chunk(seq) + count(seq) <= JournalRecord.MAX_REGIONS;
    }

    /** True when a record, of whatever type, is one that a device of so many chunks can have. */
    boolean isPossible(long seq, long chunkCount, Blocks blocks) {
        if (isBarrier(seq)) {
            return isPossibleBarrier(seq);
        }
        return isOverwrite(seq) ? isPossibleOverwrite(seq) : isPossibleRemap(seq, chunkCount, blocks);
    }

    /** True when a record that is no barrier is a remap that a device of so many chunks can have. */
    boolean isPossibleRemap(long seq, long chunkCount, Blocks blocks) {
        long entry = value(seq);
        long count = count(seq);
        return type(seq) == JournalRecord.REMAP
                && count >= 1
                && count <= JournalRecord.MAX_COUNT
                && chunk(seq) + count <= chunkCount
                && (RemapEntry.isValid(entry, blocks) || (count == 1 && isPossiblePacked(entry, blocks)))
                && !(RemapEntry.isPartial(entry) && count > 1)
                && !(RemapEntry.isWhole(entry) && !RemapEntry.isWhole(entry + count - 1));
    }

    private boolean isPossiblePacked(long entry, Blocks blocks) {
        return superblock.compression() != Compression.NONE && RemapEntry.isValidPacked(entry, blocks);
    }

    /** The entry that a remap gives to its chunk number {@code i}, {@code 0 <= i < count(seq)}. */
    long entry(long seq, int i) {
        long entry = value(seq);
        return RemapEntry.isSlot(entry) ? entry + i : entry;
    }

    /** The place of {@code seq} in the ring. */
    int indexOf(long seq) {
        return (int) (seq % capacity());
    }

    /** How a message about {@code seq} begins. */
    String at(long seq) {
        return String.format("%s at 0x%x: journal record %d: ", name, superblock.journalOffset() + position(seq), seq);
    }

    private int position(long seq) {
        return indexOf(seq) * JournalRecord.SIZE;
    }
}
