package io.ucow.store;

import io.ucow.sys.FileStatus;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.HexFormat;

/**
 * An origin that a store has on record, and can tell from any other.
 *
 * <p>Its identity is its size, the modification time of its file (regular files) and a SHA-256 over 64 samples of 4 KiB
 * spread evenly from the first to the last byte: cheap for any size, and enough to tell a base that was booted, resized,
 * replaced or written to by a program that keeps the time stamp.
 *
 * <p>Threading: as {@link Origin}.
 */
abstract class BaseOrigin implements Origin {
    private static final int SAMPLES = 64;
    private static final int SAMPLE_BYTES = 4096;

    private final String name;
    private final FileStatus status;
    private final boolean isImage;

    /**
     * @param name how messages name its file
     * @param status of its file, when it was opened
     * @param isImage as in {@link OriginReference}
     */
    BaseOrigin(String name, FileStatus status, boolean isImage) {
        this.name = name;
        this.status = status;
        this.isImage = isImage;
    }

    /** What its file was when it was opened. */
    final FileStatus status() {
        return status;
    }

    /** What identifies this origin, under the name {@code path}. */
    final OriginReference reference(String path) throws IOException {
        boolean timed = status.isRegular();
        return new OriginReference(
                path,
                sizeBytes(),
                timed ? status.modifiedSeconds() : 0,
                timed ? status.modifiedNanos() : 0,
                fingerprint(),
                isImage);
    }

    private String fingerprint() throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
        ByteBuffer sample = ByteBuffer.allocateDirect(SAMPLE_BYTES);
        long last = Math.max(0, sizeBytes() - SAMPLE_BYTES);
        for (int i = 0; i < SAMPLES; i++) {
            // Multiplying first would overflow beyond 2^57 bytes.
            long offset = last / (SAMPLES - 1) * i + last % (SAMPLES - 1) * i / (SAMPLES - 1);
            read(sample.clear(), offset);
            digest.update(sample.flip());
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /**
     * Refuses an origin that is not the recorded one.
     *
     * @throws OriginChangedException naming what differs and what to do
     */
    final void requireSame(OriginReference recorded, Path image) throws IOException {
        if (recorded.isChanging()) {
            requireAtLeast(recorded, image);
            return;
        }
        if (!recorded.hasIdentity()) {
            return;
        }
        OriginReference found = reference(recorded.path());
        if (found.sameContent(recorded)) {
            return;
        }
        String what;
        String remedy = "restore the base, or create a new image on it";
        if (found.sizeBytes() != recorded.sizeBytes()) {
            what = "it has " + found.sizeBytes() + " bytes, expected " + recorded.sizeBytes();
        } else if (!found.fingerprint().equals(recorded.fingerprint())) {
            what = "its content differs";
        } else {
            what = "it was modified at " + time(found) + ", expected " + time(recorded);
            remedy += "; if only its time stamp changed: touch -d '" + time(recorded) + "' " + name;
        }
        throw new OriginChangedException(
                name + ": base changed since " + image + " was created: " + what + "; " + remedy);
    }

    /** What a commit that did not come to its end leaves of a base: it may have grown, and nothing else is certain. */
    private void requireAtLeast(OriginReference recorded, Path image) throws OriginChangedException {
        if (sizeBytes() < recorded.sizeBytes()) {
            throw new OriginChangedException(
                    name + ": base changed while " + image + " was being committed to it: it has " + sizeBytes()
                            + " bytes, expected " + recorded.sizeBytes() + " or more; move the right one there");
        }
    }

    private static String time(OriginReference r) {
        return Instant.ofEpochSecond(r.modifiedSeconds(), r.modifiedNanos()).toString();
    }
}
