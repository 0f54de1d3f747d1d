package io.ucow.store;

import java.security.SecureRandom;

/**
 * What stands for all that the device of a closed image holds: two images with the same one are copies of each other.
 *
 * @param value any number but 0
 */
public record ContentId(long value) {
    private static final SecureRandom RANDOM = new SecureRandom();

    /** One that nothing else has. */
    public static ContentId random() {
        long value;
        do {
            value = RANDOM.nextLong();
        } while (value == 0);
        return new ContentId(value);
    }

    /** Sixteen hexadecimal digits. */
    @Override
    public String toString() {
        return String.format("%016x", value);
    }
}
