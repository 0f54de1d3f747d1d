package io.ucow.store.journal;

import io.ucow.store.format.JournalRecord;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Which regions of the file may be written in place. The checksums on disk are those of the last checkpoint; where a
 * record says so, recovery does not believe them. So before a block that has a place is overwritten, a record of its
 * region is made durable, once after each checkpoint: see I11 in ARCHITECTURE.md.
 *
 * <p>Threading: any thread. {@link #isAnnounced} is a load or two, in a section of the readers' grace period; {@link
 * #announce} takes a lock and is called outside of sections. Regions that are announced at the same time share a sync.
 */
final class Overwrites implements AutoCloseable {
    /** What it needs of the store. */
    interface Store {
        /** Makes the journal durable. */
        void sync() throws IOException;

        /** Makes room for records, leaving {@code reserve} free. */
        void makeJournalRoom(long reserve) throws IOException;
    }

    private final Journal journal;
    private final Store store;
    private final SparseLongs announced;
    private final ConcurrentLinkedQueue<Long> wanted = new ConcurrentLinkedQueue<>();
    private final ReentrantLock lock = new ReentrantLock();
    /** Those of which the bit is set. Guarded by lock. */
    private final List<Long> regions = new ArrayList<>();
    /** True when one record told of all of them. Written under lock. */
    private volatile boolean all;

    /** @param fileBytes where the file ends at the most */
    Overwrites(Journal journal, long fileBytes, Store store) throws NativeException {
        this.journal = journal;
        this.store = store;
        this.announced = new SparseLongs((regionOf(fileBytes) >>> 6) + 1);
    }

    private static long regionOf(long offset) {
        return offset >>> JournalRecord.REGION_SHIFT;
    }

    /** True when the bytes from {@code offset} on may be written in place until the section ends. */
    boolean isAnnounced(long offset, long lengthBytes) {
        for (long region = regionOf(offset); region <= regionOf(offset + lengthBytes - 1); region++) {
            if (!isAnnounced(region)) {
                return false;
            }
        }
        return true;
    }

    private boolean isAnnounced(long region) {
        return (announced.get(region >>> 6) & 1L << region) != 0 || all;
    }

    /** Makes it durable that the bytes from {@code offset} on may change; a checkpoint may take it back at once. */
    void announce(long offset, long lengthBytes) throws IOException {
        for (long region = regionOf(offset); region <= regionOf(offset + lengthBytes - 1); region++) {
            while (!isAnnounced(region)) {
                wanted.add(region);
                if (!tryAnnounceWanted(region)) {
                    makeRoom();
                }
            }
        }
    }

    /** Announces what is wanted, unless somebody else did. @return false if it takes more room in the journal */
    private boolean tryAnnounceWanted(long region) throws IOException {
        lock.lock();
        try {
            if (isAnnounced(region)) {
                return true;
            }
            int before = regions.size();
            boolean room = true;
            boolean done = false;
            try {
                for (Long next = wanted.poll(); next != null; next = room ? wanted.poll() : null) {
                    if (!isAnnounced(next) && regions.lastIndexOf(next) < before) {
                        room = append(next, 1, discardReserve());
                        if (room) {
                            regions.add(next);
                        }
                    }
                }
                if (regions.size() > before) {
                    store.sync();
                }
                done = true;
            } finally {
                if (!done) {
                    regions.subList(before, regions.size()).clear();
                }
            }
            for (Long next : regions.subList(before, regions.size())) {
                announced.getAndBitwiseOr(next >>> 6, 1L << next);
            }
            return isAnnounced(region);
        } finally {
            lock.unlock();
        }
    }

    /** As for other writes: the last eighth is for discards. */
    private long discardReserve() {
        return journal.capacity() / 8;
    }

    private boolean append(long first, int count, long reserve) throws IOException {
        int section = journal.appends().enter();
        try {
            return journal.overwrite(first, count, reserve);
        } finally {
            journal.appends().exit(section);
        }
    }

    private void makeRoom() throws IOException {
        try {
            store.makeJournalRoom(discardReserve());
        } catch (IOException e) {
            // Writes in place go on while the disk is full: one record, kept back for barriers, does for all of them.
            if (Errno.of(e) != Errno.ENOSPC || !tryAnnounceAll()) {
                throw e;
            }
        }
    }

    private boolean tryAnnounceAll() throws IOException {
        lock.lock();
        try {
            if (!all && append(0, (int) JournalRecord.MAX_REGIONS, 0)) {
                store.sync();
                all = true;
            }
            return all;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Takes all back, for a checkpoint that follows. What still relies on it is done after a grace period of the readers.
     *
     * @return the journal's next number: whatever is announced from now on has it, or a higher one
     */
    long takeBack() {
        lock.lock();
        try {
            long head = journal.next();
            for (Long region : regions) {
                announced.getAndBitwiseAnd(region >>> 6, ~(1L << region));
            }
            regions.clear();
            all = false;
            return head;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void close() throws NativeException {
        announced.close();
    }
}
