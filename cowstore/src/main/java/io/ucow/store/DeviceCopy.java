package io.ucow.store;

import io.ucow.sys.BufferPool;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.LongConsumer;

/**
 * Copies all that a device holds: holes are passed over unread, and of what is read, blocks of zeros are not written, but
 * told of to a sink that may hold something else. What flattening and committing have in common.
 *
 * <p>Two threads take turns at asking for the next piece of data and then read and write theirs at the same time, so that
 * one fills its buffer while the other waits for the lock that the kernel holds on the file written to. A piece is small
 * enough for the processor's cache: it is copied twice and looked through in between.
 *
 * <p>Threading: one copy's own; source and sink are called from both threads.
 */
public final class DeviceCopy {
    /** Where a copy goes. */
    @FunctionalInterface
    public interface Sink {
        /** Writes all of {@code src}, a direct buffer, at {@code offset}; from two threads, never the same bytes. */
        void write(long offset, ByteBuffer src) throws IOException;

        /** The source has zeros there, which it spends storage on. Nothing to do where the sink has them anyway. */
        default void zeros(long offset, long lengthBytes) throws IOException {}
    }

    /** What is left out when it is zeros, aligned: a block of the usual file systems. */
    static final int BLOCK_BYTES = 4096;

    private static final int PIECE_SHIFT = 18;
    private static final int PIECE_BYTES = 1 << PIECE_SHIFT;

    /** Bytes of the source that one thread copies at a time. */
    private record Piece(long offset, int lengthBytes) {}

    private final Origin source;
    private final Sink sink;
    private final LongConsumer progress;
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
     * @param progress told, from both threads, of how many further bytes have been dealt with, holes included; all calls
     *     together make {@code source.sizeBytes()}. To give the copy up, throw an unchecked exception.
     * @throws IOException what reading or writing threw first; any part of the sink may have been written
     */
    public static void copy(Origin source, Sink sink, LongConsumer progress) throws IOException {
        DeviceCopy copy = new DeviceCopy(source, sink, progress);
        FutureTask<Void> here = new FutureTask<>(copy::work);
        FutureTask<Void> beside = new FutureTask<>(copy::work);
        new Thread(beside, "copy").start();
        here.run();
        Throwable failure = join(here);
        Throwable another = join(beside);
        if (failure == null) {
            failure = another;
        } else if (another != null) {
            failure.addSuppressed(another);
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
        BufferPool buffers = BufferPool.shared(PIECE_SHIFT);
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
            progress.accept(data - next);
            next = data;
            dataEnd = data < size ? Math.min(size, source.seekHole(data)) : size;
        }
        if (stopped || next == size) {
            return null;
        }
        int length = (int) Math.min(PIECE_BYTES - (next & (PIECE_BYTES - 1)), dataEnd - next);
        Piece piece = new Piece(next, length);
        next += length;
        return piece;
    }

    /** Hands on each run of blocks that are zeros, or not; {@code buffer} holds what the source has at {@code offset}. */
    private void writeData(long offset, ByteBuffer buffer) throws IOException {
        int length = buffer.limit();
        int end = 0;
        while (end < length) {
            int data = runEnd(offset, buffer, end, true);
            if (data > end) {
                sink.zeros(offset + end, data - end);
            }
            end = runEnd(offset, buffer, data, false);
            if (end > data) {
                sink.write(offset + data, buffer.limit(end).position(data));
                buffer.limit(length);
            }
        }
    }

    /** Where the run of blocks from {@code start} on ends that are all zeros, or none of them. */
    static int runEnd(long offset, ByteBuffer buffer, int start, boolean zeros) {
        int at = start;
        while (at < buffer.limit()) {
            int length = (int) Math.min(BLOCK_BYTES - ((offset + at) & (BLOCK_BYTES - 1)), buffer.limit() - at);
            if (Zeros.isAll(buffer, at, length) != zeros) {
                break;
            }
            at += length;
        }
        return at;
    }
}
