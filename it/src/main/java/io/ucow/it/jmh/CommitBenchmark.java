package io.ucow.it.jmh;

import io.ucow.store.ExceptionStore;
import io.ucow.store.remap.RemapEntry;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Recording a remap: one journal record and its publication, and the share of a checkpoint that each record costs, since
 * the journal goes round several times.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class CommitBenchmark {
    private static final int MEBIBYTES = 64;

    private TemporaryImage image;
    private ExceptionStore store;
    private long chunks;
    private long chunk;

    @Setup
    public void open() throws IOException {
        image = new TemporaryImage(MEBIBYTES);
        store = image.openStore();
        chunks = store.geometry().chunkCount();
    }

    @TearDown
    public void close() throws IOException {
        store.close();
        image.close();
    }

    @Benchmark
    public void commit() throws IOException {
        chunk = (chunk + 1) % chunks;
        store.commit(chunk, 1, RemapEntry.ZERO);
    }
}
