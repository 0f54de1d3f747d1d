package io.ucow.store.journal;

import io.ucow.store.Zeros;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * What chunks have in their slots, as it is in the file.
 *
 * <p>Threading: any number of threads.
 */
class SlotFile {
    final PositionalFile file;
    private final boolean keepsSpace;

    /** @param keepsSpace whether what the file occupies is never given back */
    SlotFile(PositionalFile file, boolean keepsSpace) {
        this.file = file;
        this.keepsSpace = keepsSpace;
    }

    /** Reads all of {@code dst} from {@code offset} on. */
    void read(ByteBuffer dst, long offset) throws IOException {
        int wanted = dst.remaining();
        if (file.read(dst, offset) < wanted) {
            throw new IOException(file.name() + " at 0x" + Long.toHexString(offset) + ": file ends within a slot");
        }
    }

    /** As {@link PositionalFile#splice}. */
    boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return file.splice(offset, lengthBytes, target);
    }

    /** Writes all of {@code src} to {@code offset} and what follows. */
    void write(ByteBuffer src, long offset) throws IOException {
        file.write(src, offset);
    }

    /** Makes a range read as zeros, giving storage back where possible, unless it is to be kept. */
    void zero(long offset, int lengthBytes) throws IOException {
        if (keepsSpace || !file.tryPunchHole(offset, lengthBytes)) {
            Zeros.write(file, offset, lengthBytes);
        }
    }

    /** Reads that found something damaged. */
    long damagedReads() {
        return 0;
    }
}
