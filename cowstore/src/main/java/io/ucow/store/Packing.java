package io.ucow.store;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The thread that packs a device's cold chunks. It sleeps while nothing is written; else it goes round every five seconds, so
 * a chunk is packed that nobody has written to for five to ten. After each small batch it rests four times as long as the
 * batch took: guests have the processor, and nobody waits for a frozen chunk for more than some milliseconds.
 *
 * <p>Threading: {@link #stop} returns when the thread has ended.
 */
final class Packing {
    private static final Logger LOG = LoggerFactory.getLogger(Packing.class);
    private static final long ROUND_NANOS = TimeUnit.SECONDS.toNanos(5);
    private static final int REST_TO_WORK = 4;
    /** What is frozen at a time. */
    private static final int BATCH_BYTES = 512 << 10;

    private final CowDevice device;
    private final ChunkPacker packer;
    private final String name;
    private final BackgroundThread thread;

    Packing(CowDevice device, ChunkPacker packer, String name) {
        this.device = device;
        this.packer = packer;
        this.name = name;
        this.thread = new BackgroundThread("packing " + name, this::loop);
    }

    /** Chunks to move at a time. */
    static int batch(int chunkBytes) {
        return Math.max(1, BATCH_BYTES / chunkBytes);
    }

    void start() {
        packer.onWork(thread::wake);
        thread.start();
    }

    void stop() {
        thread.stop();
    }

    private void loop() throws InterruptedException {
        // Writers wait for chunks that are frozen, and for these, when memory is short, the kernel.
        int r = Libc.setIoFlusher();
        if (r < 0) {
            LOG.debug("PR_SET_IO_FLUSHER refused errno={}", -r);
        }
        long[] chunks = new long[batch(device.granularityBytes())];
        boolean failing = false;
        while (thread.await(packer::hasWork) && thread.rest(ROUND_NANOS)) {
            try {
                round(chunks);
                failing = false;
            } catch (IOException e) {
                // A full disk, as a rule: the chunks stay as they are, and the next round tries again.
                if (!failing) {
                    LOG.warn("packing failed, will try again image={}", name, e);
                    failing = true;
                }
            }
        }
    }

    private void round(long[] chunks) throws IOException, InterruptedException {
        long start = System.nanoTime();
        for (int n = packer.next(chunks); n != ChunkPacker.ROUND_OVER; n = packer.next(chunks)) {
            device.relocate(chunks, n, packer);
            if (!thread.rest(REST_TO_WORK * (System.nanoTime() - start))) {
                return;
            }
            start = System.nanoTime();
        }
    }
}
