package io.ucow.qcow2;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SparseLongs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/**
 * Counts what refers to each cluster of a file and compares that with the reference counts: fewer recorded than there are
 * is an error, more is a leak. Entries that cannot be, and COPIED flags that the counts contradict, are errors as well. What
 * is said of an image is what {@code qemu-img check} says.
 *
 * <p>Threading: for one thread.
 */
final class Qcow2Check {
    private static final int MAX_PROBLEMS = 1000;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final int clusterBits;
    private final MetadataWalk walk;
    private final UUID bootId;
    private final List<String> problems = new ArrayList<>();
    private long checkedClusters;

    /** Of an image that no killed process has left anything in. */
    Qcow2Check(PositionalFile file, Qcow2Image image) throws IOException {
        this(file, image, null);
    }

    /** @param bootId in which what a killed process left counts; null for none */
    Qcow2Check(PositionalFile file, Qcow2Image image, UUID bootId) throws IOException {
        this.file = file;
        this.bootId = bootId;
        this.image = image;
        this.header = image.header();
        this.clusterBits = header.clusterBits();
        this.walk = new MetadataWalk(file, image);
    }

    /** Reads all metadata. Memory is 16 bytes for each cluster that is in use. */
    CheckReport run() throws IOException {
        try (SparseLongs references = new SparseLongs(walk.clusters());
                RecordedCounts recorded = new RecordedCounts(file, image, walk)) {
            long leaked = 0;
            try {
                countReferences(references, recorded);
                leaked = compare(references, recorded);
                walk.run(new CopiedFlags(recorded));
            } catch (CorruptStoreException e) {
                // That many problems, or a table that is not readable at all.
                problems.add(e.getMessage());
            }
            return new CheckReport(problems, leaked, checkedClusters << image.subclusterShift());
        }
    }

    /**
     * Counts what refers to each cluster; what cannot be, and so refers to none, becomes a problem.
     *
     * @return whether there is none
     */
    boolean countReferences(SparseLongs references, RecordedCounts recorded) throws IOException {
        referToRefcounts(references, recorded);
        walk.run(new References(references));
        referToPending(references);
        return problems.isEmpty();
    }

    private void problem(String what) throws CorruptStoreException {
        if (problems.size() == MAX_PROBLEMS) {
            throw new CorruptStoreException(image.image() + ": more problems than the first " + MAX_PROBLEMS);
        }
        problems.add(image.image() + ": " + what);
    }

    private static void refer(SparseLongs references, long first, long last) {
        for (long cluster = first; cluster <= last; cluster++) {
            references.set(cluster, references.get(cluster) + 1);
        }
    }

    private void referToRefcounts(SparseLongs references, RecordedCounts recorded) throws CorruptStoreException {
        if (recorded.fault() != null) {
            problem("refcount table " + recorded.fault());
            return;
        }
        long first = header.refcountTableOffset() >>> clusterBits;
        refer(references, first, first + header.refcountTableClusters() - 1);
        for (int i = 0; i < recorded.blocks(); i++) {
            long entry = recorded.entry(i);
            if (entry != 0 && recorded.fault(i) != null) {
                problem("refcount block " + i + " " + recorded.fault(i));
            } else if (entry != 0) {
                refer(references, entry >>> clusterBits, entry >>> clusterBits);
            }
        }
    }

    /** Counts. */
    private final class References implements MetadataWalk.Visitor {
        private final SparseLongs references;

        References(SparseLongs references) {
            this.references = references;
        }

