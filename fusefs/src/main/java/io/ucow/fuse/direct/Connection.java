package io.ucow.fuse.direct;

import io.ucow.fuse.Handover;
import io.ucow.fuse.MountInfo;
import io.ucow.fuse.MountOptions;
import io.ucow.fuse.direct.abi.OutHeader;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A connection to the kernel: one descriptor of {@code /dev/fuse} for each session thread. The first is the one that was
 * mounted, the others are clones, each with a queue of its own for what it was handed and has not answered.
 *
 * <p>The kernel ends the unanswered requests of a descriptor when its last duplicate is closed. Whoever is to survive
 * this process, or to take over from it, therefore holds duplicates of them all.
 *
 * <p>Threading: made and closed by one thread at a time; descriptors may be used by any.
 */
final class Connection implements Closeable {
    static final String DEVICE = "/dev/fuse";
    /** {@code FUSE_DEV_IOC_CLONE}, {@code _IOR(229, 0, uint32_t)}. Source: {@code include/uapi/linux/fuse.h}. */
    private static final long FUSE_DEV_IOC_CLONE = 0x8004e500L;

    private final List<Integer> descriptors;

    private Connection(List<Integer> descriptors) {
        this.descriptors = descriptors;
    }

    /**
     * Mounts at {@code real}. The kernel asks for the handshake next.
     *
     * @throws NativeException {@code EPERM} without {@code CAP_SYS_ADMIN}; nothing is left mounted
     */
    static Connection mount(Path real, MountOptions options) throws IOException {
        int fd = Libc.open(DEVICE, Libc.O_RDWR, 0);
        var connection = new Connection(new ArrayList<>(List.of(fd)));
        // default_permissions: modes decide, checked by the kernel. rootmode is octal: a directory. max_read: longer
        // reads come in parts, which several threads see to.
        String data = "fd=" + fd + ",rootmode=40000,user_id=" + Libc.geteuid() + ",group_id=" + Libc.getegid()
                + ",default_permissions,max_read=" + ReplyPipe.MAX_BYTES + (options.allowOther() ? ",allow_other" : "");
        String type = "fuse." + MountInfo.UCOW;
        int r = Libc.mount(MountInfo.UCOW, real.toString(), type, Libc.MS_NOSUID | Libc.MS_NODEV, data);
        if (r < 0) {
            var failure = new NativeException("mount " + real, -r);
            connection.closeAfter(failure);
            throw failure;
        }
        return connection;
    }

    /**
     * Takes over the connection of another process, which keeps its own descriptors.
     *
     * @throws NativeException {@code ESRCH} when that process is gone, {@code EPERM} when we may not
     */
    static Connection takeOver(Handover handover) throws IOException {
        return new Connection(new ArrayList<>(handover.take().descriptors()));
    }

    /** Clones the first descriptor until there are {@code count}; after the handshake. */
    void cloneUpTo(int count) throws IOException {
        ByteBuffer original = ByteBuffer.allocateDirect(Integer.BYTES).order(ByteOrder.nativeOrder());
        while (descriptors.size() < count) {
            int fd = Libc.open(DEVICE, Libc.O_RDWR, 0);
            descriptors.add(fd);
            int r = Libc.ioctl(fd, FUSE_DEV_IOC_CLONE, original.putInt(0, descriptors.get(0)));
            if (r < 0) {
                throw new NativeException("ioctl(FUSE_DEV_IOC_CLONE)", -r);
            }
        }
    }

    /** One for each session thread. */
    List<Integer> descriptors() {
        return List.copyOf(descriptors);
    }

    /**
     * Has the kernel hand out again whatever was handed out and not answered. Nobody may be reading requests yet: it
     * would be served twice. When the mount is gone it does nothing; whoever reads requests next hears of it.
     *
     * @throws NativeException {@code EINVAL} on kernels before 6.9
     */
    void resend() throws NativeException {
        ByteBuffer message = ByteBuffer.allocateDirect(OutHeader.SIZE).order(ByteOrder.nativeOrder());
        OutHeader.put(message, OutHeader.SIZE, OutHeader.NOTIFY_RESEND, 0);
        long r = Libc.write(descriptors.get(0), Libc.addressOf(message), OutHeader.SIZE);
        if (r < 0 && r != -Errno.ENODEV) {
            throw new NativeException("write(FUSE_NOTIFY_RESEND)", (int) -r);
        }
    }

    /** Undoes {@link #mount} after a failure. */
    void unmountAfter(Path real, Throwable failure) {
        int r = Libc.umount2(real.toString(), Libc.MNT_DETACH);
        if (r < 0) {
            failure.addSuppressed(new NativeException("umount " + real, -r));
        }
        closeAfter(failure);
    }

    void closeAfter(Throwable failure) {
        try {
            close();
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** Closes all descriptors. If nobody holds duplicates, what is unanswered fails and the connection ends. */
    @Override
    public void close() throws IOException {
        int failed = 0;
        for (int fd : descriptors) {
            failed = Math.min(failed, Libc.close(fd));
        }
        descriptors.clear();
        if (failed < 0) {
            throw new NativeException("close " + DEVICE, -failed);
        }
    }
}
