package io.ucow.qcow2;

import io.ucow.sys.NativeException;
import io.ucow.sys.SparseLongs;

/**
 * What refers to each cluster of a file: how often, as what, and whether all of that can be true at once. The same guest
 * cluster may have its data in one place in the disk and in any number of snapshots, and compressed data share clusters; else
 * whatever two refer to is at most one's.
 *
 * <p>Threading: for one thread.
 */
final class Claims implements AutoCloseable {
    /** What a cluster is claimed to be. */
    enum Kind {
        /** Header, L1 table, snapshot table: the header says so. */
        AREA(0),
        /** An L2 table. */
        TABLE(1),
        /** A guest's cluster. */
        DATA(2),
        /** Compressed clusters of a guest. */
        COMPRESSED(3),
        REFCOUNTS(4),
        BITMAPS(5);

        private final long bit;

        Kind(int number) {
            this.bit = 1L << (INDEX_BITS + number);
        }
    }

    private static final int INDEX_BITS = 44;
    private static final long INDEX_MASK = (1L << INDEX_BITS) - 1;
    private static final long KINDS = 63L << INDEX_BITS;
    /** Two of one kind are not of the same index. */
    private static final long DIFFER = 1L << 60;
    /** How many claim to be the only one: 0, 1, or 2 for more. */
    private static final int COPIED_SHIFT = 61;

    private static final long COPIED_MASK = 3L << COPIED_SHIFT;

    private final SparseLongs counts;
    /** Index of the first claim, or the first to a table, bits of all kinds, and what is above. */
    private final SparseLongs claims;

    Claims(long clusters) throws NativeException {
        this.counts = new SparseLongs(clusters);
        try {
            this.claims = new SparseLongs(clusters);
        } catch (NativeException e) {
            counts.close();
            throw e;
        }
    }

    /**
     * Notes a claim; those to tables come before those of guests.
     *
     * @param index which of its kind, {@code < 2^44}
     * @param copied whether it says that there is no other
     */
    void add(long cluster, Kind kind, long index, boolean copied) {
        long claim = claims.get(cluster);
        long kinds = claim & KINDS;
        boolean comparable = kind == Kind.TABLE ? (kinds & kind.bit) != 0 : kinds == kind.bit;
        boolean differs = comparable && (claim & INDEX_MASK) != index;
        boolean isFirst = kinds == 0 || (kind == Kind.TABLE && !comparable);
        long sole = ((claim & COPIED_MASK) >>> COPIED_SHIFT) + (copied ? 1 : 0);
        counts.set(cluster, counts.get(cluster) + 1);
        claims.set(
                cluster,
                (claim & (KINDS | DIFFER))
                        | (isFirst ? index : claim & INDEX_MASK)
                        | kind.bit
                        | (differs ? DIFFER : 0)
                        | Math.min(2, sole) << COPIED_SHIFT);
    }

    /** True if what is claimed of a cluster cannot all be true. */
    boolean isContested(long cluster) {
        long claim = claims.get(cluster);
        long kinds = claim & KINDS;
        return (kinds & (kinds - 1)) != 0 || ((claim & DIFFER) != 0 && kinds != Kind.COMPRESSED.bit);
    }

    /** True if one of the claims is to an {@link Kind#AREA}. */
    boolean isArea(long cluster) {
        return (claims.get(cluster) & Kind.AREA.bit) != 0;
    }

    /**
     * Whether a claim is to be believed. What the header names is there. A table that looks like one is none of a guest's
     * clusters. Else, of a cluster that is contested nobody's is, unless it counts as referred to that often, or just one says
     * that there is no other, and the count agrees: rather lose a cluster than give it another's bytes.
     *
     * @param copied as it was added
     * @param doubtful whether something about the entry is wrong: then the count has to vouch for it
     * @param recorded the cluster's reference count
     */
    boolean stands(long cluster, Kind kind, boolean copied, boolean doubtful, long recorded) {
        long count = counts.get(cluster);
        long claim = claims.get(cluster);
        if (!isContested(cluster)) {
            return !doubtful || recorded == count;
        }
        if ((claim & (Kind.AREA.bit | Kind.REFCOUNTS.bit | Kind.BITMAPS.bit)) != 0) {
            return kind == Kind.AREA;
        }
        boolean isSole = recorded == 1 && copied && (claim & COPIED_MASK) == 1L << COPIED_SHIFT;
        if ((claim & Kind.TABLE.bit) != 0) {
            return kind == Kind.TABLE && !doubtful && ((claim & DIFFER) == 0 || isSole);
        }
        return !doubtful && (isSole || Long.compareUnsigned(recorded, count) >= 0);
    }

    @Override
    public void close() throws NativeException {
        try (counts;
                claims) {}
    }
}
