package io.ucow.store;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/**
 * A base as the store remembers it: where it was and what identifies it.
 *
 * @param path absolute, or relative to the store's directory
 * @param sizeBytes length in bytes
 * @param modifiedSeconds modification time, seconds since 1970; 0 for a block device
 * @param modifiedNanos the same, nanoseconds within the second
 * @param fingerprint SHA-256 of sampled content, see {@link BaseOrigin}, as 64 hexadecimal digits;
 *     empty, with size and time 0, where the image's format does not record what identifies its base
 * @param isImage true for a layer: a ucow image, whose guest content the size and the fingerprint are of; false when the
 *     bytes of the file or block device are the base
 * @param isChanging true once a commit into it was begun: of what identifies it only the kind and the least size hold
 */
public record OriginReference(
        String path,
        long sizeBytes,
        long modifiedSeconds,
        int modifiedNanos,
        String fingerprint,
        boolean isImage,
        boolean isChanging) {
    /** Length of the fingerprint in bytes. */
    public static final int FINGERPRINT_BYTES = 32;

    /** @throws IllegalArgumentException if the fingerprint has another length, and there is one */
    public OriginReference {
        if (!fingerprint.isEmpty() && fingerprint.length() != 2 * FINGERPRINT_BYTES) {
            throw new IllegalArgumentException("fingerprint " + fingerprint);
        }
    }

    /** A base that nobody changes. */
    public OriginReference(
            String path, long sizeBytes, long modifiedSeconds, int modifiedNanos, String fingerprint, boolean isImage) {
        this(path, sizeBytes, modifiedSeconds, modifiedNanos, fingerprint, isImage, false);
    }

    /** A base of which the image records only where it is. */
    public static OriginReference ofPath(String path, boolean isImage) {
        return new OriginReference(path, 0, 0, 0, "", isImage);
    }

    /** True when the image records what identifies its base, so that another one can be told. */
    public boolean hasIdentity() {
        return !fingerprint.isEmpty();
    }

    /** The same base, which a commit is about to change. */
    OriginReference changing() {
        return new OriginReference(path, sizeBytes, modifiedSeconds, modifiedNanos, fingerprint, isImage, true);
    }

    /**
     * Where the base of {@code image} is to be found.
     *
     * @throws UnsupportedFormatException if the path cannot be spelled in this locale
     */
    public Path resolve(Path image) throws IOException {
        try {
            return fileOf(image).resolveSibling(path);
        } catch (InvalidPathException e) {
            throw new UnsupportedFormatException(
                    image + ": path of its base cannot be spelled in this locale; set LC_ALL=C.UTF-8", e);
        }
    }

    /** The file that {@code image} is a name of: bases are relative to its directory, not to that of a link to it. */
    static Path fileOf(Path image) throws IOException {
        return Files.isSymbolicLink(image) ? image.toRealPath() : image.toAbsolutePath();
    }

    /** True when both describe the same content; the path does not count. */
    public boolean sameContent(OriginReference other) {
        return sizeBytes == other.sizeBytes
                && modifiedSeconds == other.modifiedSeconds
                && modifiedNanos == other.modifiedNanos
                && fingerprint.equals(other.fingerprint);
    }
}
