package io.ucow.sys;

import java.io.IOException;

/** A system call that failed, with its errno. */
public final class NativeException extends IOException {
    private static final long serialVersionUID = 1L;

    private final String call;
    private final int errno;

    /**
     * @param call the system call's name and, where it helps, what it was applied to
     * @param errno the error number it left, see {@link Errno}
     */
    public NativeException(String call, int errno) {
        super(call + ": " + Errno.describe(errno));
        this.call = call;
        this.errno = errno;
    }

    /** The system call's name, as given to the constructor. */
    public String call() {
        return call;
    }

    /** The error number, always positive. */
    public int errno() {
        return errno;
    }
}
