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

/** What looking for zeros costs writes that have none: rewrites of chunks that have slots. Without C2, as a daemon runs. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 1, jvmArgsAppend = "-XX:TieredStopAtLevel=1")
public class DetectZeroesBenchmark {
    private static final int MEBIBYTES = 16;

    @Param({"false", "true"})
    public boolean detect;

    @Param({"4096", "1048576"})
    public int writtenBytes;

    /** Of each chunk: its first byte tells at once that it is data, its last one only after all others were looked at. */
    @Param({"first", "last"})
    public String dataByte;

    private ByteBuffer buffer;
    private TemporaryImage image;
    private CowDevice device;
    private long offset;

    @Setup
    public void open() throws IOException {
        buffer = ByteBuffer.allocateDirect(writtenBytes);
        int unit = Math.min(writtenBytes, TemporaryImage.CHUNK_BYTES);
        for (int at = 0; at < writtenBytes; at += unit) {
            buffer.put(dataByte.equals("first") ? at : at + unit - 1, (byte) 1);
        }
        image = new TemporaryImage(MEBIBYTES);
        device = detect ? image.openDetecting() : image.open();
        for (long at = 0; at < device.sizeBytes(); at += writtenBytes) {
            device.write(at, buffer.clear());
        }
    }

    @TearDown
    public void close() throws IOException {
        device.close();
        image.close();
    }

    @Benchmark
    public void rewrite() throws IOException {
        device.write(offset, buffer.clear());
        offset = (offset + writtenBytes) % device.sizeBytes();
    }
}
