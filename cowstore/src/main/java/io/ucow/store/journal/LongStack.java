package io.ucow.store.journal;

import java.util.Arrays;

/**
 * A stack of longs that does not box.
 *
 * <p>Threading: confined to one thread at a time.
 */
final class LongStack {
    private long[] elements = new long[64];
    private int size;

    void push(long element) {
        if (size == elements.length) {
            elements = Arrays.copyOf(elements, size * 2);
        }
        elements[size++] = element;
    }

    long pop() {
        return elements[--size];
    }

    void clear() {
        size = 0;
    }

    boolean isEmpty() {
        return size == 0;
    }

    long[] sorted() {
        long[] copy = Arrays.copyOf(elements, size);
        Arrays.sort(copy);
        return copy;
    }
}
