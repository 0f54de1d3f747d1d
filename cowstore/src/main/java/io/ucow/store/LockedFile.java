package io.ucow.store;

import io.ucow.sys.FileStatus;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A file that is locked for as long as its owner wants, while others open and close it in turn: an image that is opened,
 * closed and changed as a whole, with no moment in between in which somebody else could have it.
 *
 * <p>Threading: any.
 */
interface LockedFile {
    /** Another descriptor of the file, the caller's to close; the lock stays. */
    PositionalFile another() throws IOException;

    /** The same, read and written as {@code cache} says. */
    default PositionalFile another(CacheMode cache) throws IOException {
        return another();
    }

    /** What the file is, once its content and its times are durable. */
    FileStatus durableStatus() throws IOException;

    /** The file {@code file}, which holds the lock, and which its owner closes after the last use of what this returns. */
    static LockedFile of(Path path, NativeFile file) {
        return new LockedFile() {
            @Override
            public NativeFile another() throws IOException {
                return file.another();
            }

            @Override
            public PositionalFile another(CacheMode cache) throws IOException {
                return cache.accessTo(file.another(), false);
            }

            @Override
            public FileStatus durableStatus() throws IOException {
                // fdatasync leaves times out, and the modification time is part of a base's identity.
                Durable.sync(path);
                return file.status();
            }
        };
    }
}
