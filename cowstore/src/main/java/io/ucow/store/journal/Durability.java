package io.ucow.store.journal;

import io.ucow.store.ContentId;
import io.ucow.store.FlushGroup;
import io.ucow.store.StoreContext;
import io.ucow.store.format.JournalRecord;
import io.ucow.store.format.Superblock;
import io.ucow.sys.Errno;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What makes a store's changes durable: the sync and the barrier of a flush, checkpoints of the map, the superblock in force.
 * A sync that fails ends all that: the store refuses changes from then on.
 *
 * <p>A barrier is written only after everything it covers is durable (I2); a metadata page is never overwritten while the
 * durable superblock refers to it (I5).
 *
 * <p>Threading: any number of threads. One flush runs at a time, and one checkpoint.
 */
final class Durability {
    private static final Logger LOG = LoggerFactory.getLogger(Durability.class);

    private final PositionalFile file;
    private final Path image;
    private final StoreContext context;
    private final Journal journal;
    private final MapTree tree;
    /** Null, as what follows, where there are no checksums. */
    private final MapTree sumTree;
    /** Null also where nothing is to be changed. */
    private final Overwrites overwrites;

    /** Counted down once nothing that is free is referred to by what power loss may bring back, see {@link #settle}. */
    private final CountDownLatch settled;
    /** What a barrier in the ring covered at open: durable as soon as anything is synced. */
    private final long coveredAtOpen;

    private final FlushGroup flushes = new FlushGroup(this::writeBarrier);
    /** Every record below this number is durable. Written by a flush or under checkpointLock, only upwards. */
    private final AtomicLong durable = new AtomicLong();

    private final ReentrantLock checkpointLock = new ReentrantLock();
    /** The current superblock. Written under checkpointLock. */
    private volatile Superblock superblock;

    private final LongAdder checkpoints = new LongAdder();

    /** The failed sync, or the bug, after which nothing may be reported durable; null while all is well. */
    private volatile IOException failure;

    /** What is left to do when what a killed session left is durable. */
    interface Settling {
        void run() throws IOException;
    }

    /**
     * @param overwrites null where there are no checksums, or nothing is to be changed
     */
    Durability(
            PositionalFile file,
            Path image,
            StoreContext context,
            Recovery recovery,
            Journal journal,
            Overwrites overwrites) {
        this.file = file;
        this.image = image;
        this.context = context;
        this.superblock = recovery.superblock();
        this.tree = recovery.tree();
        this.sumTree = recovery.sumTree();
        this.journal = journal;
        this.overwrites = overwrites;
        this.settled = new CountDownLatch(recovery.continuesSession() ? 1 : 0);
        this.coveredAtOpen = recovery.continuesSession() ? recovery.covered() : 0;
        this.durable.set(journal.next() - journal.length());
    }

    /** The superblock in force. */
    Superblock superblock() {
        return superblock;
    }

    /** Every record below this number is durable. */
    long durable() {
        return durable.get();
    }

    /** Checkpoints so far. */
    long checkpoints() {
        return checkpoints.sum();
    }

    /** Held by a checkpoint, and by who changes what one relies on. */
    Lock checkpointLock() {
        return checkpointLock;
    }

    /** Has all changes refused from now on. @return {@code cause} */
    IOException fail(IOException cause) {
        if (failure == null) {
            failure = cause;
            LOG.error("store failed, changes are refused until it is reopened image={}", image, cause);
        }
        return cause;
    }

    boolean hasFailed() {
        return failure != null;
    }

    /** True of a failure that may be over when there is room: the disk is full, and nothing else is wrong. */
    boolean isFullDisk(IOException e) {
        return Errno.of(e) == Errno.ENOSPC && failure == null;
    }

    void requireHealthy() throws IOException {
        IOException cause = failure;
        if (cause != null) {
            throw new IOException(image + ": failed earlier, changes are refused until it is reopened", cause);
        }
    }

    /** Makes what was written so far durable. */
    void sync() throws IOException {
        try {
            file.sync();
        } catch (IOException e) {
            throw fail(e);
        }
    }

    /**
     * Makes durable what a killed session left, the last superblock included: its process may have died between writing
     * that and syncing it, and until then what only the one before refers to is not free. Does nothing the second time.
     *
     * @param then is run before anybody gets what is free
     */
    void settle(Settling then) throws IOException {
        if (settled.getCount() == 0) {
            return;
        }
        try {
            requireHealthy();
            sync();
            then.run();
        } finally {
            settled.countDown();
        }
    }

