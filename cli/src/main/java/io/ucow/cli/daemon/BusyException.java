package io.ucow.cli.daemon;

import java.io.IOException;

/** An image, mount or loop device that is in use: by whom, and how to end that. Nothing was changed. */
public final class BusyException extends IOException {
    private static final long serialVersionUID = 1L;

    public BusyException(String message) {
        super(message);
    }
}
