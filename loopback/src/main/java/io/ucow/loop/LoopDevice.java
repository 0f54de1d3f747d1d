package io.ucow.loop;

import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One attachment of a file to {@code /dev/loopN}.
 *
 * <p>The object stands for this attachment, not for the number: when it is detached and the number is attached to
 * another file, operations fail with {@code ENXIO} instead of touching what is there now. (Before Linux 5.15 the two
 * cannot be told apart.) Facts are as of the moment of {@link LoopControl#attach} or {@link LoopControl#list}, but for
 * {@link #sizeBytes}.
 *
 * <p>Threading: any thread. Operations of one object exclude one another.
 */
public final class LoopDevice implements Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(LoopDevice.class);

    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final LoopUsers USERS = new LoopUsers(Path.of("/proc"));

    private final LoopState state;
    private final Path path;
    /** Keeps an autoclear device that we attached alive; null for others, and after close. Guarded by this. */
    private NativeFile keeper;

    LoopDevice(LoopState state, NativeFile keeper) {
        this.state = state;
        this.path = node(state.number());
        this.keeper = keeper;
    }

    /** N of {@code /dev/loopN}. */
    public int number() {
        return state.number();
    }

    /** {@code /dev/loopN}. */
    public Path path() {
        return path;
    }

    /** The attached file's absolute path, as the kernel knew it; it may have been renamed or deleted since. */
    public Path backingFile() {
        return Path.of(state.backingFile());
    }

    /**
     * Whether the kernel calls the file deleted: it was, or it lies in a FUSE mount whose daemon died and somebody looked
     * for it since. The device lives on until it is detached. A file whose name really ends in {@code " (deleted)"} looks the same.
     */
    public boolean backingDeleted() {
        return state.backingDeleted();
    }

    /**
     * The kernel's number for this attachment, which no other attachment of any disk has until the machine is booted
     * again. Who remembers it together with {@link #number} recognises the device later, also when its file's path is
     * not what it was: a lazy unmount leaves the path within the mount, {@code /vm1} for {@code /mnt/vm1}.
     *
     * @return 0 before Linux 5.15
     */
    public long diskSequence() {
        return state.diskSequence();
    }

    /** What is in force, which may be less than was asked for; the sector size is never 0 here. */
    public LoopOptions options() {
        return state.options();
    }

    /**
     * The device's capacity now, in bytes.
     *
     * @throws NativeException {@code ENXIO} when this attachment is no more
     */
    public long sizeBytes() throws IOException {
        return LoopControl.SYSFS
                .read(number())
                .filter(now -> now.diskSequence() == state.diskSequence())
                .orElseThrow(this::noMore)
                .sizeBytes();
    }

    /**
     * Makes the device as long as its file is now. The kernel asks the file's file system; in a FUSE mount the answer may
     * come from the kernel's attribute cache, so let that expire first.
     *
     * @return the new capacity in bytes
     * @throws NativeException {@code ENXIO} when this attachment is no more
     */
    public synchronized long refreshCapacity() throws IOException {
        // While we have it open it can neither go away nor become another attachment.
        try (NativeFile device = NativeFile.open(path, Libc.O_RDONLY)) {
            requireThisAttachment();
            check("LOOP_SET_CAPACITY", Libc.ioctl(device.fd(), LoopIoctl.LOOP_SET_CAPACITY, 0));
            return device.size();
        }
    }

    /** {@link #detach(Duration)}, waiting up to five seconds for programs that are about to close the device. */
    public void detach() throws IOException {
        detach(PATIENCE);
    }

    /**
     * Detaches the device. On return it is free, what was written to it has been written to the file (not synced), and
     * the kernel has closed the file. That takes as long as the file's file system takes.
     *
     * <p>A device in use is refused and stays as it was. In use means: claimed, as by a mounted file system, swap,
     * device mapper or a running {@code mkfs}, which is refused at once; or just open, as {@code udev} has it for a
     * moment after each change, which is waited for.
     *
     * <p>What remains racy: while we wait for a program that has the device open, another can mount it, and then gets
     * the same treatment: the device is refused at the end and stays. If this process is killed while waiting, the
     * device stays marked autoclear, and goes away with its last user.
     *
     * @param patience longest wait for programs that have the device open without a claim
     * @throws LoopBusyException when it is in use; the errno of its cause is {@code EBUSY}
     * @throws NativeException {@code ENXIO} when this attachment is no more
     */
    public synchronized void detach(Duration patience) throws IOException {
        long deadline = System.nanoTime() + patience.toNanos();
        boolean hadKeeper = keeper != null;
        try (NativeFile claim = claim()) {
            requireThisAttachment();
            clearAtLastClose(claim);
            close();
        }
        if (!awaitGone(deadline)) {
            String users = users();
            if (keepAfterAll(hadKeeper)) {
                throw busy("LOOP_CLR_FD " + path, users);
            }
        }
        LOG.info("detached device={} file={}", path, state.backingFile());
    }

    /**
     * Lets go of a device that was attached with autoclear here: it goes away now, or with its last user. Until then this
     * object keeps it alive. For all other devices this does nothing, and they stay. A second call does nothing.
     *
     * <p>The process that serves the attached file through FUSE must not be the one that keeps it: if it is killed, the
     * kernel may wait for it to take the device's last writes while closing its descriptors.
     */
    @Override
    public synchronized void close() throws IOException {
        if (keeper != null) {
            NativeFile last = keeper;
            keeper = null;
            last.close();
        }
    }

    /** The path, for messages. */
    @Override
    public String toString() {
        return path.toString();
    }

    static Path node(int number) {
        return Path.of("/dev/loop" + number);
    }

    /** Opens the device such that nobody else can claim it: mounting it now fails with {@code EBUSY}. */
    private NativeFile claim() throws IOException {
        try {
            return NativeFile.open(path, Libc.O_RDONLY | Libc.O_EXCL);
        } catch (NativeException e) {
            if (e.errno() == Errno.EBUSY) {
                throw busy("open " + path + " with O_EXCL", users());
            }
            if (e.errno() == Errno.ENXIO) {
                throw noMore();
            }
            throw e;
        }
    }

    /**
     * Has the kernel end the attachment when the last program closes the device, which may be us in a moment.
     *
     * <p>{@code LOOP_CLR_FD} does that if the device is open twice. If its caller is the only one who has it open, it
     * ends the attachment at once instead, and every later request fails: also the write-back of what a program wrote
     * and left in the page cache, having closed the device between our open and now. So we are two. The last close
     * writes back first and ends the attachment afterwards.
     */
    private void clearAtLastClose(NativeFile claim) throws IOException {
        NativeFile second = NativeFile.open(path, Libc.O_RDONLY);
        try {
            check("LOOP_CLR_FD", Libc.ioctl(claim.fd(), LoopIoctl.LOOP_CLR_FD, 0));
        } finally {
            second.close();
        }
    }

    /**
     * Waits for the last close, and for what the kernel does in it. Mostly that was ours, and all is done. But somebody
     * else may have the device open, if only a child that this JVM is just starting, with a copy of our descriptors.
     *
     * @return false when it was still open at the deadline
     */
    private boolean awaitGone(long deadline) throws IOException {
        boolean gone = isGone();
        while (!gone) {
            try (CloseWatch watch = new CloseWatch(path)) {
                gone = isGone();
                if (!gone && System.nanoTime() - deadline >= 0) {
                    return false;
                }
                if (!gone) {
                    watch.await();
                }
            }
        }
        return true;
    }

    /** Whether the attachment is over and the kernel has closed the file; opens nothing while it is not. */
    private boolean isGone() throws IOException {
        // sysfs first: an open that succeeds would make us a user, and its close would wake our own watch.
        return !isThisAttachment() && !isBeingTornDown();
    }

    /** Between the end of an attachment and the close of its file, the driver refuses to open the device. */
    private boolean isBeingTornDown() throws IOException {
        try {
            NativeFile.open(path, Libc.O_RDONLY).close();
            return false;
        } catch (NativeException e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENODEV) {
                return false; // the free device was removed altogether
            }
            if (e.errno() == Errno.ENXIO) {
                return true;
            }
            throw e;
        }
    }

    /**
     * Makes the device stay although {@link #clearAtLastClose} was called.
     *
     * @return false when it was too late, and the device is gone
     */
    private boolean keepAfterAll(boolean withKeeper) throws IOException {
        // While we have it open it can neither go away nor become another attachment.
        try (NativeFile device = NativeFile.open(path, Libc.O_RDONLY)) {
            if (!isThisAttachment()) {
                return false;
            }
            if (!state.options().autoclear()) {
                ByteBuffer info = LoopInfo64.allocate();
                int flags = state.options().partitionScan() ? LoopIoctl.LO_FLAGS_PARTSCAN : 0;
                byte[] name = state.backingFile().getBytes(StandardCharsets.UTF_8);
                LoopInfo64.encode(info, 0, state.offsetBytes(), state.sizeLimitBytes(), flags, name);
                check("LOOP_SET_STATUS64", Libc.ioctl(device.fd(), LoopIoctl.LOOP_SET_STATUS64, info));
            }
            if (withKeeper) {
                keeper = NativeFile.open(path, Libc.O_RDONLY);
            }
            return true;
        } catch (NativeException e) {
            if (e.errno() == Errno.ENXIO) {
                throw new LoopBusyException(
                        path + " is detached, but its last user is still writing to " + state.backingFile(), e.call());
            }
            throw e;
        }
    }

    private void requireThisAttachment() throws IOException {
        if (!isThisAttachment()) {
            throw noMore();
        }
    }

    private boolean isThisAttachment() throws IOException {
        return LoopControl.SYSFS
                .read(number())
                .filter(now -> now.diskSequence() == state.diskSequence())
                .isPresent();
    }

    private NativeException noMore() {
        return new NativeException(path + " is no longer attached to " + state.backingFile(), Errno.ENXIO);
    }

    private String users() {
        return USERS.describe(path, LoopControl.SYSFS.directory(number()));
    }

    private LoopBusyException busy(String call, String users) {
        String who = users.isEmpty() ? "by a program or mount that cannot be seen from here" : users;
        return new LoopBusyException(path + " is in use: " + who, call);
    }

    private void check(String call, int negativeErrno) throws NativeException {
        if (negativeErrno < 0) {
            throw new NativeException(call + " " + path, -negativeErrno);
        }
    }
}
