package io.ucow.store.format;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * One record of a backup stream: 32 bytes, little-endian, behind one of data its bytes.
 * <pre>
 *   0 u32 crc      of bytes 4..31 and the data behind them
 *   4 u32 kind     1 data, 2 zeros, 3 end
 *   8 u64 number   counts records from 0
 *  16 u64 offset   on the device, bytes      end: bytes of data in all records
 *  24 u64 length   bytes                     end: CRC32C of all bytes before this record
 * </pre>
 * Source: docs/FORMAT.md.
 */
public final class DeltaRecord {
    public static final int CRC = 0, KIND = 4, NUMBER = 8, OFFSET = 16, LENGTH = 24, SIZE = 32;
    public static final int DATA = 1, ZEROS = 2, END = 3;
    /** Most bytes of data in one record: bounds what a reader must hold. */
    public static final int MAX_DATA_BYTES = 1 << 20;

    private DeltaRecord() {}

    /** Lays a record out at 0, checksum included. {@code data}, from its position to its limit, stays as it is. */
    public static void encode(ByteBuffer record, int kind, long number, long offset, long length, ByteBuffer data) {
        record.putInt(KIND, kind);
        record.putLong(NUMBER, number);
        record.putLong(OFFSET, offset);
        record.putLong(LENGTH, length);
        record.putInt(CRC, checksum(record, data));
    }

    /** What the checksum must be of the record at 0 with {@code data}, which stays as it is, behind it. */
    public static int checksum(ByteBuffer record, ByteBuffer data) {
        CRC32C crc = new CRC32C();
        Crc.update(crc, record, KIND, SIZE);
        Crc.update(crc, data, data.position(), data.limit());
        return (int) crc.getValue();
    }
}
