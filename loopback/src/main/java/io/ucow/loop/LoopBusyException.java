package io.ucow.loop;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;

/** A loop device that is in use was not detached; it is as it was. The message names the users that could be found. */
public final class LoopBusyException extends IOException {
    private static final long serialVersionUID = 1L;

    LoopBusyException(String message, String call) {
        super(message, new NativeException(call, Errno.EBUSY));
    }
}
