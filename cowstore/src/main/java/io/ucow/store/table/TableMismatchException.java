package io.ucow.store.table;

import java.io.IOException;

/** A well-formed table that does not fit the files it names: too short, of another base, with another chunk size. */
public final class TableMismatchException extends IOException {
    private static final long serialVersionUID = 1L;

    /** @param message complete: which file, what was found, what the table expects and what to do */
    public TableMismatchException(String message) {
        super(message);
    }
}
