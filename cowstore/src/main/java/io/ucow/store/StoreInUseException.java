package io.ucow.store;

import java.io.IOException;

/** A store, or its base, that another process or another device of this one has open. */
public final class StoreInUseException extends IOException {
    private static final long serialVersionUID = 1L;

    public StoreInUseException(String message) {
        super(message);
    }

    public StoreInUseException(String message, Throwable cause) {
        super(message, cause);
    }
}
