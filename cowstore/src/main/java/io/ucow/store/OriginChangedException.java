package io.ucow.store;

import java.io.IOException;

/** A base that is not the one the store was made on: missing, no disk, or with another size, time or content. */
public final class OriginChangedException extends IOException {
    private static final long serialVersionUID = 1L;

    public OriginChangedException(String message) {
        super(message);
    }

    public OriginChangedException(String message, Throwable cause) {
        super(message, cause);
    }
}
