package io.ucow.store.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import io.ucow.store.Compression;
import io.ucow.store.CowDevice;
import io.ucow.store.FaultFile;
import io.ucow.store.Geometry;
import io.ucow.store.GracePeriod;
import io.ucow.store.Origin;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreOptions;
import io.ucow.store.TestDevices;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Guests at work on a recorded store, and what they were promised at every call of the record.
 *
 * <p>Every sector that is ever written carries a stamp of its own, so a stale, torn or foreign one is recognised.
 */
final class PowerLossScenario {
    private static final int SECTOR = FaultFile.SECTOR;
    private static final int CHUNKS = 40;
    private static final int VARIANTS = Integer.getInteger("ucow.powerloss.variants", 3);
    private static final UcowFormat FORMAT = new UcowFormat();
    static final UUID STORE = new UUID(7, 9);

    /** What one guest request did to a sector: a stamp, and where in the record it began and ended. */
    record Change(long stamp, int begin, int end) {}

    /** A flush: where it began and, for one that returned, ended. */
    record Flush(int begin, int end) {}

    /** A session: the record, and for each sector what was written. */
    static final class Session {
        final FaultFile file;
        final long[] before;
        final List<List<Change>> changes = new ArrayList<>();
        final List<Flush> flushes = new ArrayList<>();
        final UUID boot;
        int opened;

        Session(FaultFile file, long[] before, UUID boot) {
            this.boot = boot;
            this.file = file;
            this.before = before;
            for (int i = 0; i < before.length; i++) {
                changes.add(new ArrayList<>());
            }
        }

        /** The same notes beside another record of the same length. */
        Session with(FaultFile other) {
            Session copy = new Session(other, before, boot);
            for (int i = 0; i < before.length; i++) {
                copy.changes.get(i).addAll(changes.get(i));
            }
            copy.flushes.addAll(flushes);
            copy.opened = opened;
            return copy;
        }
    }

    private final Random random;
    private final Origin origin;
    private final int chunkShift;
    private final Compression compression;
    private final boolean checksums;
    private final int sectors;
    final long[] originStamps;
    private long nextStamp = 1;
    private int cuts;
    /** What a device holds, for {@link #contentOf} alone. */
    private final ByteBuffer readBuffer;

    private final byte[] readBytes;

    PowerLossScenario(long seed, int chunkShift) {
        this(seed, chunkShift, Compression.NONE, false);
    }

    /**
     * @param compression what chunks are compressed with now and then
     * @param checksums whether what is read is compared with checksums
     */
    PowerLossScenario(long seed, int chunkShift, Compression compression, boolean checksums) {
        this.compression = compression;
        this.checksums = checksums;
        this.random = new Random(seed);
        this.chunkShift = chunkShift;
        // Not a whole number of chunks.
        this.sectors = (CHUNKS << chunkShift) / SECTOR - 3;
        this.readBuffer = ByteBuffer.allocateDirect(sectors * SECTOR);
        this.readBytes = new byte[sectors * SECTOR];
        this.originStamps = new long[sectors];
        byte[] base = new byte[sectors * SECTOR];
        for (int s = 0; s < sectors * 3 / 4; s++) {
            originStamps[s] = -1L - s;
            stamp(base, s * SECTOR, originStamps[s]);
        }
        this.origin = TestDevices.origin(base);
    }

    int cuts() {
        return cuts;
    }

    /** Three lives of one image, each begun on what a power loss at a random point left of the one before; in the middle of
     * each the process is killed and another continues it. */
    void generations(int threads) throws Exception {
        byte[] image = newImage();
        long[] content = originStamps.clone();
        for (int generation = 0; generation < 3; generation++) {
            Session session = run(image, content, threads, generation % 2 == 1);
            verifyEveryCut(session);
            session = killed(session, session.opened + random.nextInt(session.file.eventCount() - session.opened));
            work(session, threads, generation % 2 == 0);
            verifyEveryCut(session);
            int cut = session.opened + random.nextInt(session.file.eventCount() - session.opened);
            image = session.file.powerLostAt(cut, random);
            content = contentOf(image, TestDevices.NEXT_BOOT);
        }
    }

