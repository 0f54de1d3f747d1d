package io.ucow.cli.daemon;

import java.io.IOException;

/** What a daemon answered instead of doing what it was asked: its error line and the exit code that goes with it. */
public final class RemoteException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int exitCode;

    public RemoteException(String message, int exitCode) {
        super(message);
        this.exitCode = exitCode;
    }

    /** The code that the command ends with, never 0. */
    public int exitCode() {
        return exitCode;
    }
}
