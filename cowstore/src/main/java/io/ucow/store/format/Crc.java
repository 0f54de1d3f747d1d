package io.ucow.store.format;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/** CRC32C (Castagnoli, as in iSCSI and ext4) over parts of a buffer whose position and limit stay as they are. */
final class Crc {
    private Crc() {}

    static void update(CRC32C crc, ByteBuffer buffer, int from, int to) {
        int position = buffer.position();
        int limit = buffer.limit();
        buffer.limit(to).position(from);
        crc.update(buffer);
        buffer.limit(limit).position(position);
    }

    static int of(ByteBuffer buffer, int from, int to) {
        CRC32C crc = new CRC32C();
        update(crc, buffer, from, to);
        return (int) crc.getValue();
    }
}
