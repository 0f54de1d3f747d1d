package io.ucow.store;

import io.ucow.store.format.DeltaHeader;
import io.ucow.sys.BufferPool;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.LongConsumer;

/**
 * An image as a stream, for {@link DeltaImport}: all that its device holds, or what has changed since a layer of its chain
 * was frozen. Of holes and blocks of zeros there is no more than that they are.
 *
 * <p>Threading: one thread. While this is open nobody can write to the images of the chain.
 */
public final class DeltaExport implements Closeable {
    private static final int FILE_MODE = 0644;
    private static final int PIECE_SHIFT = 18;
    private static final int PIECE_BYTES = 1 << PIECE_SHIFT;

    private final CowDevice device;
    /** Null for all of the device. */
    private final Changes changes;

    private final DeltaHeader header;

    private DeltaExport(CowDevice device, Changes changes, DeltaHeader header) {
        this.device = device;
        this.changes = changes;
        this.header = header;
    }

    /**
     * Opens the image and its chain.
     *
     * @param since a layer below {@code image}; empty for all of the device
     * @throws StoreInUseException if the image is open for writing
     * @throws UnsupportedFormatException if the image was not closed properly
     * @throws IllegalArgumentException if {@code since} is no layer below {@code image}
     */
    public static DeltaExport open(Path image, Optional<Path> since) throws IOException {
        CowDevice device = openImage(image);
        Changes changes = null;
        try {
            ContentId content = contentId(image);
            Optional<DeltaHeader.Since> from = Optional.empty();
            if (since.isPresent()) {
                changes = Changes.of(image, since.get());
                from = Optional.of(sinceOf(since.get()));
            }
            return new DeltaExport(
                    device, changes, new DeltaHeader(device.info().geometry(), content, from));
        } catch (IOException | RuntimeException e) {
            closeAfter(e, changes);
            closeAfter(e, device);
            throw e;
        }
    }

    private static CowDevice openImage(Path image) throws IOException {
        try {
            return Images.open(image, true);
        } catch (StoreInUseException e) {
            throw new StoreInUseException(
                    e.getMessage() + "; to export a disk in use, export the layer that 'ucow snapshot'"
                            + " makes of it",
                    e);
        }
    }

    private static DeltaHeader.Since sinceOf(Path layer) throws IOException {
        ContentId content = contentId(layer);
        try (LayerOrigin origin = Images.openNewLayer(layer)) {
            return new DeltaHeader.Since(
                    origin.sizeBytes(), content, origin.reference("").fingerprint());
        }
    }

    private static ContentId contentId(Path image) throws IOException {
        return Images.contentId(image)
                .orElseThrow(() -> new UnsupportedFormatException(image
                        + ": does not tell what it holds, for it was not closed properly; attach and detach it once"));
    }

    private static void closeAfter(Exception failure, Closeable resource) {
        if (resource != null) {
            try {
                resource.close();
            } catch (IOException e) {
                failure.addSuppressed(e);
            }
        }
    }

    /** How many bytes of the device have to be looked at. */
    public long totalBytes() throws IOException {
        long[] total = new long[1];
        forEachRange((offset, lengthBytes) -> total[0] += lengthBytes);
        return total[0];
    }

    private void forEachRange(RangeVisitor visitor) throws IOException {
        if (changes == null) {
            visitor.range(0, device.sizeBytes());
        } else {
            changes.forEach(visitor);
        }
    }

    /**
     * Writes the stream.
     *
     * @param progress told of how many further bytes have been dealt with; all calls together make {@link #totalBytes}
     * @throws StoreFullException if there is no room for it where {@code out} leads
     */
    public void writeTo(WritableByteChannel out, LongConsumer progress) throws IOException {
        write(bytes -> writeAll(out, bytes), progress);
    }

    private static void writeAll(WritableByteChannel out, ByteBuffer bytes) throws IOException {
        try {
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
        } catch (IOException e) {
            String problem = "the stream ends too early: " + e.getMessage()
                    + "; no import takes what there is of it; export it again";
            throw Errno.of(e) == Errno.ENOSPC ? new StoreFullException(problem, e) : new IOException(problem, e);
        }
    }

    /**
     * Writes the stream to a file that has its name when it is complete and durable, not before.
     *
     * @param out must not exist
     * @param progress as the other
     * @throws FileAlreadyExistsException if {@code out} exists
     * @throws StoreFullException if there is no room for it
     */
    public void writeTo(Path out, LongConsumer progress) throws IOException {
        try (PartFile part = PartFile.of(out)) {
            try (NativeFile file = NativeFile.create(part.path(), FILE_MODE)) {
                if (!file.tryLock(true)) {
                    throw new StoreInUseException(part.path() + ": was locked as soon as it was created; try again");
                }
                long[] end = new long[1];
                write(
                        bytes -> {
                            long at = end[0];
                            end[0] += bytes.remaining();
                            file.write(bytes, at);
                        },
                        progress);
                file.sync();
            }
            part.complete();
        } catch (IOException e) {
            if (Errno.of(e) == Errno.ENOSPC) {
                throw new StoreFullException(
                        out + ": no space left for it, and nothing of it was kept; make room, or choose another place",
                        e);
            }
            throw e;
        }
    }

    private void write(DeltaWriter.Sink sink, LongConsumer progress) throws IOException {
        DeltaWriter writer = new DeltaWriter(sink, header);
        BufferPool buffers = BufferPool.shared(PIECE_SHIFT);
        ByteBuffer buffer = buffers.take();
        try {
            forEachRange((offset, lengthBytes) -> writeRange(writer, offset, offset + lengthBytes, buffer, progress));
        } finally {
            buffers.give(buffer);
        }
        writer.end();
    }

    private void writeRange(DeltaWriter writer, long from, long to, ByteBuffer buffer, LongConsumer progress)
            throws IOException {
        long at = from;
        while (at < to) {
            long data = Math.min(to, device.seekData(at));
            writer.zeros(at, data - at);
            progress.accept(data - at);
            at = data;
            long dataEnd = data < to ? Math.min(to, Math.max(data + 1, device.seekHole(data))) : to;
            while (at < dataEnd) {
                int n = (int) Math.min(PIECE_BYTES - (at & (PIECE_BYTES - 1)), dataEnd - at);
                device.read(at, buffer.clear().limit(n));
                writePiece(writer, at, buffer.flip());
                progress.accept(n);
                at += n;
            }
        }
    }

    private static void writePiece(DeltaWriter writer, long offset, ByteBuffer piece) throws IOException {
        int length = piece.limit();
        for (int start = 0; start < length; ) {
            int data = DeviceCopy.runEnd(offset, piece, start, true);
            writer.zeros(offset + start, data - start);
            start = data;
            if (data < length) {
                start = DeviceCopy.runEnd(offset, piece, data, false);
                writer.data(offset + data, piece.limit(start).position(data));
                piece.limit(length);
            }
        }
    }

    @Override
    public void close() throws IOException {
        try (device) {
            if (changes != null) {
                changes.close();
            }
        }
    }
}
