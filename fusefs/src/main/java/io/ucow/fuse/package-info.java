/**
 * Block devices as files: one FUSE mount is a directory with one regular file per device.
 *
 * <p>Start at {@link io.ucow.fuse.Transport} (how requests come in from the kernel; {@code mount} is its one verb),
 * {@link io.ucow.fuse.ImageFile} (what every request does, the same for all transports) and {@link io.ucow.fuse.Mount}
 * (a mount while it lives; a {@link io.ucow.fuse.Handover} is what another process needs to serve it on).
 * {@link io.ucow.fuse.Mounts} looks after mounts of other, perhaps dead, processes. Of a
 * device this package sees {@link io.ucow.store.BlockDevice} alone; opening and closing it is the caller's.
 *
 * <pre>
 *   read(2), losetup, qemu
 *           |
 *      kernel FUSE  --  Transport: io.ucow.fuse.direct (/dev/fuse), io.ucow.fuse.jnr (libfuse 2)
 *           |
 *       ImageFile   --  bounds, modes, errno, counters, latency
 *           |
 *      BlockDevice  --  the engine
 * </pre>
 *
 * <p>Caching: what the kernel may keep of a file is the transport's affair, by {@link io.ucow.store.CacheMode}: {@code jnr}
 * lets it keep nothing, {@code direct} nothing of files opened with {@code O_DIRECT}. Nobody else changes what a file
 * holds, so what is kept stays true.
 *
 * <p>Threading: requests run on the transport's threads, any number at once, and share no lock on their way to the
 * device. Mounting and unmounting may be called from any thread but a request's.
 */
package io.ucow.fuse;
