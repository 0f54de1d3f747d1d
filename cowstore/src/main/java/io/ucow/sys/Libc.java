package io.ucow.sys;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import jnr.ffi.LastError;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;

/**
 * The system calls, one static method each, retried on {@code EINTR}.
 *
 * <p>Methods of the request path return {@code -errno} instead of throwing, so that they allocate nothing; the others
 * throw {@link NativeException}. Constants: {@code include/uapi/asm-generic/fcntl.h}, {@code linux/falloc.h},
 * {@code linux/fs.h}, {@code linux/inotify.h}.
 */
public final class Libc {
    public static final int O_RDONLY = 0;
    public static final int O_RDWR = 2;
    public static final int O_WRONLY = 1;
    public static final int O_CREAT = 0x40;
    public static final int O_APPEND = 0x400;
    public static final int O_EXCL = 0x80;
    /** The one flag here that differs by architecture: {@code arch/arm64/include/uapi/asm/fcntl.h}. */
    public static final int O_DIRECT = System.getProperty("os.arch").equals("aarch64") ? 0x10000 : 0x4000;

    static final int SEEK_END = 2;
    public static final int SEEK_DATA = 3;
    public static final int SEEK_HOLE = 4;

    public static final int FALLOC_FL_KEEP_SIZE = 0x01;
    public static final int FALLOC_FL_PUNCH_HOLE = 0x02;
    public static final int FALLOC_FL_ZERO_RANGE = 0x10;

    /** {@code inotify_add_watch}: a file was written to, or a hole made in it. */
    public static final int IN_MODIFY = 0x02;
    /** {@code inotify_add_watch}: a file opened for writing, or for reading only, was closed. */
    public static final int IN_CLOSE_WRITE = 0x08, IN_CLOSE_NOWRITE = 0x10;
    /** {@code inotify_add_watch}: in a directory, a name was moved to its place, or removed. */
    public static final int IN_MOVED_TO = 0x80, IN_DELETE = 0x200;

    /** {@code umount2}: detach now, clean up when the last user is gone. */
    public static final int MNT_DETACH = 2;

    /** {@code mount}: no set-user-id programs, no device nodes. */
    public static final int MS_NOSUID = 2, MS_NODEV = 4;

    /** The same numbers on every architecture. Source: {@code include/uapi/asm-generic/unistd.h}. */
    private static final int SYS_PIDFD_OPEN = 434, SYS_PIDFD_GETFD = 438;

    /** Source: {@code include/uapi/linux/prctl.h}. */
    private static final int PR_SET_IO_FLUSHER = 57;

    /** Source: {@code include/uapi/asm-generic/ioctls.h}. {@code struct winsize}: u16 rows, columns, and two unused. */
    private static final int TIOCGWINSZ = 0x5413;

    private static final int WINSIZE_SIZE = 8;

    /** Source: {@code include/uapi/linux/fs.h}. */
    private static final int SYNC_FILE_RANGE_WRITE = 2;

    private static final int O_CLOEXEC = 0x80000;
    private static final int O_NONBLOCK = 0x800;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int AT_FDCWD = -100;
    private static final int AT_STATX_FORCE_SYNC = 0x2000;
    private static final int MFD_CLOEXEC = 1;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x02 | 0x20 | 0x4000;
    private static final int MADV_DONTNEED = 4;
    private static final int MADV_NOHUGEPAGE = 15;
    private static final int F_OFD_GETLK = 36;
    private static final int F_OFD_SETLK = 37;
    private static final int F_DUPFD_CLOEXEC = 1030;
    private static final int F_SETPIPE_SZ = 1031;
    private static final short F_RDLCK = 0;
    private static final short F_WRLCK = 1;
    private static final short F_UNLCK = 2;
    /** {@code struct flock} on 64-bit Linux: 0 s16 type, 2 s16 whence, 8 s64 start, 16 s64 len, 24 s32 pid. */
    private static final int FLOCK_SIZE = 32;
    /** {@code struct pollfd}: 0 s32 fd, 4 s16 events, 6 s16 revents. */
    private static final int POLLFD_SIZE = 8;

