package io.ucow.loop;

import java.io.IOException;

/** No loop device can be had: no driver, no right to use it, or none free. The message says which, and what to do. */
public final class LoopUnavailableException extends IOException {
    private static final long serialVersionUID = 1L;

    LoopUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
