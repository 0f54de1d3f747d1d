package io.ucow.store;

import java.io.IOException;

/** A store whose bytes contradict its format: which file, where, what was found and what was expected. */
public final class CorruptStoreException extends IOException {
    private static final long serialVersionUID = 1L;

    public CorruptStoreException(String message) {
        super(message);
    }

    public CorruptStoreException(String message, Throwable cause) {
        super(message, cause);
    }
}
