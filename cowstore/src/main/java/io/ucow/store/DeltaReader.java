package io.ucow.store;

import io.ucow.store.format.DeltaHeader;
import io.ucow.store.format.DeltaRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;

/**
 * Reads a backup stream, taken for hostile: what it says is checked before it is passed on, ranges included, and it is
 * complete and as it was written only once {@link #next} has returned false. Holds one record.
 *
 * <p>Threading: one thread.
 */
final class DeltaReader {
    private final ReadableByteChannel in;
    private final String name;
    private final LongConsumer progress;
    private final DeltaHeader header;
    private final CRC32C whole = new CRC32C();
    private final ByteBuffer record =
            ByteBuffer.allocateDirect(DeltaRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
    private final ByteBuffer data = ByteBuffer.allocateDirect(DeltaRecord.MAX_DATA_BYTES);
    /** Bytes of the stream read so far. */
    private long position;

    private long records;
    private long dataBytes;
    /** Where the range told last ends. */
    private long end;

    /**
     * Reads the header.
     *
     * @param name for messages
     * @param progress told of how many further bytes have been read
     */
    DeltaReader(ReadableByteChannel in, String name, LongConsumer progress) throws IOException {
        this.in = in;
        this.name = name;
        this.progress = progress;
        ByteBuffer block = ByteBuffer.allocateDirect(DeltaHeader.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        if (read(block) < DeltaHeader.SIZE) {
            throw new UnsupportedFormatException(name + ": is not a stream that 'ucow export' wrote: it has " + position
                    + " bytes, expected a header of " + DeltaHeader.SIZE);
        }
        this.header = DeltaHeader.decode(block, name);
        whole.update(block.flip());
    }

    DeltaHeader header() {
        return header;
    }

    /**
     * Goes on to the next range.
     *
     * @return false when there is none, and all was as it was written
     * @throws CorruptStoreException if anything was not: where, and what
     */
    boolean next() throws IOException {
        long at = position;
        readAll(record.clear(), at);
        int kind = record.getInt(DeltaRecord.KIND);
        long length = record.getLong(DeltaRecord.LENGTH);
        data.clear().limit(0);
        if (kind == DeltaRecord.DATA) {
            if (length < 1 || length > DeltaRecord.MAX_DATA_BYTES) {
                throw corrupt(at, "of data has " + length + " bytes, expected 1.." + DeltaRecord.MAX_DATA_BYTES);
            }
            readAll(data.limit((int) length), at);
            data.flip();
        }
        int stored = record.getInt(DeltaRecord.CRC);
        int computed = DeltaRecord.checksum(record, data);
        if (stored != computed) {
            throw corrupt(at, String.format("has crc 0x%08x, expected 0x%08x", stored, computed));
        }
        if (record.getLong(DeltaRecord.NUMBER) != records) {
            throw corrupt(at, "says it is record " + record.getLong(DeltaRecord.NUMBER));
        }
        if (kind == DeltaRecord.END) {
            requireEnd(at);
            return false;
        }
        if (kind != DeltaRecord.DATA && kind != DeltaRecord.ZEROS) {
            throw corrupt(at, "is of kind " + kind + ", expected 1..3");
        }
        long size = header.geometry().sizeBytes();
        if (offset() < end || length < 1 || offset() > size || length > size - offset()) {
            throw corrupt(
                    at, "is of " + length + " bytes at " + offset() + ", expected some within " + end + ".." + size);
        }
        end = offset() + length;
        whole.update(record.clear());
        whole.update(data.duplicate());
        dataBytes += data.remaining();
        records++;
        return true;
    }

    private void requireEnd(long at) throws IOException {
        long dataTold = record.getLong(DeltaRecord.OFFSET);
        long crcTold = record.getLong(DeltaRecord.LENGTH);
        if (dataTold != dataBytes || crcTold != whole.getValue()) {
            throw corrupt(
                    at,
                    String.format(
                            "ends %d bytes of data with crc 0x%08x, expected %d and 0x%08x",
                            dataTold, crcTold, dataBytes, whole.getValue()));
        }
        if (read(data.clear().limit(1)) > 0) {
            throw new CorruptStoreException(
                    name + " at 0x" + Long.toHexString(position - 1) + ": stream goes on after its end");
        }
    }

    /** First byte of the range on the device. */
    long offset() {
        return record.getLong(DeltaRecord.OFFSET);
    }

    /** Length of the range. */
    long lengthBytes() {
        return record.getLong(DeltaRecord.LENGTH);
    }

    /** True if the range has {@link #data}, false if it is zeros. */
    boolean isData() {
        return record.getInt(DeltaRecord.KIND) == DeltaRecord.DATA;
    }

    /** What the range has; good until {@link #next}. */
    ByteBuffer data() {
        return data;
    }

    private void readAll(ByteBuffer dst, long at) throws IOException {
        int wanted = dst.remaining();
        if (read(dst) < wanted) {
            throw new CorruptStoreException(name + " at 0x" + Long.toHexString(position)
                    + ": stream ends in or before record " + records + ", which begins at 0x" + Long.toHexString(at)
                    + "; export it again");
        }
    }

    /** @return bytes read, fewer than there is room for only at the end */
    private int read(ByteBuffer dst) throws IOException {
        int start = dst.position();
        while (dst.hasRemaining()) {
            int n = in.read(dst);
            if (n < 0) {
                break;
            }
            position += n;
            progress.accept(n);
        }
        return dst.position() - start;
    }

    private CorruptStoreException corrupt(long at, String what) {
        return new CorruptStoreException(
                name + " at 0x" + Long.toHexString(at) + ": record " + records + " " + what + "; export it again");
    }
}
