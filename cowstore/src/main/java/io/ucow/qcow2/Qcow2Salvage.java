package io.ucow.qcow2;

import io.ucow.store.CorruptStoreException;
import io.ucow.store.RepairReport.LostRange;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Decides what of a damaged image's map is kept. An entry that cannot be, or that is at odds with others over a cluster, is
 * dropped ({@link Claims}); one that is wrong in a way that leaves its meaning is kept if the reference count agrees with it.
 * The order is: tables first, for what is no table must not speak against others.
 *
 * <p>Threading: for one thread.
 */
final class Qcow2Salvage implements AutoCloseable {
    /** Each takes a look at all tables, and drops some. */
    private static final int MAX_ROUNDS = 16;

    private final Qcow2Image image;
    private final Header header;
    private final int clusterBits;
    private final MetadataWalk walk;
    private final RecordedCounts recorded;
    private Claims claims;
    /** Tables that are none, as {@link #key}. */
    private final Set<Long> dropped = new HashSet<>();
    /** Tables with no more entries that can be than entries that cannot; by offset, how many of the latter. */
    private Map<Long, Integer> unlikely;

    private boolean bitmapsDamaged;
    private final List<LostRange> lost = new ArrayList<>();

    /** @throws CorruptStoreException if what the header, or the table of snapshots, names cannot be told apart */
    Qcow2Salvage(PositionalFile file, Qcow2Image image, MetadataWalk walk) throws IOException {
        this.image = image;
        this.header = image.header();
        this.clusterBits = header.clusterBits();
        this.walk = walk;
        this.recorded = new RecordedCounts(file, image, walk);
        boolean done = false;
        try {
            int rounds = 0;
            do {
                if (++rounds > MAX_ROUNDS) {
                    throw new CorruptStoreException(
                            image.image() + ": its L2 tables contradict one another in too many ways");
                }
                collect();
            } while (dropTables());
            noteLosses();
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /** What reads as the base from now on: the disk's, ascending, then each snapshot's. */
    List<LostRange> lost() {
        return lost;
    }

    /** True if the bitmaps, where there are any, are still right. */
    boolean keepsBitmaps() {
        return !bitmapsDamaged && lost.isEmpty();
    }

    private void collect() throws IOException {
        if (claims != null) {
            claims.close();
        }
        claims = new Claims(walk.clusters());
        unlikely = new HashMap<>();
        if (recorded.fault() == null) {
            long first = header.refcountTableOffset() >>> clusterBits;
            for (int i = 0; i < header.refcountTableClusters(); i++) {
                claims.add(first + i, Claims.Kind.REFCOUNTS, 0, false);
            }
        }
        for (int i = 0; i < recorded.blocks(); i++) {
            if (recorded.entry(i) != 0 && recorded.fault(i) == null) {
                claims.add(recorded.entry(i) >>> clusterBits, Claims.Kind.REFCOUNTS, 1 + i, false);
            }
        }
        walk.run(new TableClaims());
        walk.run(new GuestClaims());
    }

    /** Claims all but what entries of L2 tables do. */
    private final class TableClaims extends Tables {
        private long areas;

        @Override
        public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) throws IOException {
            String fault = walk.areaFault(offset, bytes);
            boolean isBitmap = area == MetadataWalk.Area.BITMAPS;
            if (bytes == 0) {
                return true;
            }
            if (fault != null && isBitmap) {
                bitmapsDamaged = true;
                return false;
            }
            if (fault != null) {
                throw new CorruptStoreException(image.image() + ": the " + what + " " + fault);
            }
            areas++;
            for (long i = offset >>> clusterBits; i <= (offset + bytes - 1) >>> clusterBits; i++) {
                if (!isBitmap && claims.isArea(i)) {
                    throw new CorruptStoreException(image.image() + ": the " + what + " at 0x"
                            + Long.toHexString(offset) + " is where something else is that the header names");
                }
                claims.add(i, isBitmap ? Claims.Kind.BITMAPS : Claims.Kind.AREA, areas, false);
            }
            return true;
        }

        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) {
            if (!keeps(l1, index, entry)) {
                return false;
            }
            claims.add(L1Entry.offset(entry) >>> clusterBits, Claims.Kind.TABLE, index, L1Entry.isCopied(entry));
            return false;
        }

        @Override
        public void damagedBitmaps(String what) {
            bitmapsDamaged = true;
        }
    }

