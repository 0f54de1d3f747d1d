package io.ucow.store;

import io.ucow.store.format.DeltaHeader;
import io.ucow.store.format.DeltaRecord;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * Lays a backup stream out, as {@link DeltaHeader} and {@link DeltaRecord} have it.
 *
 * <p>Threading: one thread.
 */
final class DeltaWriter {
    /** Where the stream goes. */
    @FunctionalInterface
    interface Sink {
        /** Takes all of {@code bytes}, a direct buffer. */
        void write(ByteBuffer bytes) throws IOException;
    }

    private static final ByteBuffer NOTHING = ByteBuffer.allocateDirect(0);

    private final Sink sink;
    private final boolean relative;
    private final CRC32C whole = new CRC32C();
    private final ByteBuffer record =
            ByteBuffer.allocateDirect(DeltaRecord.SIZE).order(ByteOrder.LITTLE_ENDIAN);
    private long number;
    private long dataBytes;
    /** Zeros not told yet; empty when both are equal. */
    private long zerosStart;

    private long zerosEnd;

    /** Writes the header. */
    DeltaWriter(Sink sink, DeltaHeader header) throws IOException {
        this.sink = sink;
        this.relative = header.since().isPresent();
        ByteBuffer block = ByteBuffer.allocateDirect(DeltaHeader.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        header.encode(block);
        put(block);
    }

    /** The device has {@code data}, at most {@link DeltaRecord#MAX_DATA_BYTES}, at {@code offset}, after all told before. */
    void data(long offset, ByteBuffer data) throws IOException {
        tellZeros();
        record(DeltaRecord.DATA, offset, data.remaining(), data);
        dataBytes += data.remaining();
        put(data);
    }

    /** The device has zeros in a range, after all told before. */
    void zeros(long offset, long lengthBytes) throws IOException {
        if (lengthBytes == 0 || !relative) {
            return; // to zeros there is nothing to tell
        }
        if (offset != zerosEnd) {
            tellZeros();
            zerosStart = offset;
        }
        zerosEnd = offset + lengthBytes;
    }

    private void tellZeros() throws IOException {
        if (zerosStart < zerosEnd) {
            record(DeltaRecord.ZEROS, zerosStart, zerosEnd - zerosStart, NOTHING);
            zerosStart = zerosEnd;
        }
    }

    /** Nothing follows. */
    void end() throws IOException {
        tellZeros();
        record(DeltaRecord.END, dataBytes, whole.getValue(), NOTHING);
    }

    private void record(int kind, long offset, long lengthBytes, ByteBuffer data) throws IOException {
        DeltaRecord.encode(record.clear(), kind, number++, offset, lengthBytes, data);
        put(record);
    }

    private void put(ByteBuffer bytes) throws IOException {
        whole.update(bytes.duplicate());
        sink.write(bytes);
    }
}
