package io.ucow.store.table;

import java.io.IOException;

/** A table that cannot be read, or a device that cannot be written as one; the message says where, what and what to do. */
public final class TableSyntaxException extends IOException {
    private static final long serialVersionUID = 1L;

    /** @param message complete: one line that names the source, the line in it, what was found and what to do */
    public TableSyntaxException(String message) {
        super(message);
    }

    /**
     * @param source file name or {@code <stdin>}
     * @param lineNumber line in it, counted from 1
     * @param problem what was found there, and what to do
     */
    TableSyntaxException(String source, int lineNumber, String problem) {
        super(source + " line " + lineNumber + ": " + problem);
    }
}
