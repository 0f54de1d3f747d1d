/**
 * FUSE's kernel protocol, spoken on {@code /dev/fuse} itself.
 *
 * <p>Start at {@link io.ucow.fuse.direct.DirectTransport} (mounting and taking over) and
 * {@link io.ucow.fuse.direct.SessionLoop} (one thread's life); {@link io.ucow.fuse.direct.Dispatcher} says what is
 * answered and {@link io.ucow.fuse.direct.abi} how the bytes lie. What a request does is
 * {@link io.ucow.fuse.ImageFile}'s.
 *
 * <pre>
 *                  kernel: one queue of requests, one list of unanswered ones for each descriptor
 *                     |                    |                     |
 *   Connection       fd 1                 fd 2                  fd N        (clones; a keeper may hold duplicates)
 *                     |                    |                     |
 *   Session      SessionLoop          SessionLoop           SessionLoop     one thread and one RequestBuffer each
 *                     +--------------------+---------------------+
 *                                     Dispatcher --- Tree
 *                                          |
 *                                      ImageFile
 * </pre>
 *
 * <p>Threading: session threads share nothing that changes.
 */
package io.ucow.fuse.direct;