    private static final short POLLIN = 1;
    /** Room for at least one {@code struct inotify_event} with the longest name. */
    private static final int DRAIN_BYTES = 4096;

    /**
     * The calls as libc declares them on 64-bit systems, where {@code size_t}, {@code ssize_t} and {@code off_t} are {@code
     * long}. No annotations, for they would say no more, and each costs milliseconds at the start of every process.
     */
    public interface Calls {
        long pread(int fd, long address, long count, long offset);

        long pwrite(int fd, long address, long count, long offset);

        long read(int fd, long address, long count);

        long write(int fd, long address, long count);

        long sendfile(int out, int in, long offsetAddress, long count);

        // Pointers as in mmap.
        long splice(int in, Pointer inOffset, int out, Pointer outOffset, long length, int flags);

        int pipe2(ByteBuffer descriptors, int flags);

        int fdatasync(int fd);

        int sync_file_range(int fd, long offset, long length, int flags);

        int fallocate(int fd, int mode, long offset, long length);

        int ftruncate(int fd, long length);

        long lseek(int fd, long offset, int whence);

        int open(String path, int flags, int mode);

        int close(int fd);

        int fcntl(int fd, int command, ByteBuffer argument);

        int fcntl(int fd, int command, long argument);

        int ioctl(int fd, long request, ByteBuffer argument);

        int ioctl(int fd, long request, long argument);

        int statx(int directory, String path, int flags, int mask, ByteBuffer status);

        // Pointers, because jnr-ffi's stub for six plain numbers hands the last ones on wrongly on x86-64.
        Pointer mmap(Pointer address, long length, int protection, int flags, int fd, long offset);

        int munmap(long address, long length);

        int madvise(long address, long length, int advice);

        int mlock(long address, long length);

        int prctl(int option, long first, long second, long third, long fourth);

        int mount(String source, String target, String type, long flags, String data);

        int umount2(String target, int flags);

        int inotify_init1(int flags);

        int inotify_add_watch(int fd, String path, int mask);

        int poll(ByteBuffer descriptors, long count, int timeoutMillis);

        int memfd_create(String name, int flags);

        int dup(int fd);

        int dup2(int from, int to);

        long syscall(long number, long first, long second);

        long syscall(long number, long first, long second, long third);

        int chdir(String path);

        int setsid();

        void _exit(int status);

        int geteuid();

        int getegid();
    }

    private static final Calls CALLS =
            LibraryLoader.create(Calls.class).library("c").load();
    private static final Runtime RUNTIME = Runtime.getRuntime(CALLS);

    private Libc() {}

