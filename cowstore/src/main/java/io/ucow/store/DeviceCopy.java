package io.ucow.store;

import io.ucow.sys.BufferPool;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.LongConsumer;

/**
 * Copies all that a device holds: holes are passed over unread, and of what is read, blocks of zeros are not written, but
 * told of to a sink that may hold something else. What flattening and committing have in common.
 *
 * <p>Threads, two of them unless the sink asks for more, take turns at asking for the next piece of data and then read and
 * write theirs at the same time, so that one fills its buffer while the other waits for the lock that the kernel holds on the
 * file written to. A piece is small enough for the processor's cache: it is copied twice and looked through in between.
 *
 * <p>Threading: one copy's own; source and sink are called from both threads.
 */
public final class DeviceCopy {
    /** Where a copy goes. */
    @FunctionalInterface
    public interface Sink {
        /** Writes all of {@code src}, a direct buffer, at {@code offset}; from several threads, never the same bytes. */
        void write(long offset, ByteBuffer src) throws IOException;

        /** The source has zeros there, which it spends storage on. Nothing to do where the sink has them anyway. */
        default void zeros(long offset, long lengthBytes) throws IOException {}

        /**
         * What is left out when it is zeros, a power of two up to 2 MiB: all that is written begins at a multiple of it, and
         * ends at one, or at the source's end.
         */
        default int unitBytes() {
            return BLOCK_BYTES;
        }

        /** How many threads are to copy, {@code >= 1}. */
        default int threads() {
            return 2;
        }
    }

    /** What is left out when it is zeros, aligned: a block of the usual file systems. */
    public static final int BLOCK_BYTES = 4096;

    private static final int PIECE_BYTES = 256 << 10;

    /** Bytes of the source that one thread copies at a time. */
    private record Piece(long offset, int lengthBytes) {}

    private final Origin source;
    private final Sink sink;
    private final LongConsumer progress;
    private final int unitBytes;
    private final int pieceBytes;
    /** What comes next; guarded by this. */
    private long next;
    /** Where the data that {@code next} is in ends; guarded by this. */
    private long dataEnd;
    /** Set when one thread has failed, for the other. */
    private volatile boolean stopped;

    private DeviceCopy(Origin source, Sink sink, LongConsumer progress) {
        this.source = source;
        this.sink = sink;
        this.progress = progress;
        this.unitBytes = sink.unitBytes();
        this.pieceBytes = pieceBytes(unitBytes);
    }

    /** Most bytes that a sink with such a unit is given at once: a quarter of a megabyte, or one unit. */
    public static int pieceBytes(int unitBytes) {
        return Math.max(PIECE_BYTES, unitBytes);
    }

    /** As {@link #copy(Origin, Sink, LongConsumer)}, of all that {@code source} holds. */
    public static void copy(BlockDevice source, Sink sink, LongConsumer progress) throws IOException {
        copy(new DeviceOrigin(source), sink, progress);
    }

    /**
     * Copies {@code source} from its beginning to its end. When this returns or throws, neither side is used any more.
     *
     * @param source where it is changed meanwhile, any of its bytes may be copied
     * @param sink not touched where the source has a hole, and only told where the source has zeros
     * @param progress told, from all threads, of how many further bytes have been dealt with, holes included; all calls
     *     together make {@code source.sizeBytes()}. To give the copy up, throw an unchecked exception.
     * @throws IOException what reading or writing threw first; any part of the sink may have been written
     */
    public static void copy(Origin source, Sink sink, LongConsumer progress) throws IOException {
        DeviceCopy copy = new DeviceCopy(source, sink, progress);
        List<FutureTask<Void>> beside = new ArrayList<>();
        for (int i = 1; i < sink.threads(); i++) {
            FutureTask<Void> task = new FutureTask<>(copy::work);
            beside.add(task);
            new Thread(task, "copy").start();
        }
        FutureTask<Void> here = new FutureTask<>(copy::work);
        here.run();
        Throwable failure = join(here);
        for (FutureTask<Void> task : beside) {
            Throwable another = join(task);
            if (failure == null) {
                failure = another;
            } else if (another != null) {
                failure.addSuppressed(another);
            }
        }
        if (failure instanceof IOException e) {
            throw e;
        }
        if (failure instanceof RuntimeException e) {
            throw e;
        }
        if (failure instanceof Error e) {
            throw e;
        }
    }

    /** Waits for one thread's end, which the other's failure brings about. @return what it failed with, or null */
    private static Throwable join(FutureTask<Void> task) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    task.get();
                    return null;
                } catch (ExecutionException e) {
                    return e.getCause();
                } catch (InterruptedException e) {
                    interrupted = true; // it still uses the caller's device
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private Void work() throws IOException {
        BufferPool buffers = BufferPool.shared(Integer.numberOfTrailingZeros(pieceBytes));
        ByteBuffer buffer = buffers.take();
        boolean done = false;
        try {
            for (Piece piece = take(); piece != null; piece = take()) {
                source.read(buffer.clear().limit(piece.lengthBytes()), piece.offset());
                writeData(piece.offset(), buffer.flip());
                progress.accept(piece.lengthBytes());
            }
            done = true;
            return null;
        } finally {
            stopped |= !done;
            buffers.give(buffer);
        }
    }

    /** The next piece of data, which ends where a piece would from the device's beginning; null at the end. */
    private synchronized Piece take() throws IOException {
        long size = source.sizeBytes();
        while (next == dataEnd && next < size) {
            long data = Math.min(size, source.seekData(next));
            long hole = data < size ? Math.min(size, source.seekHole(data)) : size;
            dataEnd = Math.min(size, hole + unitBytes - 1 & -(long) unitBytes);
            long start = data < size ? data & -(long) unitBytes : size;
            progress.accept(start - next);
            next = start;
        }
        if (stopped || next == size) {
            return null;
        }
        int length = (int) Math.min(pieceBytes - (next & (pieceBytes - 1)), dataEnd - next);
        Piece piece = new Piece(next, length);
        next += length;
        return piece;
    }

    /** Hands on each run of blocks that are zeros, or not; {@code buffer} holds what the source has at {@code offset}. */
    private void writeData(long offset, ByteBuffer buffer) throws IOException {
        int length = buffer.limit();
        int end = 0;
        while (end < length) {
            int data = runEnd(offset, buffer, end, true, unitBytes);
            if (data > end) {
                sink.zeros(offset + end, data - end);
            }
            end = runEnd(offset, buffer, data, false, unitBytes);
            if (end > data) {
                sink.write(offset + data, buffer.limit(end).position(data));
                buffer.limit(length);
            }
        }
    }

    /** Where the run of blocks from {@code start} on ends that are all zeros, or none of them. */
    static int runEnd(long offset, ByteBuffer buffer, int start, boolean zeros) {
        return runEnd(offset, buffer, start, zeros, BLOCK_BYTES);
    }

    /**
     * The same for blocks of any size.
     *
     * @param offset what index 0 of {@code buffer} is at, for blocks to begin at multiples of their size
     * @param blockBytes a power of two
     */
    public static int runEnd(long offset, ByteBuffer buffer, int start, boolean zeros, int blockBytes) {
        int at = start;
        while (at < buffer.limit()) {
            int length = (int) Math.min(blockBytes - ((offset + at) & (blockBytes - 1)), buffer.limit() - at);
            if (Zeros.isAll(buffer, at, length) != zeros) {
                break;
            }
            at += length;
        }
        return at;
    }
}
