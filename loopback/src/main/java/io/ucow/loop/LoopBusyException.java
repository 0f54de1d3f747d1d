package io.ucow.loop;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import java.io.IOException;

/**
 * A loop device is in use and was not detached. It is as it was, and the message names the users that could be found;
 * only when the message says that the device is detached but still writing, it will be gone without further ado.
 */
public final class LoopBusyException extends IOException {
    private static final long serialVersionUID = 1L;

    LoopBusyException(String message, String call) {
        super(message, new NativeException(call, Errno.EBUSY));
    }
}
