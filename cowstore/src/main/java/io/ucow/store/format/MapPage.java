package io.ucow.store.format;

import java.nio.ByteBuffer;

/**
 * One node of the remap tree, or of the tree of checksums: 4096 bytes, little-endian.
 * <pre>
 *   0 u32 magic "uMAP", of checksums "uSUM"      4 u32 crc    CRC32C of bytes 8..4095
 *   8 u64 generation        the checkpoint that wrote it
 *  16 u64 node              number of the node on its level: leaf n describes chunks n*508 .. n*508+507
 *  24 u32 level             0 leaf             28 u32 uuid   first four bytes of the store's uuid
 *  32 u64 value[508]        leaf: RemapEntry, or two checksums; above: page number (store offset / 4096) of the child, 0 when it is all
 *                           ORIGIN
 * </pre>
 * A page says what it is, so that a scan of the file finds every page even when its parent is lost. Source:
 * docs/FORMAT.md.
 */
public final class MapPage {
    public static final int MAGIC = 0, CRC = 4, GENERATION = 8, NODE = 16, LEVEL = 24, UUID = 28, VALUES = 32;
    public static final int SIZE = 4096, SHIFT = 12;
    /** Values in a page. */
    public static final int FANOUT = (SIZE - VALUES) / Long.BYTES;

    /** Of the remap tree. */
    public static final int MAGIC_VALUE = 'u' | 'M' << 8 | 'A' << 16 | 'P' << 24;
    /** Of the tree of checksums. */
    public static final int SUM_MAGIC_VALUE = 'u' | 'S' << 8 | 'U' << 16 | 'M' << 24;

    private MapPage() {}

    /** Writes the header of a node of the remap tree over values already in place, checksum last. */
    public static void seal(ByteBuffer page, int at, long generation, long node, int level, int uuid) {
        seal(page, at, MAGIC_VALUE, generation, node, level, uuid);
    }

    /** As the other, for the tree that {@code magic} says. */
    public static void seal(ByteBuffer page, int at, int magic, long generation, long node, int level, int uuid) {
        page.putInt(at + MAGIC, magic);
        page.putLong(at + GENERATION, generation);
        page.putLong(at + NODE, node);
        page.putInt(at + LEVEL, level);
        page.putInt(at + UUID, uuid);
        page.putInt(at + CRC, Crc.of(page, at + GENERATION, at + SIZE));
    }

    /**
     * Compares a page with the node of the remap tree that is expected in its place.
     *
     * @return null when it is the one, otherwise what is wrong with it, for a message
     */
    public static String problem(ByteBuffer page, int at, long maxGeneration, long node, int level, int uuid) {
        return problem(page, at, MAGIC_VALUE, maxGeneration, node, level, uuid);
    }

    /** As the other, for the tree that {@code magic} says. */
    public static String problem(
            ByteBuffer page, int at, int magic, long maxGeneration, long node, int level, int uuid) {
        if (page.getInt(at + MAGIC) != magic) {
            return String.format("no map page: magic 0x%08x, expected 0x%08x", page.getInt(at + MAGIC), magic);
        }
        int crc = Crc.of(page, at + GENERATION, at + SIZE);
        if (page.getInt(at + CRC) != crc) {
            return String.format("map page has crc 0x%08x, expected 0x%08x", page.getInt(at + CRC), crc);
        }
        if (page.getLong(at + NODE) != node || page.getInt(at + LEVEL) != level || page.getInt(at + UUID) != uuid) {
            return String.format(
                    "map page is node %d of level %d (store %08x), expected node %d of level %d (store %08x)",
                    page.getLong(at + NODE), page.getInt(at + LEVEL), page.getInt(at + UUID), node, level, uuid);
        }
        if (Long.compareUnsigned(page.getLong(at + GENERATION), maxGeneration) > 0) {
            return "map page of generation " + page.getLong(at + GENERATION) + ", expected at most " + maxGeneration;
        }
        return null;
    }

    /** Levels of the tree for a device of {@code chunkCount} chunks, {@code >= 1}; one while a single leaf is enough. */
    public static int levels(long chunkCount) {
        int levels = 1;
        for (long nodes = (chunkCount + FANOUT - 1) / FANOUT; nodes > 1; nodes = (nodes + FANOUT - 1) / FANOUT) {
            levels++;
        }
        return levels;
    }

    /** Pages of the tree for a device of {@code chunkCount} chunks, {@code >= 1}, all of them altered. */
    public static long pages(long chunkCount) {
        long nodes = (chunkCount + FANOUT - 1) / FANOUT;
        long pages = nodes;
        while (nodes > 1) {
            nodes = (nodes + FANOUT - 1) / FANOUT;
            pages += nodes;
        }
        return pages;
    }

    public static long value(ByteBuffer page, int at, int index) {
        return page.getLong(at + VALUES + index * Long.BYTES);
    }

    public static void setValue(ByteBuffer page, int at, int index, long value) {
        page.putLong(at + VALUES + index * Long.BYTES, value);
    }
}
