/**
 * The engine: a copy-on-write block device over a read-only base, and the interfaces its neighbours meet it at.
 *
 * <p>Start at {@link io.ucow.store.Images}, which creates and opens devices; {@link io.ucow.store.BlockDevice} is what
 * a transport sees, {@link io.ucow.store.CowDevice} is the one that copies and waits, and
 * {@link io.ucow.store.ExceptionStore} is what a format's plug-in implements: <em>where</em> an altered chunk goes and
 * how that is recorded. Paths, mounts and loop devices are left to the other modules.
 *
 * <pre>
 *   transport --&gt; BlockDevice
 *                     |
 *                 CowDevice ----- ChunkFutures (one first writer for a chunk, the rest wait)
 *                  /      \
 *             Origin    ExceptionStore  &lt;-- plug-ins: journal.UcowStore, ...
 *             (base)      (store file)
 * </pre>
 *
 * <p>Threading: a device serves any number of threads; requests for different chunks never wait for each other.
 */
package io.ucow.store;
