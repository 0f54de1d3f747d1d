package io.ucow.qcow2;

import java.nio.ByteBuffer;

/**
 * The entries of a refcount block: unsigned numbers of {@code 1 << order} bits, big-endian from 8 bits on; narrower ones
 * fill each byte from its least significant bit up.
 */
final class Refcounts {
    /** Bits of an entry of the refcount table that are 0. */
    static final long RESERVED = 511;
    /** Most bytes of a refcount table, as QEMU has it. */
    static final int MAX_TABLE_BYTES = 8 << 20;
    /** Largest order: 64 bits. */
    static final int MAX_ORDER = 6;

    private Refcounts() {}

    /** Binary logarithm of the entries in a block of {@code 1 << clusterBits} bytes. */
    static int blockShift(int clusterBits, int order) {
        return clusterBits + 3 - order;
    }

    /** The largest count that can be stored, as an unsigned number. */
    static long max(int order) {
        return order == MAX_ORDER ? -1L : (1L << (1 << order)) - 1;
    }

    /** The entry at {@code index}. */
    static long get(ByteBuffer block, int order, int index) {
        return switch (order) {
            case 3 -> block.get(index) & 0xffL;
            case 4 -> block.getShort(index << 1) & 0xffffL;
            case 5 -> block.getInt(index << 2) & 0xffff_ffffL;
            case 6 -> block.getLong(index << 3);
            default -> (block.get(index >>> (3 - order)) >>> bit(order, index)) & max(order);
        };
    }

    /** Stores {@code count}, {@code 0..max(order)}. */
    static void put(ByteBuffer block, int order, int index, long count) {
        switch (order) {
            case 3 -> block.put(index, (byte) count);
            case 4 -> block.putShort(index << 1, (short) count);
            case 5 -> block.putInt(index << 2, (int) count);
            case 6 -> block.putLong(index << 3, count);
            default -> {
                int at = index >>> (3 - order);
                int rest = block.get(at) & ~((int) max(order) << bit(order, index));
                block.put(at, (byte) (rest | (int) count << bit(order, index)));
            }
        }
    }

    private static int bit(int order, int index) {
        return (index & ((1 << (3 - order)) - 1)) << order;
    }
}
