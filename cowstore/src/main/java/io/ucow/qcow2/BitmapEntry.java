package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import java.nio.ByteBuffer;

/**
 * An entry of the directory of persistent bitmaps, padded to 8 bytes:
 * <pre>
 *    0 bitmap_table_offset   12 flags   17 granularity_bits   20 extra_data_size
 *    8 bitmap_table_size     16 type    18 name_size          24 extra data, then the name
 * </pre>
 *
 * @param tableOffset where its table is, in bytes
 * @param tableSize entries of that: 8 bytes each, bits 9..55 an offset, 0 for none
 * @param flags bit 0 says that it was not saved properly
 */
record BitmapEntry(long tableOffset, int tableSize, int flags) {
    private static final int FIXED_BYTES = 24;
    private static final int MAX_EXTRA_BYTES = 1 << 20;

    /**
     * Decodes the entry at the position of {@code directory}, which moves to the next one.
     *
     * @param directory big-endian
     * @param image for messages
     * @throws CorruptStoreException if the entry goes on past the limit
     */
    static BitmapEntry decode(ByteBuffer directory, String image) throws CorruptStoreException {
        int at = directory.position();
        int bytes = directory.remaining() < FIXED_BYTES ? -1 : directory.getInt(at + 20);
        if (bytes >= 0 && bytes <= MAX_EXTRA_BYTES) {
            bytes = (FIXED_BYTES + bytes + (directory.getShort(at + 18) & 0xffff) + 7) & ~7;
        }
        if (bytes < FIXED_BYTES || bytes > directory.remaining()) {
            throw new CorruptStoreException(image + ": the directory of bitmaps ends within an entry");
        }
        directory.position(at + bytes);
        return new BitmapEntry(directory.getLong(at), directory.getInt(at + 8), directory.getInt(at + 12));
    }
}
