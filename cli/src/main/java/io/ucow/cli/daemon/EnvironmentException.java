package io.ucow.cli.daemon;

import java.io.IOException;

/** Something that this machine lacks: what, and how to get it. */
public final class EnvironmentException extends IOException {
    private static final long serialVersionUID = 1L;

    public EnvironmentException(String message) {
        super(message);
    }

    public EnvironmentException(String message, Throwable cause) {
        super(message, cause);
    }
}
