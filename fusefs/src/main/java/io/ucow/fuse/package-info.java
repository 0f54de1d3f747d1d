/**
 * Block devices as files: one FUSE mount is a directory with one regular file per device.
 *
 * <p>Start at {@link io.ucow.fuse.Transport} (how requests come in from the kernel; {@code mount} is its one verb),
 * {@link io.ucow.fuse.ImageFile} (what every request does, the same for all transports) and {@link io.ucow.fuse.Mount}
 * (a mount while it lives). {@link io.ucow.fuse.Mounts} looks after mounts of other, perhaps dead, processes. Of a
 * device this package sees {@link io.ucow.store.BlockDevice} alone; opening and closing it is the caller's.
 *
 * <pre>
 *   read(2), losetup, qemu
 *           |
 *      kernel FUSE  --  Transport: io.ucow.fuse.jnr (libfuse 2)
 *           |                      later io.ucow.fuse.direct (/dev/fuse)
 *       ImageFile   --  bounds, modes, errno, counters, latency
 *           |
 *      BlockDevice  --  the engine
 * </pre>
 *
 * <p>Caching: files are opened for direct I/O, so no data is ever held in the kernel's cache of these files. What one
 * reader sees is what the device holds at that moment, with or without {@code O_DIRECT}. A buffered loop device caches
 * in its own block device, above us.
 *
 * <p>Threading: requests run on the transport's threads, any number at once, and share no lock on their way to the
 * device. Mounting and unmounting may be called from any thread but a request's.
 */
package io.ucow.fuse;
