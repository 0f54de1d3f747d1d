package io.ucow.it.jmh;

import io.ucow.store.CowDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** First writes: each makes a chunk the store's own. Every measurement alters all chunks of a new image. */
@State(Scope.Thread)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5)
@Measurement(iterations = 10)
@Fork(1)
public class FirstWriteBenchmark {
    private static final int MEBIBYTES = 128;
    private static final int CHUNKS = MEBIBYTES * (1 << 20) / TemporaryImage.CHUNK_BYTES;
    /** Odd: every chunk of a power of two has its turn. */
    private static final int STEP = 1021;

    /** A part of a chunk, the rest of which is copied; and a whole one, for which nothing is. */
    @Param({"4096", "" + TemporaryImage.CHUNK_BYTES})
    public int writtenBytes;

    private ByteBuffer buffer;
    private TemporaryImage image;
    private CowDevice device;

    @Setup
    public void createBase() throws IOException {
        buffer = ByteBuffer.allocateDirect(writtenBytes);
        image = new TemporaryImage(MEBIBYTES);
    }

    @Setup(Level.Iteration)
    public void open() throws IOException {
        image.recreate();
        device = image.open();
    }

    @TearDown(Level.Iteration)
    public void closeDevice() throws IOException {
        device.close();
    }

    @TearDown
    public void close() throws IOException {
        image.close();
    }

    @Benchmark
    @OperationsPerInvocation(CHUNKS)
    public void firstWrite() throws IOException {
        for (int i = 0; i < CHUNKS; i++) {
            device.write((long) (i * STEP % CHUNKS) * TemporaryImage.CHUNK_BYTES, buffer.clear());
        }
    }
}