    /** Waits until what is free may be written to. */
    void awaitSettled() throws IOException {
        boolean interrupted = false;
        while (settled.getCount() > 0) {
            try {
                settled.await();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        requireHealthy();
    }

    /** Begins a session, of this boot, that does not continue the last one. */
    void begin(Recovery recovery) throws IOException {
        try {
            checkpoint();
        } catch (IOException e) {
            if (!isFullDisk(e)) {
                throw e;
            }
            LOG.warn("no room for the map, it stays in the journal image={}", image);
            adoptJournal(recovery);
        }
    }

    /**
     * Continues the journal of an earlier boot, which takes no space. Records that no barrier covers are wiped first:
     * once the superblock names this boot, a later recovery would trust them.
     */
    private void adoptJournal(Recovery recovery) throws IOException {
        BitSet distrusted = recovery.distrusted();
        ByteBuffer nothing = ByteBuffer.allocateDirect(JournalRecord.SIZE);
        for (int i = distrusted.nextSetBit(0); i >= 0; i = distrusted.nextSetBit(i + 1)) {
            file.write(nothing.clear(), superblock.journalOffset() + (long) i * JournalRecord.SIZE);
        }
        file.sync();
        writeSuperblock(superblock.advanced(superblock.rootPage(), superblock.journalHead(), context.bootId()));
        journal.resume(superblock.journalHead(), recovery.endOfJournal());
        durable.set(recovery.covered());
    }

    /** Ends a session. A full disk may have no room for the map's pages; the journal then keeps what they would have said. */
    void end() throws IOException {
        try {
            checkpoint(Superblock.CLEAN);
        } catch (IOException e) {
            if (!isFullDisk(e)) {
                throw e;
            }
            LOG.warn("no room for the map, it stays in the journal image={}", image);
            flush();
        }
    }

    /** Makes all that was acknowledged before durable. */
    void flush() throws IOException {
        flushes.run();
    }

    private void writeBarrier() throws IOException {
        requireHealthy();
        long upTo = journal.next();
        boolean remapped = journal.lastRemap() >= Math.max(durable.get(), coveredAtOpen);
        if (remapped) {
            // Records below upTo may be on their way to the file; a barrier may only cover what the sync will reach.
            journal.appends().await();
        }
        boolean written = false;
        try {
            file.sync();
            durable.accumulateAndGet(coveredAtOpen, Math::max);
            if (!remapped) {
                return;
            }
            int section = journal.appends().enter();
            try {
                written = journal.barrier(upTo);
            } finally {
                journal.appends().exit(section);
            }
            if (written) {
                file.sync();
            }
        } catch (IOException e) {
            throw fail(e);
        }
        if (!written) {
            // Fails for good only if a sync does: without room for the map this flush fails, and a later one may not.
            checkpoint();
        }
        durable.accumulateAndGet(upTo, Math::max);
    }

    /** Runs a checkpoint unless another thread's made room for a record that leaves {@code reserve} free. */
    void checkpointUnlessRoom(long reserve) throws IOException {
        checkpointLock.lock();
        try {
            if (!journal.hasRoom(reserve)) {
                checkpoint();
            }
        } finally {
            checkpointLock.unlock();
        }
    }

    /** Writes the changed part of the map and makes it, and everything committed before, durable. */
    void checkpoint() throws IOException {
        checkpoint(context.bootId());
    }

    private void checkpoint(UUID bootId) throws IOException {
        awaitSettled();
        checkpointLock.lock();
        try {
            requireHealthy();
            long head = overwrites == null ? journal.next() : overwrites.takeBack();
            journal.appends().await();
            if (overwrites != null) {
                // Who was allowed to write in place before may not have noted the checksum yet (I11).
                context.readers().await();
            }
            Superblock next = writeTrees(head, bootId);
            try {
                file.sync();
                writeSuperblock(next);
            } catch (IOException e) {
                throw fail(e);
            }
            checkpoints.increment();
            tree.commit();
            if (sumTree != null) {
                sumTree.commit();
            }
            journal.advanceHead(head);
            durable.accumulateAndGet(head, Math::max);
        } finally {
            checkpointLock.unlock();
        }
    }

    /** Writes what changed of the map and the checksums to free places. @return the superblock that is to refer to that */
    private Superblock writeTrees(long head, UUID bootId) throws IOException {
        long generation = superblock.generation() + 1;
        long root = tree.writeChanges(generation);
        if (sumTree == null) {
            return superblock.advanced(root, head, bootId);
        }
        boolean done = false;
        try {
            long sumsRoot = sumTree.writeChanges(generation);
            done = true;
            return superblock.advanced(root, head, bootId).withSumsRoot(sumsRoot);
        } finally {
            if (!done) {
                tree.rollBack();
            }
        }
    }

    private void writeSuperblock(Superblock next) throws IOException {
        if (next.bootId().equals(Superblock.CLEAN)) {
            UcowFormat.write(file, next, ContentId.random());
        } else {
            UcowFormat.write(file, next);
        }
        superblock = next;
    }
}
