package io.ucow.fuse;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeoutException;

/**
 * The ucow mounts of this machine, whichever process made them, alive or dead.
 *
 * <p>A mount is <em>dead</em> when the process that served it is gone without unmounting: its directory answers
 * everything with {@code ENOTCONN} until somebody unmounts it. Nothing here touches a mount that is not ucow's, since
 * another file system's daemon may be stuck.
 *
 * <p>Root unmounts by system call; for anybody else {@code fusermount} is the only way.
 *
 * <p>Threading: any thread, no shared state.
 */
public final class Mounts {
    private static final Duration ANSWER_LIMIT = Duration.ofSeconds(2);
    private static final List<String> FUSERMOUNTS = List.of("fusermount", "fusermount3");

    private Mounts() {}

    /** Every ucow mount, dead ones included, in mounting order. */
    public static List<MountInfo> list() throws IOException {
        return MountInfo.current().stream().filter(MountInfo::isUcow).toList();
    }

    /**
     * True if {@code directory} is a ucow mount that nobody serves. One that is served but does not answer within
     * seconds is not dead.
     */
    public static boolean isDead(Path directory) throws IOException {
        Path real = real(directory);
        return ucowMountAt(real).isPresent() && isDisconnected(real);
    }

    /**
     * Unmounts {@code directory} if it is a dead ucow mount, even while something holds on to it.
     *
     * @return false when there was nothing to clean
     * @throws IOException if it is dead but could not be unmounted
     */
    public static boolean cleanDead(Path directory) throws IOException {
        Path real = real(directory);
        if (ucowMountAt(real).isEmpty() || !isDisconnected(real)) {
            return false;
        }
        detach(real);
        return true;
    }

    /**
     * Unmounts a ucow mount of any process; its daemon notices and ends the session.
     *
     * @throws MountBusyException if it is in use; nothing was changed
     * @throws IOException if {@code directory} is no ucow mount, or may not be unmounted
     */
    public static void unmount(Path directory) throws IOException {
        Path real = real(directory);
        if (ucowMountAt(real).isEmpty()) {
            throw new IOException(directory + " is not a ucow mount");
        }
        int errno = Libc.geteuid() == 0 ? -Libc.umount2(real.toString(), 0) : fusermount("-u", real);
        if (errno == Errno.EBUSY) {
            throw new MountBusyException(directory);
        }
        check(real, errno);
    }

    /** Takes the mount at {@code real} out of the directory tree at once; it ends when its last user is gone. */
    static void detach(Path real) throws IOException {
        int errno = Libc.geteuid() == 0 ? -Libc.umount2(real.toString(), Libc.MNT_DETACH) : fusermount("-uz", real);
        check(real, errno);
    }

    /** The mount on top at {@code real}, if it is one of ucow's. */
    static Optional<MountInfo> ucowMountAt(Path real) throws IOException {
        return MountInfo.at(real).filter(MountInfo::isUcow);
    }

    /**
     * {@code directory} as the mount table spells it. Its last component is not looked into, because that fails on a
     * dead mount and may hang on a stuck one.
     */
    static Path real(Path directory) throws IOException {
        Path absolute = directory.toAbsolutePath().normalize();
        if (absolute.getParent() == null) {
            return absolute;
        }
        Path real = absolute.getParent().toRealPath().resolve(absolute.getFileName());
        boolean mounted = MountInfo.at(real).isPresent();
        return !mounted && Files.isSymbolicLink(real) ? real(real.resolveSibling(Files.readSymbolicLink(real))) : real;
    }

    private static boolean isDisconnected(Path real) throws IOException {
        try {
            Probe.within(ANSWER_LIMIT, () -> Libc.statx(real));
            return false;
        } catch (TimeoutException e) {
            return false; // somebody holds the connection, or the kernel would have answered itself
        } catch (NativeException e) {
            return e.errno() == Errno.ENOTCONN;
        }
    }

    /** Runs {@code fusermount}, and throws what it said. @return 0 or {@link Errno#EBUSY} */
    private static int fusermount(String option, Path real) throws IOException {
        IOException missing = null;
        for (String program : FUSERMOUNTS) {
            try {
                var builder = new ProcessBuilder(program, option, "--", real.toString()).redirectErrorStream(true);
                builder.environment().put("LC_ALL", "C");
                Process process = builder.start();
                process.getOutputStream().close();
                String said = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
                if (process.waitFor() == 0) {
                    return 0;
                }
                if (said.contains("busy")) {
                    return Errno.EBUSY;
                }
                throw new IOException("cannot unmount " + real + ": " + said);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw (IOException) new InterruptedIOException("interrupted while unmounting " + real).initCause(e);
            } catch (IOException e) {
                if (!isMissingProgram(e)) {
                    throw e;
                }
                missing = e;
            }
        }
        throw new IOException("cannot unmount " + real + ": install fusermount (package fuse or fuse3)", missing);
    }

    private static boolean isMissingProgram(IOException e) {
        return e.getMessage() != null && e.getMessage().startsWith("Cannot run program");
    }

    private static void check(Path real, int errno) throws NativeException {
        if (errno != 0) {
            throw new NativeException("umount " + real, errno);
        }
    }
}
