package io.ucow.fuse;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.nio.file.Path;

/** A mount that is in use and was left exactly as it was. Its errno is {@code EBUSY}. */
public final class MountBusyException extends IOException {
    private static final long serialVersionUID = 1L;

    MountBusyException(Path directory) {
        super(
                directory + " is in use: detach its loop devices, close its files and leave the directory, then unmount"
                        + " again; nothing was changed",
                new NativeException("umount " + directory, Errno.EBUSY));
    }
}
