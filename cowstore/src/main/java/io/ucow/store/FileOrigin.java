package io.ucow.store;

import io.ucow.store.format.Superblock;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * An origin in a regular file or a block device, opened read-only.
 *
 * <p>Its identity is its size, its modification time (regular files) and a SHA-256 over 64 samples of 4 KiB spread
 * evenly from the first to the last byte: cheap for any size, and enough to tell a base that was booted, resized,
 * replaced or written to by a program that keeps the time stamp.
 *
 * <p>Threading: any number of threads may read at once.
 */
final class FileOrigin implements Origin {
    private static final int SAMPLES = 64;
    private static final int SAMPLE_BYTES = 4096;
    private static final int QCOW2_MAGIC = 0x514649fb;

    private final PositionalFile file;
    /** When it was opened. */
    private final FileStatus status;

    private final long sizeBytes;

    private FileOrigin(PositionalFile file, FileStatus status, long sizeBytes) {
        this.file = file;
        this.status = status;
        this.sizeBytes = sizeBytes;
    }

    /**
     * @throws DirectIoUnavailableException as {@link CacheMode#accessTo}
     * @throws NativeException {@code ENOENT} if it is missing
     * @throws IOException if it is neither a regular file nor a block device, or may not be read
     */
    static FileOrigin open(Path path, CacheMode cache) throws IOException {
        // Before it is opened: that would wait for the writer of a pipe.
        requireFileOrBlockDevice(path, Libc.statx(path));
        NativeFile file = NativeFile.open(path, Libc.O_RDONLY);
        try {
            FileStatus status = file.status();
            requireFileOrBlockDevice(path, status);
            long sizeBytes = file.size();
            return new FileOrigin(cache.accessTo(file, true), status, sizeBytes);
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    private static void requireFileOrBlockDevice(Path path, FileStatus status) throws UnsupportedFormatException {
        if (!status.isRegular() && !status.isBlockDevice()) {
            throw new UnsupportedFormatException(
                    path + ": is neither a regular file nor a block device; a base must be one of them");
        }
    }

    /** Refuses bases whose bytes are a container format: served raw they would be garbage to every guest. */
    void requireRaw() throws IOException {
        ByteBuffer head = ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES);
        read(head, 0);
        if (head.getInt(0) == QCOW2_MAGIC) {
            throw new UnsupportedFormatException(file.name()
                    + ": is a qcow2 image, and a base must be raw; convert it with: qemu-img convert -O raw "
                    + file.name() + " BASE.raw");
        }
        // A new image has only its second superblock.
        if (Superblock.hasMagic(head, 0) || Superblock.hasMagic(head, Superblock.SIZE)) {
            throw new UnsupportedFormatException(
                    file.name() + ": is a ucow image, and a base must be raw; attach it and copy /dev/loopN to a file");
        }
    }

    /** What identifies this origin, under the name {@code path}. */
    OriginReference reference(String path) throws IOException {
        boolean timed = status.isRegular();
        return new OriginReference(
                path,
                sizeBytes,
                timed ? status.modifiedSeconds() : 0,
                timed ? status.modifiedNanos() : 0,
                fingerprint());
    }

    private String fingerprint() throws IOException {
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
        ByteBuffer sample = ByteBuffer.allocateDirect(SAMPLE_BYTES);
        long last = Math.max(0, sizeBytes - SAMPLE_BYTES);
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
    void requireSame(OriginReference recorded, Path image) throws IOException {
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
            remedy += "; if only its time stamp changed: touch -d '" + time(recorded) + "' " + file.name();
        }
        throw new OriginChangedException(
                file.name() + ": base changed since " + image + " was created: " + what + "; " + remedy);
    }

    private static String time(OriginReference r) {
        return java.time.Instant.ofEpochSecond(r.modifiedSeconds(), r.modifiedNanos())
                .toString();
    }

    @Override
    public long sizeBytes() {
        return sizeBytes;
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        int limit = dst.limit();
        long available = Math.max(0, sizeBytes - offset);
        if (available < dst.remaining()) {
            dst.limit(dst.position() + (int) available);
        }
        int wanted = dst.remaining();
        if (wanted > 0 && file.read(dst, offset) < wanted) {
            throw becameShorter();
        }
        dst.limit(limit);
        Zeros.fill(dst);
    }

    private OriginChangedException becameShorter() {
        return new OriginChangedException(file.name() + ": base became shorter than " + sizeBytes
                + " bytes while in use; detach, restore it, attach again");
    }

    @Override
    public long seekData(long offset) throws IOException {
        if (offset >= sizeBytes) {
            return Long.MAX_VALUE;
        }
        long found = file.seekData(offset);
        if (found == Long.MAX_VALUE && file.size() < sizeBytes) {
            throw becameShorter(); // what was cut off is no hole
        }
        return found;
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return offset >= sizeBytes ? offset : Math.min(sizeBytes, file.seekHole(offset));
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
