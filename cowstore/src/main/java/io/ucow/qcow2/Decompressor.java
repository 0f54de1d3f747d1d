package io.ucow.qcow2;

import com.github.luben.zstd.ZstdDecompressCtx;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Reads compressed clusters, and remembers the last one: small reads in a row decompress it once. That is right for as
 * long as nobody writes compressed clusters to the file: a place that is freed is then never a compressed cluster again.
 *
 * <p>Threading: for one thread at a time.
 */
final class Decompressor implements AutoCloseable {
    private static final long NOTHING = 0;

    private final PositionalFile file;
    private final int clusterBits;
    private final ByteBuffer stored;
    private final ByteBuffer cluster;
    /** One of them is null. */
    private final Inflater inflater;

    private final ZstdDecompressCtx zstd;
    /** The L2 entry of what {@link #cluster} holds. Read by anyone, as a hint. */
    private volatile long held = NOTHING;

    Decompressor(PositionalFile file, Header header) {
        this.file = file;
        this.clusterBits = header.clusterBits();
        this.stored = BufferPool.allocate(L2Entry.maxCompressedBytes(clusterBits));
        this.cluster = BufferPool.allocate(header.clusterSize());
        boolean isZstd = header.compressionType() == Header.ZSTD;
        this.inflater = isZstd ? null : new Inflater(true);
        this.zstd = isZstd ? new ZstdDecompressCtx() : null;
    }

    /** True when it has the cluster of this L2 entry at hand. */
    boolean holds(long entry) {
        return held == entry;
    }

    /**
     * Copies from {@code offset} of the cluster of a compressed L2 entry into all of {@code dst}, which ends within it.
     *
     * @throws IOException if it cannot be decompressed; {@code dst} is then as it was
     */
    void read(long entry, int offset, ByteBuffer dst) throws IOException {
        if (held != entry) {
            held = NOTHING;
            decompress(entry);
            held = entry;
        }
        int n = dst.remaining();
        dst.put(dst.position(), cluster, offset, n);
        dst.position(dst.position() + n);
    }

    private void decompress(long entry) throws IOException {
        long offset = L2Entry.compressedOffset(entry, clusterBits);
        // The data of the last cluster may end before its last sector does.
        file.read(stored.clear().limit(L2Entry.compressedBytes(entry, clusterBits)), offset);
        stored.flip();
        cluster.clear();
        try {
            if (zstd == null) {
                inflate();
            } else {
                decodeZstd();
            }
        } catch (DataFormatException | RuntimeException e) {
            throw new IOException(place(offset) + " cannot be decompressed", e);
        }
        if (cluster.hasRemaining()) {
            throw new IOException(place(offset) + " ends after " + cluster.position() + " bytes");
        }
    }

    private void inflate() throws DataFormatException {
        inflater.reset();
        inflater.setInput(stored);
        // The end of the stream need not be reached: it is over when there is a cluster of data.
        while (cluster.hasRemaining() && inflater.inflate(cluster) > 0) {}
    }

    private void decodeZstd() {
        zstd.reset();
        while (cluster.hasRemaining() && stored.hasRemaining()) {
            int before = stored.remaining() + cluster.remaining();
            zstd.decompressDirectByteBufferStream(cluster, stored);
            if (stored.remaining() + cluster.remaining() == before) {
                return;
            }
        }
    }

    private String place(long offset) {
        return file.name() + " at 0x" + Long.toHexString(offset) + ": compressed cluster";
    }

    @Override
    public void close() {
        if (inflater != null) {
            inflater.end();
        }
        if (zstd != null) {
            zstd.close();
        }
    }
}
