/**
 * The transport that works wherever libfuse 2 does, for ordinary users too. The only package that imports jnr-fuse.
 *
 * <p>{@link io.ucow.fuse.jnr.JnrTransport} mounts; a {@code Session} runs libfuse's loop on threads of ours;
 * {@code Operations} translates libfuse's callbacks into calls of {@link io.ucow.fuse.ImageFile}. From jnr-fuse come
 * the layouts of libfuse's structures. Its own mount and unmount are not used: they report a mount after two seconds
 * whether there is one or not, unmount lazily even when busy, and add a shutdown hook.
 *
 * <pre>
 *   thread ucow-fuse-N:  fuse_session_loop  (libfuse: read /dev/fuse, decode)
 *                             |  upcall
 *                        Operations.read / write  (long address -&gt; cached direct buffer)
 *                             |
 *                        ImageFile  -&gt;  BlockDevice
 *                             |  return
 *                        libfuse: writev the reply
 * </pre>
 *
 * <p>Threading: every session has a fixed number of threads, each of which answers one request at a time; they meet
 * only in the kernel's queue. A device must therefore not be made to wait for a file of its own mount.
 */
package io.ucow.fuse.jnr;
