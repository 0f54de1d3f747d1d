package io.ucow.qcow2;

import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.OriginReference;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/**
 * What a header says of the backing file, as an origin: a path relative to the image's directory, or an absolute one, and
 * whether it is an image itself. Names of QEMU's protocols but {@code file:} are refused.
 *
 * <p>An image that names no format is read as raw, unless the backing file looks like an image: a guest that could write
 * such a file raw could have it read as an image of its choosing, so one of the two readings is wrong, and only a person
 * knows which.
 */
final class BackingFile {
    /** A disk's bytes as they are, in QEMU's words. */
    private static final Set<String> RAW = Set.of("raw", "file", "host_device");

    private static final Set<String> IMAGES = Set.of("qcow2", "ucow");
    /** Longest name that a header may have, in bytes. */
    static final int MAX_NAME_BYTES = 1023;

    private static final String FILE_PROTOCOL = "file:";

    private BackingFile() {}

    /**
     * @param name as the header has it
     * @param format as the header extension has it
     * @throws UnsupportedFormatException if it is not a file, or of a format that cannot be read
     */
    static OriginReference reference(String name, Optional<String> format, Path image) throws IOException {
        String path = path(name, image);
        if (format.isEmpty()) {
            refuseImage(OriginReference.ofPath(path, false).resolve(image), image);
            return OriginReference.ofPath(path, false);
        }
        if (!RAW.contains(format.get()) && !IMAGES.contains(format.get())) {
            throw new UnsupportedFormatException(image + ": its backing file " + name + " is of format '" + format.get()
                    + "', and it can be raw, qcow2 or ucow; convert it with: qemu-img convert");
        }
        return OriginReference.ofPath(path, IMAGES.contains(format.get()));
    }

    /** A file's path from a name in QEMU's syntax. */
    static String path(String name, Path image) throws UnsupportedFormatException {
        if (name.startsWith(FILE_PROTOCOL)) {
            return name.substring(FILE_PROTOCOL.length());
        }
        int colon = name.indexOf(':');
        if (colon >= 0 && name.lastIndexOf('/', colon) < 0) {
            throw new UnsupportedFormatException(image + ": refers to '" + name + "' through QEMU's '"
                    + name.substring(0, colon) + "' protocol, and only files are supported");
        }
        return name;
    }

    private static void refuseImage(Path backing, Path image) throws IOException {
        try {
            if (!Libc.statx(backing).isRegular()) {
                return;
            }
            try (NativeFile file = NativeFile.open(backing, Libc.O_RDONLY)) {
                ByteBuffer head = ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES);
                file.read(head, 0);
                if (Header.hasMagic(head.flip())) {
                    throw new UnsupportedFormatException(image + ": does not say of what format its backing file "
                            + backing + " is, which may be qcow2; if so: qemu-img rebase -u -F qcow2 -b " + backing
                            + " "
                            + image);
                }
            }
        } catch (NativeException e) {
            // Whoever opens it says so in better words.
            if (e.errno() != Errno.ENOENT && e.errno() != Errno.ENOTDIR) {
                throw e;
            }
        }
    }
}
