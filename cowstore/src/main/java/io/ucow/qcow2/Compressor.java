package io.ucow.qcow2;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import io.ucow.store.Zeros;
import io.ucow.sys.BufferPool;
import java.nio.ByteBuffer;
import java.util.zip.Deflater;

/**
 * Makes clusters smaller, at the levels that QEMU has.
 *
 * <p>Threading: for one thread at a time.
 */
final class Compressor implements AutoCloseable {
    private final ByteBuffer cluster;
    /** One byte less than a cluster: what does not fit stays as it is. */
    private final ByteBuffer packed;
    /** One of them is null. */
    private final Deflater deflater;

    private final ZstdCompressCtx zstd;

    Compressor(ImageOptions options) {
        this.cluster = BufferPool.allocate(options.clusterSize());
        boolean isZstd = options.compressionType() == Header.ZSTD;
        // zstd wants room for whatever may come of it.
        int room = isZstd ? (int) Zstd.compressBound(options.clusterSize()) : options.clusterSize() - 1;
        this.packed = BufferPool.allocate(room);
        this.deflater = isZstd ? null : new Deflater(Deflater.DEFAULT_COMPRESSION, true);
        this.zstd = isZstd ? new ZstdCompressCtx() : null;
    }

    /**
     * Compresses a cluster, or the part of one that the device ends in, with zeros behind it.
     *
     * @param src direct; position and limit stay
     * @return what it became, until the next call; null if it did not get smaller
     */
    ByteBuffer compress(ByteBuffer src) {
        ByteBuffer whole = src.duplicate();
        if (src.remaining() < cluster.capacity()) {
            Zeros.fill(cluster.clear().put(whole));
            whole = cluster.flip();
        }
        packed.clear();
        return zstd == null ? deflated(whole) : compressed(whole);
    }

    private ByteBuffer deflated(ByteBuffer whole) {
        deflater.reset();
        deflater.setInput(whole);
        deflater.finish();
        deflater.deflate(packed);
        return deflater.finished() ? packed.flip() : null;
    }

    private ByteBuffer compressed(ByteBuffer whole) {
        zstd.compress(packed, whole);
        return packed.position() < cluster.capacity() ? packed.flip() : null;
    }

    @Override
    public void close() {
        if (deflater != null) {
            deflater.end();
        }
        if (zstd != null) {
            zstd.close();
        }
    }
}
