/**
 * Loop devices through their ioctls: a file becomes {@code /dev/loopN}, and {@code /dev/loopN} becomes free again.
 *
 * <p>Start at {@link io.ucow.loop.LoopControl} (attach, list, find) and {@link io.ucow.loop.LoopDevice} (what is
 * attached, and its end). {@link io.ucow.loop.LoopOptions} says what to ask for and, read back, what is in force. What
 * the file holds, and that it may live in a FUSE mount whose daemon is gone, is left to the caller; nothing here asks
 * the file system of an attached file for anything, so nothing here hangs with it, unless its javadoc says so.
 *
 * <pre>
 *   LoopControl ---&gt; LoopDevice        attach, detach, list
 *     |    |           |     |
 *     |    +-----------+     +--&gt; CloseWatch, LoopUsers     who still has it open
 *     |          |
 *  LoopIoctl   LoopSysfs                                    /sys/block/loopN: what the kernel says
 *  LoopConfig, LoopInfo64                                   byte layouts
 * </pre>
 *
 * <p>Threading: everything here may be called from any thread at any time; other processes attach and detach at the
 * same time anyway, so each method says what it does about that.
 */
package io.ucow.loop;
