package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * An entry of the snapshot table, padded to 8 bytes:
 * <pre>
 *    0 l1_table_offset   12 id_str_size   20 date_nsec        36 extra_data_size
 *    8 l1_size           14 name_size     24 vm_clock_nsec    40 extra data: 8 bytes VM state size, 8 bytes disk size, …
 *                        16 date_sec      32 vm_state_size       then id and name
 * </pre>
 *
 * @param id unique among the image's snapshots
 * @param l1TableOffset where its L1 table is, in bytes
 * @param l1Size entries of that
 * @param seconds when it was taken, since 1970
 * @param diskSize the disk's size then, in bytes; -1 if that is not recorded
 */
record SnapshotEntry(String id, String name, long l1TableOffset, int l1Size, int seconds, long diskSize) {
    /** Length without what is variable. */
    static final int FIXED_BYTES = 40;
    /** More than this nobody writes. */
    private static final int MAX_EXTRA_BYTES = 1024;

    private static final int DISK_SIZE_END = 16;

    /**
     * @param table big-endian; the entry starts at its position, which moves to the next one
     * @param image for messages
     * @throws CorruptStoreException if the entry goes on past the limit
     */
    static SnapshotEntry decode(ByteBuffer table, String image) throws CorruptStoreException {
        int at = table.position();
        if (table.remaining() < FIXED_BYTES) {
            throw new CorruptStoreException(image + ": the snapshot table ends within an entry");
        }
        int idBytes = table.getShort(at + 12) & 0xffff;
        int nameBytes = table.getShort(at + 14) & 0xffff;
        int extra = table.getInt(at + 36);
        if (extra < 0 || extra > MAX_EXTRA_BYTES || extra + idBytes + nameBytes > table.remaining() - FIXED_BYTES) {
            throw new CorruptStoreException(image + ": a snapshot's id, name or extra data go on past its table's end");
        }
        int text = at + FIXED_BYTES + extra;
        table.position(Math.min(table.limit(), at + (FIXED_BYTES + extra + idBytes + nameBytes + 7 & ~7)));
        return new SnapshotEntry(
                text(table, text, idBytes),
                text(table, text + idBytes, nameBytes),
                table.getLong(at),
                table.getInt(at + 8),
                table.getInt(at + 16),
                extra >= DISK_SIZE_END ? table.getLong(at + FIXED_BYTES + 8) : -1);
    }

    /** Its id and name, for people. */
    String label() {
        return name.isEmpty() ? id : id + " '" + name + "'";
    }

    private static String text(ByteBuffer table, int at, int length) {
        byte[] bytes = new byte[length];
        table.get(at, bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
