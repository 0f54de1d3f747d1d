/**
 * Tests of the whole: real mounts, real loop devices, outside tools as judges. What a user does is done as a user does
 * it, through {@code bin/ucow} in a process of its own.
 *
 * <p>Start at {@link io.ucow.it.Requirements} (what a test needs, and what happens without), {@link io.ucow.it.Tool}
 * (outside programs, bounded in time, their output in the failure), {@link io.ucow.it.Ucow} (our own, the same way) and
 * {@link io.ucow.it.TempMount} (a file system on a block device for the length of a test).
 *
 * <pre>
 *   *IT --&gt; Requirements
 *     |---&gt; Ucow --&gt; Tool --&gt; a process, its output in files, killed at its limit
 *     +---&gt; TempMount --&gt; mount(8), umount(8)
 * </pre>
 *
 * <p>Whatever a test mounts or attaches it takes away again, also when it fails.
 *
 * <p>Threading: tests run one at a time, each in a thread of its own; the helpers are for that thread alone.
 */
package io.ucow.it;