        @Override
        public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) throws IOException {
            String fault = walk.areaFault(offset, bytes);
            if (fault != null) {
                problem(what + " " + fault);
            } else if (bytes != 0) {
                refer(references, offset >>> clusterBits, (offset + bytes - 1) >>> clusterBits);
            }
            return fault == null;
        }

        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) throws IOException {
            String fault = walk.tableFault(entry);
            if (fault != null) {
                problem(l1.name() + " L2 table " + index + " " + fault);
                return false;
            }
            long cluster = L1Entry.offset(entry) >>> clusterBits;
            refer(references, cluster, cluster);
            return true;
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2)
                throws IOException {
            for (int i = 0; i < l2.size(); i++) {
                long entry = l2.entry(i);
                long bitmap = l2.bitmap(i);
                if (entry == 0 && bitmap == 0) {
                    continue;
                }
                checkedClusters++;
                String fault = walk.entryFault(entry, bitmap);
                if (fault != null) {
                    problem(l1.name() + " L2 table " + index + ", entry " + i + " " + fault);
                } else if (walk.refers(entry)) {
                    refer(
                            references,
                            L2Entry.firstCluster(entry, clusterBits),
                            L2Entry.lastCluster(entry, clusterBits));
                }
            }
        }

        @Override
        public void damagedBitmaps(String what) throws IOException {
            problem(what);
        }
    }

    /** What a killed process left, to be taken over by the next that opens the image for writing in this boot, is no leak. */
    private void referToPending(SparseLongs references) throws IOException {
        LogExtension place = LogExtension.read(file, image);
        if (place != null) {
            refer(references, place.offset() >>> clusterBits, (place.offset() + place.bytes() - 1) >>> clusterBits);
        }
        if (header.hasExternalData()) {
            return; // what its records are of is not counted
        }
        try (PendingLog log = PendingLog.left(file, image, bootId)) {
            for (long number = log == null ? 0 : log.head(); log != null && number < log.next(); number++) {
                if (log.chunk(number) < 0 || !RemapEntry.isSlot(log.entry(number))) {
                    continue;
                }
                long slot = RemapEntry.slotOf(log.entry(number));
                long end = ((slot + log.count(number) - 1) >>> image.subclusterShift()) + 1;
                // A table may have it by now, too.
                for (long cluster = slot >>> image.subclusterShift();
                        cluster < Math.min(end, walk.clusters());
                        cluster++) {
                    if (references.get(cluster) == 0) {
                        references.set(cluster, 1);
                    }
                }
            }
        }
    }

    /** Compares the two counts. @return bytes of clusters that are recorded as in use more often than they are */
    private long compare(SparseLongs references, RecordedCounts recorded) throws CorruptStoreException {
        long leaked = 0;
        for (long cluster = 0; cluster < walk.clusters(); cluster++) {
            long used = references.get(cluster);
            long count = recorded.get(cluster);
            if (Long.compareUnsigned(count, used) < 0) {
                problem("cluster " + cluster + " has refcount " + Long.toUnsignedString(count) + ", and " + used
                        + " references");
            } else if (count != used) {
                leaked += header.clusterSize();
            }
        }
        return leaked;
    }

    /** In the active tables COPIED says that the recorded count is 1. */
    private final class CopiedFlags implements MetadataWalk.Visitor {
        private final RecordedCounts recorded;

        CopiedFlags(RecordedCounts recorded) {
            this.recorded = recorded;
        }

        @Override
        public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) {
            return area == MetadataWalk.Area.L1_TABLE && offset == header.l1TableOffset();
        }

        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) throws IOException {
            if (!l1.isActive() || walk.tableFault(entry) != null) {
                return false;
            }
            long count = recorded.get(L1Entry.offset(entry) >>> clusterBits);
            require(count, L1Entry.isCopied(entry), "L1 entry " + index);
            return true;
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2)
                throws IOException {
            for (int i = 0; i < l2.size(); i++) {
                long entry = l2.entry(i);
                if (L2Entry.isCompressed(entry)
                        || L2Entry.offset(entry) == 0
                        || walk.entryFault(entry, l2.bitmap(i)) != null) {
                    continue;
                }
                // Nothing counts the clusters of an external data file, and nobody shares them.
                long count = header.hasExternalData() ? 1 : recorded.get(L2Entry.offset(entry) >>> clusterBits);
                require(count, L2Entry.isCopied(entry), "active L2 table " + index + ", entry " + i);
            }
        }

        @Override
        public void damagedBitmaps(String what) {}

        private void require(long count, boolean copied, String what) throws CorruptStoreException {
            if (copied != (count == 1)) {
                problem(what + " is " + (copied ? "" : "not ")
                        + "marked as the only one of its cluster, which has refcount "
                        + Long.toUnsignedString(count));
            }
        }
    }
}
