package io.ucow.store;

import java.io.IOException;

/** A store that may not grow: its file system or its limit is reached. Other requests go on. */
public final class StoreFullException extends IOException {
    private static final long serialVersionUID = 1L;

    public StoreFullException(String message) {
        super(message);
    }

    public StoreFullException(String message, Throwable cause) {
        super(message, cause);
    }
}