    private final class GuestClaims extends Tables {
        @Override
        public boolean table(MetadataWalk.L1Table l1, int index, long entry) {
            return keeps(l1, index, entry);
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2) {
            int possible = 0;
            int impossible = 0;
            for (int i = 0; i < l2.size(); i++) {
                if (l2.entry(i) == 0 && l2.bitmap(i) == 0) {
                    continue;
                }
                long entry = mendedEntry(l2.entry(i));
                if (walk.entryFault(entry, mendedBitmap(l2.entry(i), l2.bitmap(i))) != null) {
                    impossible++;
                    continue;
                }
                possible++;
                if (walk.refers(entry)) {
                    claim(guestCluster(index, i), entry);
                }
            }
            if (possible <= impossible) {
                unlikely.put(offset, impossible);
            }
        }

        private void claim(long guestCluster, long entry) {
            boolean compressed = L2Entry.isCompressed(entry);
            for (long i = L2Entry.firstCluster(entry, clusterBits); i <= L2Entry.lastCluster(entry, clusterBits); i++) {
                claims.add(
                        i,
                        compressed ? Claims.Kind.COMPRESSED : Claims.Kind.DATA,
                        compressed ? 0 : guestCluster,
                        L2Entry.isCopied(entry));
            }
        }
    }

    private static long key(MetadataWalk.L1Table l1, int index) {
        return ((long) l1.number() << 32) | index;
    }

    private long guestCluster(int l1Index, int l2Index) {
        return ((long) l1Index << Qcow2Image.l2Shift(header)) + l2Index;
    }

    /**
     * Drops tables that cannot be where they are said to be; first those alone that do not look like tables, because what
     * they say of others goes with them.
     *
     * @return false if there are none
     */
    private boolean dropTables() throws IOException {
        List<Long> none = new ArrayList<>();
        List<Long> contested = new ArrayList<>();
        walk.run(new Tables() {
            @Override
            public boolean table(MetadataWalk.L1Table l1, int index, long entry) {
                if (keeps(l1, index, entry)) {
                    long offset = L1Entry.offset(entry);
                    long cluster = offset >>> clusterBits;
                    int impossible = unlikely.getOrDefault(offset, -1);
                    if ((impossible >= 0 && claims.isContested(cluster))
                            || (impossible > 0 && recorded.get(cluster) == 0)) {
                        none.add(key(l1, index));
                    } else if (!stands(entry)) {
                        contested.add(key(l1, index));
                    }
                }
                return false;
            }
        });
        dropped.addAll(none.isEmpty() ? contested : none);
        return !none.isEmpty() || !contested.isEmpty();
    }

    /** Looks at the L1 tables alone. */
    abstract static class Tables implements MetadataWalk.Visitor {
        @Override
        public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) throws IOException {
            return area == MetadataWalk.Area.L1_TABLE;
        }