    /** {@code pread}. @return bytes read, 0 at the end of the file, or {@code -errno} */
    public static long pread(int fd, long address, long count, long offset) {
        long n;
        do {
            n = CALLS.pread(fd, address, count, offset);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /** {@code pwrite}. @return bytes written, at least one unless {@code count} is 0, or {@code -errno} */
    public static long pwrite(int fd, long address, long count, long offset) {
        long n;
        do {
            n = CALLS.pwrite(fd, address, count, offset);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /** {@code read}. @return bytes read or {@code -errno} */
    public static long read(int fd, long address, long count) {
        long n;
        do {
            n = CALLS.read(fd, address, count);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /** {@code write}. @return bytes written or {@code -errno} */
    public static long write(int fd, long address, long count) {
        long n;
        do {
            n = CALLS.write(fd, address, count);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /**
     * {@code sendfile} into a pipe: it gets references to the pages of the file, not a copy, where the file is in the page
     * cache.
     *
     * @param offsetAddress of a {@code long}, the offset in {@code in}, which is advanced
     * @return bytes that the pipe has now, 0 at the end of the file, or {@code -errno}: {@code EINVAL} where the file's system
     *     cannot
     */
    public static long sendfile(int pipe, int in, long offsetAddress, long count) {
        long n;
        do {
            n = CALLS.sendfile(pipe, in, offsetAddress, count);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /** {@code splice} from a pipe to where {@code out} stands. @return bytes taken from the pipe, or {@code -errno} */
    public static long splice(int pipe, int out, long count) {
        long n;
        do {
            n = CALLS.splice(pipe, null, out, null, count, 0);
        } while (n < 0 && errno() == Errno.EINTR);
        return n < 0 ? -errno() : n;
    }

    /**
     * A pipe that never makes anybody wait: {@code EAGAIN} instead.
     *
     * @param bytes that it has room for, in whole pages; one that is used in part takes the room of a whole one
     * @return the end to read from, then the end to write to
     * @throws NativeException {@code EMFILE} without descriptors, {@code EPERM} above the system's limit
     */
    public static int[] pipe(int bytes) throws NativeException {
        ByteBuffer ends = ByteBuffer.allocateDirect(2 * Integer.BYTES).order(ByteOrder.nativeOrder());
        check("pipe2", CALLS.pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        int[] pipe = {ends.getInt(0), ends.getInt(Integer.BYTES)};
        if (CALLS.fcntl(pipe[1], F_SETPIPE_SZ, bytes) < 0) {
            int errno = errno();
            close(pipe[0]);
            close(pipe[1]);
            throw new NativeException("fcntl(F_SETPIPE_SZ) of " + bytes + " bytes", errno);
        }
        return pipe;
    }

    /** {@code fdatasync}. @return 0 or {@code -errno} */
    public static int fdatasync(int fd) {
        int r;
        do {
            r = CALLS.fdatasync(fd);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    /** Starts writing back what is dirty of a file, without waiting for it. @return 0 or {@code -errno} */
    static int startWriteback(int fd) {
        int r;
        do {
            r = CALLS.sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    /** {@code fallocate}. @return 0 or {@code -errno} */
    public static int fallocate(int fd, int mode, long offset, long length) {
        int r;
        do {
            r = CALLS.fallocate(fd, mode, offset, length);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    static int ftruncate(int fd, long length) {
        int r;
        do {
            r = CALLS.ftruncate(fd, length);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    /** Opens {@code path} with {@code O_CLOEXEC}. @return the descriptor */
    public static int open(String path, int flags, int mode) throws NativeException {
        int fd;
        do {
            fd = CALLS.open(path, flags | O_CLOEXEC, mode);
        } while (fd < 0 && errno() == Errno.EINTR);
        return check("open " + path, fd);
    }

    /** {@code close}, never retried: on Linux the descriptor is gone even after {@code EINTR}. @return 0 or -errno */
    public static int close(int fd) {
        int r = CALLS.close(fd);
        return r < 0 && errno() == Errno.EINTR ? 0 : result(r);
    }

    /** {@code lseek}. @return the new position or {@code -errno}: {@code ENXIO} when no data or hole follows */
    static long seek(int fd, long offset, int whence) {
        long position = CALLS.lseek(fd, offset, whence);
        return position < 0 ? -errno() : position;
    }

    static FileStatus statx(int fd, String name) throws NativeException {
        ByteBuffer status = ByteBuffer.allocateDirect(Statx.SIZE).order(ByteOrder.nativeOrder());
        check("statx " + name, CALLS.statx(fd, "", AT_EMPTY_PATH, Statx.WANTED, status));
        return Statx.decode(status);
    }

    /**
     * What {@code statx} says of {@code path}, symbolic links followed, and whoever serves the file system is asked: an
     * answer from the kernel's cache would not tell that a FUSE daemon has died.
     *
     * @throws NativeException {@code ENOTCONN} when it lies on a FUSE mount that no process serves any more
     */
    public static FileStatus statx(Path path) throws NativeException {
        ByteBuffer status = ByteBuffer.allocateDirect(Statx.SIZE).order(ByteOrder.nativeOrder());
        check("statx " + path, CALLS.statx(AT_FDCWD, path.toString(), AT_STATX_FORCE_SYNC, Statx.WANTED, status));
        return Statx.decode(status);
    }

    /** @param length bytes to lock from {@code start} on; 0 for all that there will ever be */
    static boolean tryLock(int fd, boolean exclusive, long start, long length, String name) throws NativeException {
        ByteBuffer lock = flock(exclusive ? F_WRLCK : F_RDLCK, start, length);
        if (CALLS.fcntl(fd, F_OFD_SETLK, lock) == 0) {
            return true;
        }
        int errno = errno();
        if (errno == Errno.EAGAIN || errno == Errno.EACCES) {
            return false;
        }
        throw new NativeException("fcntl(F_OFD_SETLK) " + name, errno);
    }

    /** Gives up what locks the open file has on any of these bytes; {@code length} as in {@link #tryLock}. */
    static void unlock(int fd, long start, long length, String name) throws NativeException {
        if (CALLS.fcntl(fd, F_OFD_SETLK, flock(F_UNLCK, start, length)) != 0) {
            throw new NativeException("fcntl(F_OFD_SETLK) " + name, errno());
        }
    }

    /** True when another open file has a lock, of either kind, on any of these bytes. */
    static boolean isLocked(int fd, long start, long length, String name) throws NativeException {
        ByteBuffer lock = flock(F_WRLCK, start, length);
        if (CALLS.fcntl(fd, F_OFD_GETLK, lock) != 0) {
            throw new NativeException("fcntl(F_OFD_GETLK) " + name, errno());
        }
        return lock.getShort(0) != F_UNLCK;
    }

    private static ByteBuffer flock(short type, long start, long length) {
        ByteBuffer lock = ByteBuffer.allocateDirect(FLOCK_SIZE).order(ByteOrder.nativeOrder());
        lock.putShort(0, type);
        lock.putLong(8, start);
        lock.putLong(16, length);
        return lock;
    }

    /**
     * {@code ioctl} with a structure.
     *
     * @param argument a direct buffer in native order, read and written from index 0
     * @return what the call returned, {@code >= 0}, or {@code -errno}
     */
    public static int ioctl(int fd, long request, ByteBuffer argument) {
        int r;
        do {
            r = CALLS.ioctl(fd, request, argument);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    /** {@code ioctl} with a plain number. @return what the call returned, {@code >= 0}, or {@code -errno} */
    public static int ioctl(int fd, long request, long argument) {
        int r;
        do {
            r = CALLS.ioctl(fd, request, argument);
        } while (r < 0 && errno() == Errno.EINTR);
        return result(r);
    }

    /** Columns of the terminal that {@code fd} is; 0 when it is none, or does not know its size. */
    public static int terminalColumns(int fd) {
        ByteBuffer size = ByteBuffer.allocateDirect(WINSIZE_SIZE).order(ByteOrder.nativeOrder());
        return ioctl(fd, TIOCGWINSZ, size) < 0 ? 0 : Short.toUnsignedInt(size.getShort(2));
    }

    /**
     * Address space whose pages the kernel supplies, zero-filled, when they are first written.
     *
     * @return the address
     * @throws NativeException {@code ENOMEM} when the address space or the overcommit limit is exhausted
     */
    static long reserve(long bytes) throws NativeException {
        long address = CALLS.mmap(null, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE, -1, 0)
                .address();
        if (address == -1) {
            throw new NativeException("mmap of " + bytes + " bytes", errno());
        }
        // One altered chunk must cost one page, not a huge one. EINVAL: a kernel built without huge pages.
        if (CALLS.madvise(address, bytes, MADV_NOHUGEPAGE) < 0 && errno() != Errno.EINVAL) {
            throw new NativeException("madvise(MADV_NOHUGEPAGE)", errno());
        }
        return address;
    }

    /**
     * Zero-filled memory, page-aligned, that is present from now on: no access to it faults, so no system call that
     * copies from or to it can be cut short.
     *
     * @return the address, for {@link #unreserve}
     * @throws NativeException {@code ENOMEM} when there is none, or the limit of locked memory is reached
     */
    public static long lockedMemory(long bytes) throws NativeException {
        long address = reserve(bytes);
        if (CALLS.mlock(address, bytes) < 0) {
            int errno = errno();
            unreserve(address, bytes);
            throw new NativeException("mlock of " + bytes + " bytes", errno);
        }
        return address;
    }

    /**
     * {@code prctl(PR_SET_IO_FLUSHER)}, for the calling thread and those it starts: when it needs memory, the kernel does
     * not write anything back to get it, and its own writes are not throttled for the sake of others'. For threads that
     * others' write-back waits for. Since Linux 5.6.
     *
     * @return 0 or {@code -errno}: {@code EPERM} without {@code CAP_SYS_RESOURCE}, {@code EINVAL} on an older kernel
     */
    public static int setIoFlusher() {
        return result(CALLS.prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
    }

    /** Has whole pages of what {@link #reserve} gave read as zeros, and gives their memory back. */
    static void forget(long address, long bytes) throws NativeException {
        check("madvise(MADV_DONTNEED)", CALLS.madvise(address, bytes, MADV_DONTNEED));
    }

    /** Gives back what {@link #reserve} or {@link #lockedMemory} gave. */
    public static void unreserve(long address, long bytes) throws NativeException {
        check("munmap", CALLS.munmap(address, bytes));
    }

    /** A direct buffer over foreign memory, in native order; the memory must outlive every use of it. */
    public static ByteBuffer view(long address, int bytes) {
        return com.kenai.jffi.MemoryIO.getInstance()
                .newDirectByteBuffer(address, bytes)
                .order(ByteOrder.nativeOrder());
    }

    /** {@code mount}. @return 0 or {@code -errno} */
    public static int mount(String source, String target, String type, int flags, String data) {
        return result(CALLS.mount(source, target, type, flags, data));
    }

    /** Where a direct buffer's index 0 is. */
    public static long addressOf(ByteBuffer direct) {
        return com.kenai.jffi.MemoryIO.getInstance().getDirectBufferAddress(direct);
    }

    /** {@code umount2}. @return 0 or {@code -errno}: {@code EBUSY} in use, {@code EINVAL} not a mount point */
    public static int umount2(String target, int flags) {
        return result(CALLS.umount2(target, flags));
    }

    /**
     * An inotify descriptor that watches {@code path}; readable as soon as one of the events has happened.
     *
     * @param mask {@code IN_*}
     * @return the descriptor, which the caller closes
     * @throws NativeException {@code ENOENT}, {@code EACCES}, or {@code EMFILE} and {@code ENOSPC} at the user's limits
     */
    public static int watch(String path, int mask) throws NativeException {
        int fd = check("inotify_init1", CALLS.inotify_init1(O_CLOEXEC));
        if (CALLS.inotify_add_watch(fd, path, mask) < 0) {
            int errno = errno();
            check("close", CALLS.close(fd));
            throw new NativeException("inotify_add_watch " + path, errno);
        }
        return fd;
    }

    /**
     * Waits until {@code fd} has something to read: {@code poll}. A signal starts the wait anew.
     *
     * @param timeoutMillis longest wait; negative for no limit
     * @return false when the time passed first
     */
    public static boolean awaitReadable(int fd, int timeoutMillis) throws NativeException {
        ByteBuffer descriptor = ByteBuffer.allocateDirect(POLLFD_SIZE).order(ByteOrder.nativeOrder());
        descriptor.putInt(0, fd).putShort(4, POLLIN);
        int r;
        do {
            r = CALLS.poll(descriptor, 1, timeoutMillis);
        } while (r < 0 && errno() == Errno.EINTR);
        return check("poll", r) > 0;
    }

    /** Forgets what {@link #watch} has seen so far; the descriptor must be readable. */
    public static void drain(int fd) throws NativeException {
        ByteBuffer events = ByteBuffer.allocateDirect(DRAIN_BYTES);
        long n = read(fd, addressOf(events), DRAIN_BYTES);
        if (n < 0) {
            throw new NativeException("read", (int) -n);
        }
    }

    /** {@code memfd_create}: an unnamed file in memory; {@code name} is for debugging. @return its descriptor */
    public static int memfdCreate(String name) throws NativeException {
        return check("memfd_create", CALLS.memfd_create(name, MFD_CLOEXEC));
    }

    /** {@code fcntl(F_DUPFD_CLOEXEC)}. @return a second descriptor of the same open file, for this process alone */
    static int duplicate(int fd, String name) throws NativeException {
        return check("fcntl(F_DUPFD_CLOEXEC) " + name, CALLS.fcntl(fd, F_DUPFD_CLOEXEC, 0));
    }

    /** {@code dup}. @return a second descriptor of the same open file, inherited by child processes */
    public static int dup(int fd) throws NativeException {
        return check("dup", CALLS.dup(fd));
    }

    /** {@code dup2}: makes {@code to} another descriptor of the file that {@code from} is, closing what it was. */
    public static void dup2(int from, int to) throws NativeException {
        check("dup2", CALLS.dup2(from, to));
    }

    /** {@code _exit}: ends this process now. No shutdown hook runs, nothing is flushed, no thread is waited for. */
    public static void exit(int status) {
        CALLS._exit(status);
    }

    /**
     * Returns when a process has ended, whosever child it is and whether or not its parent has noticed; at once when
     * there is none.
     */
    public static void awaitExit(long pid) throws NativeException {
        int fd;
        try {
            fd = openProcess(pid);
        } catch (NativeException e) {
            if (e.errno() == Errno.ESRCH) {
                return;
            }
            throw e;
        }
        try {
            awaitReadable(fd, -1);
        } finally {
            check("close", close(fd));
        }
    }

    /**
     * {@code pidfd_open}: a descriptor that means one process for good, and is readable once it has ended.
     *
     * @throws NativeException {@code ESRCH} when there is no such process
     */
    public static int openProcess(long pid) throws NativeException {
        return check("pidfd_open " + pid, (int) CALLS.syscall(SYS_PIDFD_OPEN, pid, 0));
    }

    /**
     * {@code pidfd_getfd}: a duplicate of descriptor {@code fd} of another process, not inherited. Since Linux 5.6.
     *
     * @param process from {@link #openProcess}
     * @throws NativeException {@code EPERM} unless we may trace that process, {@code EBADF} when it has no such
     *     descriptor, {@code ESRCH} when it has ended
     */
    public static int takeDescriptor(int process, int fd) throws NativeException {
        return check("pidfd_getfd " + fd, (int) CALLS.syscall(SYS_PIDFD_GETFD, process, fd, 0));
    }

    /** {@code chdir}, behind Java's back: relative paths of {@code java.nio} still start where the process started. */
    public static void chdir(String path) throws NativeException {
        check("chdir " + path, CALLS.chdir(path));
    }

    /** {@code setsid}: leaves the terminal and its process group, so that Ctrl-C there does not reach us. */
    public static void setsid() throws NativeException {
        check("setsid", CALLS.setsid());
    }

    /** The effective user id; 0 is root. */
    public static int geteuid() {
        return CALLS.geteuid();
    }

    /** The effective group id. */
    public static int getegid() {
        return CALLS.getegid();
    }

    /** The runtime that structures and pointers of other jnr-ffi users must share. */
    public static Runtime runtime() {
        return RUNTIME;
    }

    /** A direct buffer over foreign memory that outlives it, in native order. */
    public static ByteBuffer view(Pointer memory, int bytes) {
        return view(memory.address(), bytes);
    }

    private static int result(int r) {
        return r < 0 ? -errno() : r;
    }

    private static int check(String call, int r) throws NativeException {
        if (r < 0) {
            throw new NativeException(call, errno());
        }
        return r;
    }

    private static int errno() {
        return LastError.getLastError(RUNTIME);
    }
}
