package io.ucow.store;

import java.io.IOException;

/** Cache mode {@code none} was asked for on a file system that has no direct I/O. */
public final class DirectIoUnavailableException extends IOException {
    private static final long serialVersionUID = 1L;

    public DirectIoUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