        @Override
        public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2)
                throws IOException {}

        @Override
        public void damagedBitmaps(String what) {}
    }

    private boolean stands(long entry) {
        long cluster = L1Entry.offset(entry) >>> clusterBits;
        return claims.stands(
                cluster, Claims.Kind.TABLE, L1Entry.isCopied(entry), mended(entry) != entry, recorded.get(cluster));
    }

    /** Whether the table of an L1 entry that is not 0 is kept. */
    boolean keeps(MetadataWalk.L1Table l1, int index, long entry) {
        return !dropped.contains(key(l1, index)) && walk.tableFault(mended(entry)) == null;
    }

    /** An L1 entry without the bits that it cannot have. */
    static long mended(long l1Entry) {
        return l1Entry & ~L1Entry.RESERVED;
    }

    /** Replaces what is not kept of an L2 table. @return whether there was any such */
    boolean mend(MetadataWalk.L2Table l2) {
        boolean changed = false;
        for (int i = 0; i < l2.size(); i++) {
            long entry = l2.entry(i);
            long bitmap = l2.bitmap(i);
            if (entry == 0 && bitmap == 0) {
                continue;
            }
            long newEntry = mendedEntry(entry);
            long newBitmap = mendedBitmap(entry, bitmap);
            boolean doubtful = newEntry != entry || newBitmap != bitmap;
            if (walk.entryFault(newEntry, newBitmap) != null || !stands(newEntry, doubtful)) {
                boolean isZero = !header.hasExtendedL2()
                        && header.version() >= 3
                        && !L2Entry.isCompressed(entry)
                        && (entry & L2Entry.RESERVED) == 0
                        && L2Entry.isZero(entry);
                newEntry = isZero ? L2Entry.ZERO : 0;
                newBitmap = L2Entry.isCompressed(entry) ? 0 : L2Entry.bitmap(0, L2Entry.zeros(newBitmap));
            }
            if (newEntry != entry || newBitmap != bitmap) {
                l2.set(i, newEntry, newBitmap);
                changed = true;
            }
        }
        return changed;
    }

    private boolean stands(long entry, boolean doubtful) {
        if (!walk.refers(entry)) {
            // Nothing vouches for a place in an external data file.
            return !doubtful || !walk.hasCluster(entry);
        }
        Claims.Kind kind = L2Entry.isCompressed(entry) ? Claims.Kind.COMPRESSED : Claims.Kind.DATA;
        for (long i = L2Entry.firstCluster(entry, clusterBits); i <= L2Entry.lastCluster(entry, clusterBits); i++) {
            if (!claims.stands(i, kind, L2Entry.isCopied(entry), doubtful, recorded.get(i))) {
                return false;
            }
        }
        return true;
    }

    /** Without the bits that it cannot have. */
    private long mendedEntry(long entry) {
        if (L2Entry.isCompressed(entry)) {
            return entry & ~L2Entry.COPIED;
        }
        return entry & ~L2Entry.RESERVED & ~(header.version() < 3 ? L2Entry.ZERO : 0);
    }

    /** Without what it says of subclusters twice, or of a cluster that there is none of. */
    private long mendedBitmap(long entry, long bitmap) {
        if (L2Entry.isCompressed(entry)) {
            return 0;
        }
        long certain = bitmap & ~(bitmap << 32) & ~(bitmap >>> 32);
        return walk.hasCluster(mendedEntry(entry)) ? certain : L2Entry.bitmap(0, L2Entry.zeros(certain));
    }

    private void noteLosses() throws IOException {
        walk.run(new Tables() {
            private final long[] bitmaps = new long[1 << Qcow2Image.l2Shift(header)];
            private final long[] entries = new long[1 << Qcow2Image.l2Shift(header)];

            @Override
            public boolean area(MetadataWalk.Area area, long offset, long bytes, String what) {
                for (long i = offset >>> clusterBits;
                        area == MetadataWalk.Area.BITMAPS
                                && bytes != 0
                                && !bitmapsDamaged
                                && i <= (offset + bytes - 1) >>> clusterBits;
                        i++) {
                    bitmapsDamaged = claims.isContested(i);
                }
                return area == MetadataWalk.Area.L1_TABLE || (area == MetadataWalk.Area.BITMAPS && !bitmapsDamaged);
            }

            @Override
            public boolean table(MetadataWalk.L1Table l1, int index, long entry) {
                boolean kept = keeps(l1, index, entry);
                if (!kept) {
                    int l2Shift = Qcow2Image.l2Shift(header);
                    lose(l1, (long) index << (l2Shift + clusterBits), 1L << (l2Shift + clusterBits));
                }
                return kept;
            }

            @Override
            public void entries(MetadataWalk.L1Table l1, int index, long offset, MetadataWalk.L2Table l2) {
                for (int i = 0; i < l2.size(); i++) {
                    entries[i] = l2.entry(i);
                    bitmaps[i] = l2.bitmap(i);
                }
                if (!mend(l2)) {
                    return;
                }
                int shift = image.geometry().chunkShift();
                for (int i = 0; i < l2.size(); i++) {
                    for (int k = 0; k < 1 << image.subclusterShift(); k++) {
                        if (!isOrigin(entries[i], bitmaps[i], k) && isOrigin(l2.entry(i), l2.bitmap(i), k)) {
                            lose(l1, (guestCluster(index, i) << clusterBits) + ((long) k << shift), 1L << shift);
                        }
                    }
                }
            }
        });
    }

    private boolean isOrigin(long entry, long bitmap, int subcluster) {
        if (L2Entry.isCompressed(entry)) {
            return false;
        }
        return header.hasExtendedL2()
                ? ((L2Entry.allocated(bitmap) | L2Entry.zeros(bitmap)) >>> subcluster & 1) == 0
                : !L2Entry.isZero(entry) && !walk.hasCluster(entry);
    }

    /** What a snapshot has past the disk's end is the machine's state. */
    private void lose(MetadataWalk.L1Table l1, long guestOffset, long lengthBytes) {
        long end = l1.isActive() ? Math.min(header.size(), guestOffset + lengthBytes) : guestOffset + lengthBytes;
        if (guestOffset >= end) {
            return;
        }
        LostRange last = lost.isEmpty() ? null : lost.get(lost.size() - 1);
        if (last != null
                && last.snapshot().equals(l1.snapshot())
                && last.guestOffset() + last.lengthBytes() == guestOffset) {
            lost.set(lost.size() - 1, new LostRange(last.guestOffset(), end - last.guestOffset(), l1.snapshot()));
        } else {
            lost.add(new LostRange(guestOffset, end - guestOffset, l1.snapshot()));
        }
    }

    @Override
    public void close() throws NativeException {
        try (recorded) {
            if (claims != null) {
                claims.close();
            }
        }
    }
}
