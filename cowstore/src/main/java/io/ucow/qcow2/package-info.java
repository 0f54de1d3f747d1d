/**
 * QEMU's image format as a plug-in: {@link io.ucow.qcow2.Qcow2Format} is what the service loader finds, {@link
 * io.ucow.qcow2.Qcow2Store} an open image. The specification is QEMU's {@code docs/interop/qcow2}.
 *
 * <p>The engine's chunk is a cluster; in an image with extended L2 entries it is a subcluster, so that chunks are whole
 * there, too, and the subclusters of a cluster are a group. A slot is a host offset divided by the chunk size. Compressed
 * clusters, and those that an internal snapshot has as well, are <em>packed</em> chunks to the engine: readable where they
 * are, never written there.
 *
 * <pre>
 *   Qcow2Store ─ ClusterMap (guest chunk → RemapEntry, L2 tables loaded on first use)
 *        │     └ Decompressors (zlib, zstd)
 *        └ Writer ─ Places (where a chunk may be written) ─ HostClusters (free clusters and reference counts)
 *               ├ ZeroWriter (how chunks are made zeros)
 *               └ LogSpace ─ PendingLog (what no L2 table has yet), L2Writer
 *   NewImage (an image from nothing, what ImageOptions say) ─ ImageCopier (of all that a device holds) ─ Compressor
 *   Qcow2Resize
 *   Qcow2Image ─ Header, HeaderExtensions, SnapshotEntry, L1Entry, L2Entry: layouts alone, no I/O
 * </pre>
 *
 * <p>Without opening it: {@link io.ucow.qcow2.Qcow2Check} and {@link io.ucow.qcow2.Qcow2Repair}, both over {@link
 * io.ucow.qcow2.MetadataWalk}; {@link io.ucow.qcow2.BackingName} for a rebase.
 *
 * <p>Threading: layouts have no state; each other class says what it allows.
 */
package io.ucow.qcow2;
