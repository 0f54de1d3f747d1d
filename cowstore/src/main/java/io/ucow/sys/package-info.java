/**
 * Every system call ucow makes, and nothing else: no policy, no block device, no logging.
 *
 * <p>Start at {@link io.ucow.sys.NativeFile} (positional file I/O that the store and the base are read through),
 * {@link io.ucow.sys.Libc} (the remaining calls, one static method each) and {@link io.ucow.sys.SparseLongs} (memory
 * that the kernel hands out page by page). Failures are {@link io.ucow.sys.NativeException}s that carry the call and
 * its errno; {@link io.ucow.sys.Errno} maps any throwable back to the errno a kernel request must be answered with.
 *
 * <pre>
 *   store, fuse, loop, cli
 *            |
 *      PositionalFile  &lt;-- the seam at which tests inject faults or use jimfs
 *          |     |
 *          |  DirectFile     &lt;-- past the page cache, over two NativeFiles
 *          |     |
 *       NativeFile --&gt; Libc --&gt; jnr-ffi --&gt; libc
 * </pre>
 *
 * <p>Threading: everything here may be called from any thread at any time.
 */
package io.ucow.sys;
