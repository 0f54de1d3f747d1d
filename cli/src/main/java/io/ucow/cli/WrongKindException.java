package io.ucow.cli;

import java.io.IOException;

/** A path of the wrong kind, such as a directory where a file is wanted. */
final class WrongKindException extends IOException {
    private static final long serialVersionUID = 1;

    WrongKindException(String message) {
        super(message);
    }
}
