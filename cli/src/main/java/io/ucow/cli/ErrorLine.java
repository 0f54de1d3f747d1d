package io.ucow.cli;

import io.ucow.cli.daemon.RemoteException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/** Makes one line for people out of an exception. */
final class ErrorLine {
    private ErrorLine() {}

    /** What went wrong, on one line, without the {@code ucow:} in front. */
    static String of(Throwable failure) {
        String message = failure instanceof FileSystemException e && e.getReason() == null && e.getFile() != null
                ? e.getFile() + ": " + reason(e)
                : failure.getMessage();
        return message == null || message.isBlank() || isBug(failure)
                ? "internal error: " + failure + " (run again with -v, and report it)"
                : joined(message);
    }

    /** {@code message} on one line. */
    static String joined(String message) {
        return message.strip().replaceAll("\\s*\\R\\s*", "; ");
    }

    /** The same with its exit code, for the command that a daemon fails to serve. */
    static RemoteException toRemote(Throwable failure) {
        return new RemoteException(of(failure), ExitCodes.of(failure));
    }

    /** {@code java.nio.file} often says what happened by the exception's type alone. */
    private static String reason(FileSystemException failure) {
        if (failure instanceof NoSuchFileException) {
            return "no such file or directory";
        }
        if (failure instanceof FileAlreadyExistsException) {
            return "exists already; choose another name";
        }
        if (failure instanceof AccessDeniedException) {
            return "permission denied";
        }
        if (failure instanceof NotDirectoryException) {
            return "not a directory; choose an empty one";
        }
        if (failure instanceof DirectoryNotEmptyException) {
            return "the directory is not empty; choose an empty one";
        }
        if (failure instanceof FileSystemLoopException) {
            return "its symbolic links go round in circles";
        }
        return failure.getClass().getSimpleName();
    }

    private static boolean isBug(Throwable failure) {
        return (failure instanceof Error && !(failure instanceof OutOfMemoryError))
                || (failure instanceof RuntimeException && !(failure instanceof IllegalArgumentException));
    }
}
