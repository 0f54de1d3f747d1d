package io.ucow.sys;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;

/**
 * A fixed-length array of longs outside the heap that costs memory only where something was stored.
 *
 * <p>It is one anonymous mapping; the kernel supplies a page at the first store to it, and reading an untouched page
 * yields 0 without costing one. An array of 2^32 longs with one element set occupies 4 KiB and some page tables.
 *
 * <p>Threading: elements have volatile semantics, {@link #compareAndSet} is atomic, all of it lock-free and without
 * allocation. {@link #close} must not race with any other call: the memory is gone afterwards.
 */
public final class SparseLongs implements AutoCloseable {
    private static final VarHandle ELEMENT =
            MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());
    private static final int SEGMENT_SHIFT = 27;
    private static final int SEGMENT_LENGTH = 1 << SEGMENT_SHIFT;
    private static final long MAX_LENGTH = 1L << 40;

    private final long length;
    final long address;
    private final ByteBuffer[] segments;
    /** The same memory, for many elements at a time. */
    private final LongBuffer[] words;

    /**
     * Reserves address space for {@code length} zeros.
     *
     * @param length number of elements, {@code 0..2^40}
     * @throws NativeException {@code ENOMEM} when the kernel refuses the address space
     */
    public SparseLongs(long length) throws NativeException {
        if (length < 0 || length > MAX_LENGTH) {
            throw new IllegalArgumentException("length " + length);
        }
        this.length = length;
        this.address = Libc.reserve(bytes());
        this.segments = new ByteBuffer[(int) ((length + SEGMENT_LENGTH - 1) >>> SEGMENT_SHIFT)];
        this.words = new LongBuffer[segments.length];
        for (int i = 0; i < segments.length; i++) {
            long first = (long) i << SEGMENT_SHIFT;
            int elements = (int) Math.min(SEGMENT_LENGTH, length - first);
            segments[i] = Libc.view(address + first * Long.BYTES, elements * Long.BYTES);
            words[i] = segments[i].duplicate().order(ByteOrder.nativeOrder()).asLongBuffer();
        }
    }

    /** Number of elements. */
    public long length() {
        return length;
    }

    /** The element at {@code index}, {@code 0 <= index < length()}. */
    public long get(long index) {
        return (long) ELEMENT.getVolatile(segment(index), position(index));
    }

    /**
     * Copies {@code count} elements from {@code index} on to the beginning of {@code dst}, which is quicker than to {@link #get} each.
     * Each is what it was at some moment, which may have been before this call.
     */
    public void get(long index, int count, long[] dst) {
        int done = 0;
        while (done < count) {
            long at = index + done;
            int within = (int) at & (SEGMENT_LENGTH - 1);
            int n = Math.min(count - done, SEGMENT_LENGTH - within);
            words[(int) (at >>> SEGMENT_SHIFT)].get(within, dst, done, n);
            done += n;
        }
    }

    /** Stores an element; every {@link #get} that starts afterwards sees it. */
    public void set(long index, long value) {
        ELEMENT.setVolatile(segment(index), position(index), value);
    }

    /** Stores {@code value} if the element is {@code expected}. @return whether it was */
    public boolean compareAndSet(long index, long expected, long value) {
        return ELEMENT.compareAndSet(segment(index), position(index), expected, value);
    }

    /** Sets the bits of {@code mask} in the element. @return the element as it was */
    public long getAndBitwiseOr(long index, long mask) {
        return (long) ELEMENT.getAndBitwiseOr(segment(index), position(index), mask);
    }

    /** Clears the bits that {@code mask} does not have. @return the element as it was */
    public long getAndBitwiseAnd(long index, long mask) {
        return (long) ELEMENT.getAndBitwiseAnd(segment(index), position(index), mask);
    }

    /**
     * Has {@code count} elements from {@code index} on be 0 and gives their memory back; who reads one meanwhile gets
     * what it was, or 0. Both are multiples of 512, a page.
     */
    public void forget(long index, long count) throws NativeException {
        Libc.forget(address + index * Long.BYTES, count * Long.BYTES);
    }

    /** Gives the memory back. No other call may follow or be under way. */
    @Override
    public void close() throws NativeException {
        Libc.unreserve(address, bytes());
    }

    private long bytes() {
        return Math.max(length, 1) * Long.BYTES;
    }

    private ByteBuffer segment(long index) {
        return segments[(int) (index >>> SEGMENT_SHIFT)];
    }

    private static int position(long index) {
        return ((int) index & (SEGMENT_LENGTH - 1)) << 3;
    }
}
