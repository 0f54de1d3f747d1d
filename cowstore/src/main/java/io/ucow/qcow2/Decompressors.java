package io.ucow.qcow2;

import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The decompressors of one image, which threads borrow for the length of a read; who reads on in a cluster gets the one
 * that has it.
 *
 * <p>Threading: {@link #read} is lock-free; {@link #close} must not race with it.
 */
final class Decompressors implements AutoCloseable {
    private static final int KEPT = 16;

    private final PositionalFile file;
    private final Header header;
    private final AtomicReferenceArray<Decompressor> kept = new AtomicReferenceArray<>(KEPT);

    Decompressors(PositionalFile file, Header header) {
        this.file = file;
        this.header = header;
    }

    /** As {@link Decompressor#read}. */
    void read(long entry, int offset, ByteBuffer dst) throws IOException {
        Decompressor decompressor = take(entry);
        try {
            decompressor.read(entry, offset, dst);
        } finally {
            give(decompressor);
        }
    }

    private Decompressor take(long entry) {
        Decompressor any = take(entry, true);
        if (any == null) {
            any = take(entry, false);
        }
        return any == null ? new Decompressor(file, header) : any;
    }

    private Decompressor take(long entry, boolean holding) {
        for (int i = 0; i < KEPT; i++) {
            Decompressor d = kept.get(i);
            if (d != null && (!holding || d.holds(entry)) && kept.compareAndSet(i, d, null)) {
                return d;
            }
        }
        return null;
    }

    private void give(Decompressor decompressor) {
        for (int i = 0; i < KEPT; i++) {
            if (kept.get(i) == null && kept.compareAndSet(i, null, decompressor)) {
                return;
            }
        }
        decompressor.close();
    }

    @Override
    public void close() {
        for (int i = 0; i < KEPT; i++) {
            Decompressor d = kept.getAndSet(i, null);
            if (d != null) {
                d.close();
            }
        }
    }
}
