package io.ucow.it.jmh;

import io.ucow.store.remap.RemapEntry;
import io.ucow.store.remap.RemapTable;
import java.io.IOException;
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

/** Finding where a chunk is, in random order, as every request does for each of its chunks. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class LookupBenchmark {
    private static final int FANOUT = 508;
    /** An odd step visits every chunk of a power of two. */
    private static final long STEP = 0x9E3779B97F4A7C15L | 1;

    /** 1 GiB and 1 TiB at 32 KiB: the first map fits the caches, the second does not. */
    @Param({"32768", "33554432"})
    public long chunks;

    private RemapTable table;
    private long chunk;

    @Setup
    public void alterAll() throws IOException {
        table = new RemapTable(chunks, FANOUT);
        for (long i = 0; i < chunks; i++) {
            table.load(i, RemapEntry.slot(i + 1));
        }
    }

    @TearDown
    public void close() throws IOException {
        table.close();
    }

    @Benchmark
    public long lookup() {
        chunk = (chunk + STEP) & (chunks - 1);
        return table.lookup(chunk);
    }
}
