package io.ucow.fuse.jnr;

import jnr.ffi.Pointer;
import jnr.ffi.annotations.In;
import jnr.ffi.annotations.Out;
import jnr.ffi.byref.IntByReference;
import jnr.ffi.byref.PointerByReference;
import jnr.ffi.types.size_t;

/**
 * The part of libfuse 2.9 that a session needs. Source: {@code fuse.h}, {@code fuse_lowlevel.h}, {@code fuse_common.h}.
 *
 * <p>{@code fuse_new} is missing on purpose: a lookup by name finds its oldest version, for an interface of 2002, where
 * {@code fuse_setup} resolves to the current one.
 */
public interface LibFuse {
    /** Parses {@code argv}, mounts, makes the session. @return {@code struct fuse *}, or null after printing why not */
    Pointer fuse_setup(
            int argc,
            @In String[] argv,
            Pointer operations,
            @size_t long operationsSize,
            @Out PointerByReference mountpoint,
            @Out IntByReference multithreaded,
            Pointer userData);

    void fuse_remove_signal_handlers(Pointer session);

    Pointer fuse_get_session(Pointer fuse);

    Pointer fuse_session_next_chan(Pointer session, Pointer previous);

    /** Answers requests until the connection is gone. @return 0, or -1 after printing what went wrong */
    int fuse_session_loop(Pointer session);

    /** Closes and frees the channel; unmounts, lazily, only if the connection is still alive. */
    void fuse_unmount(@In String mountpoint, Pointer channel);

    void fuse_destroy(Pointer fuse);

    /** libc's. */
    void free(Pointer memory);
}