    byte[] newImage() throws IOException {
        FaultFile file = new FaultFile(new byte[0]);
        // So small a journal that checkpoints and the ring's wrap-around happen all the time.
        long size = (long) sectors * SECTOR;
        OriginReference base = new OriginReference("base", size, 0, 0, "00".repeat(32), false);
        UcowFormat.create(
                file,
                new Geometry(size, chunkShift),
                base,
                StoreOptions.NONE.withCodec(compression.label()).withChecksums(checksums),
                64,
                STORE);
        return file.killedAt(file.eventCount());
    }

    Session run(byte[] image, long[] content, int threads, boolean close) throws Exception {
        Session session = new Session(new FaultFile(image), content.clone(), new UUID(1, random.nextLong()));
        work(session, threads, close);
        return session;
    }

    /** What is left of a session for the one that follows it in the same boot when it is killed at {@code cut}. */
    private Session killed(Session session, int cut) throws IOException {
        Session next = new Session(session.file.continuedAt(cut), session.before, session.boot);
        long[] found = contentOf(session.file.killedAt(cut), session.boot);
        for (int s = 0; s < sectors; s++) {
            for (Change c : session.changes.get(s)) {
                if (c.end() <= cut) {
                    next.changes.get(s).add(c);
                } else if (c.begin() <= cut && c.stamp() == found[s]) {
                    // It was under way and got this far.
                    next.changes.get(s).add(new Change(c.stamp(), c.begin(), cut));
                }
            }
        }
        session.flushes.stream().filter(f -> f.end() <= cut).forEach(next.flushes::add);
        return next;
    }

