package io.ucow.it.jmh;

import io.ucow.store.CowDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Reads of 1 MiB, 32 chunks: what it is worth that chunks which lie together are read together. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ReadBenchmark {
    private static final int MEBIBYTES = 64;
    private static final int REQUEST = 1 << 20;

    /** Where the chunks of a request are. */
    public enum Layout {
        /** In the base. */
        BASE,
        /** In the store, next to each other: one read of the file. */
        ADJACENT,
        /** In the store, no two next to each other: 32 reads. */
        SCATTERED
    }

    @Param
    public Layout layout;

    private final ByteBuffer buffer = ByteBuffer.allocateDirect(REQUEST);
    private TemporaryImage image;
    private CowDevice device;
    private long guestOffset;

    /** Slots are given out in the order of the first writes. */
    @Setup
    public void write() throws IOException {
        image = new TemporaryImage(MEBIBYTES);
        device = image.open();
        int chunks = (int) (device.sizeBytes() / TemporaryImage.CHUNK_BYTES);
        int step = layout == Layout.SCATTERED ? 7 : 1; // odd: every chunk of a power of two has its turn
        ByteBuffer chunk = ByteBuffer.allocateDirect(TemporaryImage.CHUNK_BYTES);
        for (int i = 0; i < chunks && layout != Layout.BASE; i++) {
            device.write((long) (i * step % chunks) * TemporaryImage.CHUNK_BYTES, chunk.clear());
        }
    }

    @TearDown
    public void close() throws IOException {
        device.close();
        image.close();
    }

    @Benchmark
    public ByteBuffer read() throws IOException {
        guestOffset = (guestOffset + REQUEST) % device.sizeBytes();
        device.read(guestOffset, buffer.clear());
        return buffer;
    }
}
