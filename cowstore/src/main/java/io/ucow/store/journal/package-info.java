/**
 * ucow's own format at work: the plug-in {@link io.ucow.store.journal.UcowFormat} and the store it opens,
 * {@link io.ucow.store.journal.UcowStore}. Byte layouts are in {@code format}, the in-memory map in {@code remap}.
 *
 * <p>Every remap is one record in the {@link io.ucow.store.journal.Journal}, a ring; a flush adds a barrier; a
 * checkpoint writes the changed part of the {@link io.ucow.store.journal.MapTree} to new places and flips the
 * superblock, after which the ring's head moves on: both are {@link io.ucow.store.journal.Durability}'s.
 * {@link io.ucow.store.journal.Recovery} is the way back, and {@link io.ucow.store.journal.Repair} the one for damaged stores.
 *
 * <pre>
 *   commit --&gt; Journal --(half full, or close)--&gt; MapTree --&gt; superblock
 *                 |                                                |
 *                 +---------------- Recovery &lt;---------------------+
 * </pre>
 *
 * <p>Threading: commits run in parallel; flushes are grouped; one checkpoint at a time. Lock order: flush lock, then
 * checkpoint lock, then the lock of the list of freed slots; none is taken by a read or an in-place write.
 */
package io.ucow.store.journal;
