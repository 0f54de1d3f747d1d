package io.ucow.store;

import java.util.Arrays;

/**
 * A base as the store remembers it: where it was and what identifies it.
 *
 * @param path absolute, or relative to the store's directory
 * @param sizeBytes length in bytes
 * @param modifiedSeconds modification time, seconds since 1970; 0 for a block device
 * @param modifiedNanos the same, nanoseconds within the second
 * @param fingerprint SHA-256 of sampled content, see {@link FileOrigin}; {@link #FINGERPRINT_BYTES} long
 */
public record OriginReference(
        String path, long sizeBytes, long modifiedSeconds, int modifiedNanos, byte[] fingerprint) {
    public static final int FINGERPRINT_BYTES = 32;

    public OriginReference {
        if (fingerprint.length != FINGERPRINT_BYTES) {
            throw new IllegalArgumentException("fingerprint of " + fingerprint.length + " bytes");
        }
        fingerprint = fingerprint.clone();
    }

    @Override
    public byte[] fingerprint() {
        return fingerprint.clone();
    }

    /** True when both describe the same content; the path does not count. */
    public boolean sameContent(OriginReference other) {
        return sizeBytes == other.sizeBytes
                && modifiedSeconds == other.modifiedSeconds
                && modifiedNanos == other.modifiedNanos
                && Arrays.equals(fingerprint, other.fingerprint);
    }

    @Override
    public boolean equals(Object o) {
        return o instanceof OriginReference other && path.equals(other.path) && sameContent(other);
    }

    @Override
    public int hashCode() {
        return path.hashCode() * 31 + Long.hashCode(sizeBytes);
    }
}