    private void work(Session session, int threads, boolean close) throws Exception {
        int before = session.file.eventCount();
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, session.boot, readers, false);
        UcowStore store = UcowStore.open(session.file, Path.of(session.file.name()), context);
        CowDevice device = TestDevices.over(store, origin, readers);
        session.opened = session.file.eventCount();
        if (threads == 1) {
            guest(session, device, store, 0, 1, random.nextLong(), 150);
        } else {
            ExecutorService pool = Executors.newFixedThreadPool(threads);
            try {
                List<Callable<Void>> guests = new ArrayList<>();
                for (int t = 0; t < threads; t++) {
                    int id = t;
                    long seed = random.nextLong();
                    guests.add(() -> {
                        guest(session, device, store, id, threads, seed, 60);
                        return null;
                    });
                }
                for (Future<Void> done : pool.invokeAll(guests)) {
                    done.get();
                }
            } finally {
                pool.shutdown();
            }
        }
        if (close) {
            int begin = session.file.eventCount();
            device.close();
            session.flushes.add(new Flush(begin, session.file.eventCount()));
        }
        assertThat(session.file.eventCount() - before).as("the scenario writes").isGreaterThan(100);
    }

    /** One guest: it owns the sectors whose number is {@code id} modulo {@code threads}; all share the chunks. */
    private void guest(
            Session session, CowDevice device, UcowStore store, int id, int threads, long seed, int operations)
            throws IOException {
        Random r = new Random(seed);
        for (int i = 0; i < operations; i++) {
            int kind = r.nextInt(20);
            if (r.nextInt(8) == 0) {
                // What the maintenance thread does whenever it comes round to it.
                store.giveBack();
            }
            if (compression != Compression.NONE && r.nextInt(6) == 0) {
                long[] chunks = r.longs(1 + r.nextInt(12), 0, CHUNKS).toArray();
                // In a device one thread alone packs; here each guest does, in turn.
                synchronized (store.packer()) {
                    device.relocate(chunks, chunks.length, store.packer());
                }
            }
            if (r.nextInt(16) == 0) {
                TestDevices.move(device, r.longs(1 + r.nextInt(5), 0, CHUNKS).toArray());
            } else if (r.nextInt(60) == 0) {
                TestDevices.compact(device);
            }
            if (kind < 3) {
                int begin = session.file.eventCount();
                device.flush();
                synchronized (session) {
                    session.flushes.add(new Flush(begin, session.file.eventCount()));
                }
            } else if (threads == 1 && kind < 7) {
                int first = r.nextInt(sectors);
                int count = 1 + r.nextInt(Math.min(sectors - first, kind == 3 ? 6 * ((1 << chunkShift) / SECTOR) : 9));
                change(session, device, first, count, true);
            } else if (threads == 1) {
                int first = r.nextInt(sectors);
                int count = 1 + r.nextInt(Math.min(sectors - first, kind == 7 ? 3 * ((1 << chunkShift) / SECTOR) : 5));
                change(session, device, first, count, false);
            } else {
                int sector = r.nextInt(sectors / threads) * threads + id;
                change(session, device, sector, 1, kind < 6);
            }
        }
    }

    private void change(Session session, CowDevice device, int first, int count, boolean discard) throws IOException {
        byte[] data = new byte[count * SECTOR];
        long[] stamps = new long[count];
        synchronized (this) {
            for (int i = 0; i < count && !discard; i++) {
                stamps[i] = nextStamp++;
                stamp(data, i * SECTOR, stamps[i]);
            }
        }
        int begin = session.file.eventCount();
        if (discard) {
            device.discard((long) first * SECTOR, (long) count * SECTOR);
        } else {
            device.write((long) first * SECTOR, TestDevices.direct(data, 0, data.length));
        }
        int end = session.file.eventCount();
        for (int i = 0; i < count; i++) {
            session.changes.get(first + i).add(new Change(stamps[i], begin, end));
        }
    }

    void verifyEveryCut(Session session) throws IOException {
        for (int cut = session.opened; cut <= session.file.eventCount(); cut++) {
            List<byte[]> outcomes = new ArrayList<>();
            for (int v = 0; v < VARIANTS; v++) {
                byte[] image = session.file.powerLostAt(cut, random);
                // Right after a sync, for one, all outcomes are the same.
                if (outcomes.stream().noneMatch(o -> Arrays.equals(o, image))) {
                    outcomes.add(image);
                    verify(session, cut, image, TestDevices.NEXT_BOOT, false);
                }
            }
            verify(session, cut, session.file.killedAt(cut), session.boot, true);
            cuts++;
        }
    }

    /** @param killed true when only the process died: then every acknowledged write counts as flushed */
    private void verify(Session session, int cut, byte[] image, UUID boot, boolean killed) throws IOException {
        long[] found = contentOf(image, boot);
        int flushedAt = -1;
        for (Flush f : session.flushes) {
            if (f.end() <= cut) {
                flushedAt = Math.max(flushedAt, f.begin());
            }
        }
        for (int s = 0; s < sectors; s++) {
            long last = session.before[s];
            boolean allowed = false;
            for (Change c : session.changes.get(s)) {
                if (c.begin() > cut) {
                    break;
                }
                boolean settled = killed ? c.end() <= cut : c.end() <= flushedAt;
                if (settled) {
                    last = c.stamp();
                    allowed = false;
                } else {
                    allowed |= found[s] == c.stamp();
                }
            }
            if (found[s] != last && !allowed) {
                fail(
                        "cut %d (%s), %s: sector %d holds %d, promised %d; flushed at %d; changes %s",
                        cut,
                        cut == 0 ? "start" : session.file.events().get(cut - 1),
                        killed ? "kill" : "power loss",
                        s,
                        found[s],
                        last,
                        flushedAt,
                        session.changes.get(s));
            }
        }
    }

    private long[] contentOf(byte[] image, UUID boot) throws IOException {
        try (CowDevice device = TestDevices.openReadOnly(FORMAT, new FaultFile(image), origin, boot)) {
            device.read(0, readBuffer.clear());
            byte[] bytes = readBytes;
            readBuffer.flip().get(bytes);
            long[] stamps = new long[sectors];
            for (int s = 0; s < sectors; s++) {
                int at = s * SECTOR;
                stamps[s] = readBuffer.getLong(at);
                // As long as each stamp in it is the one before.
                if (!Arrays.equals(bytes, at, at + SECTOR - Long.BYTES, bytes, at + Long.BYTES, at + SECTOR)) {
                    fail("sector %d is not whole, it begins with %d", s, stamps[s]);
                }
            }
            return stamps;
        }
    }

    /** Fills a sector with its stamp, so that a mixture of two cannot pass for one. */
    private static void stamp(byte[] bytes, int at, long stamp) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, at, SECTOR);
        while (buffer.hasRemaining()) {
            buffer.putLong(stamp);
        }
    }
}
