package io.ucow.store;

import java.io.IOException;

/** A file that is no store, or one of a version or with features this program does not know. */
public final class UnsupportedFormatException extends IOException {
    private static final long serialVersionUID = 1L;

    public UnsupportedFormatException(String message) {
        super(message);
    }

    public UnsupportedFormatException(String message, Throwable cause) {
        super(message, cause);
    }
}
