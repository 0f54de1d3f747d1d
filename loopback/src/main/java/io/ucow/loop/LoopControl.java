package io.ucow.loop;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Attaches files to loop devices and lists what is attached, by whomever.
 *
 * <p>Attaching takes root, or {@code CAP_SYS_ADMIN} and access to the device nodes; listing takes no rights.
 *
 * <p>Threading: stateless, any thread. Two processes that attach at once get two devices.
 */
public final class LoopControl {
    private static final Logger LOG = LoggerFactory.getLogger(LoopControl.class);

    private static final Path CONTROL = Path.of("/dev/loop-control");
    /** Each lost race means that somebody else got a device meanwhile, so few are lost in a row. */
    private static final int MAX_LOST_RACES = 256;

    static final LoopSysfs SYSFS = new LoopSysfs(Path.of("/sys/block"));

    private LoopControl() {}

    /**
     * Attaches {@code file} to a free loop device. On return {@code /dev/loopN} is usable; with a partition scan its
     * partitions are there, too.
     *
     * <p>The file is opened here and by the kernel kept open until the device is detached. It is not locked: attached
     * twice, it is two disks with one content, which file systems do not survive.
     *
     * <p>The file may be one that this very process serves through FUSE; other threads answer for it meanwhile.
     *
     * <p>Direct I/O is asked for, not insisted on. {@link LoopDevice#options} says what is in force, and a WARN is
     * logged where it is less than was asked for.
     *
     * @param file a regular file or a block device, any path; its length is the device's size, rounded down to sectors
     * @throws LoopUnavailableException when there is no loop driver, no right to use it, or no free device
     * @throws NativeException the file cannot be opened as the options need it, or the kernel refuses it; {@code EINVAL}
     *     for a sector size that it does not support
     */
    public static LoopDevice attach(Path file, LoopOptions options) throws IOException {
        try (NativeFile backing = openBacking(file, options)) {
            FileStatus status = backing.status();
            if (!status.isRegular() && !status.isBlockDevice()) {
                throw new NativeException(
                        "attach " + file + ", neither a regular file nor a block device", Errno.EINVAL);
            }
            byte[] name = file.toAbsolutePath().toString().getBytes(StandardCharsets.UTF_8);
            LoopDevice device = attachToAny(file, LoopConfig.of(backing.fd(), options, name), options);
            logAttached(file, options, device);
            return device;
        }
    }

    /**
     * For direct I/O opened with {@code O_DIRECT}, so that the file system that holds the file knows, too: a FUSE daemon
     * may let such a file's writes run in parallel. A file system that refuses the flag may still let the driver do it.
     */
    private static NativeFile openBacking(Path file, LoopOptions options) throws NativeException {
        int access = options.readOnly() ? Libc.O_RDONLY : Libc.O_RDWR;
        if (!options.directIo()) {
            return NativeFile.open(file, access);
        }
        try {
            return NativeFile.open(file, access | Libc.O_DIRECT);
        } catch (NativeException e) {
            if (e.errno() == Errno.EINVAL) {
                return NativeFile.open(file, access);
            }
            throw e;
        }
    }

    /**
     * Every attached loop device, by ascending number, whoever attached it. The files behind them are not looked at.
     *
     * @throws IOException when {@code /sys} is not there
     */
    public static List<LoopDevice> list() throws IOException {
        List<LoopDevice> devices = new ArrayList<>();
        for (LoopState state : SYSFS.list()) {
            devices.add(new LoopDevice(state, null));
        }
        return devices;
    }

    /**
     * The devices attached to the file at this path, by ascending number; among them those whose
     * {@linkplain LoopDevice#backingDeleted file was deleted} since, as after the death of a FUSE daemon.
     *
     * <p>Paths are compared, not files, since asking a dead daemon for its file would not return. Symbolic links in the
     * directory are resolved; a link as the last element, a hard link or another mount of the same file is not
     * recognised, nor is a file whose mount was taken away lazily: {@link LoopDevice#diskSequence} helps there.
     *
     * @param backingFile need not exist any more
     */
    public static List<LoopDevice> find(Path backingFile) throws IOException {
        Path wanted = resolveDirectory(backingFile.toAbsolutePath().normalize());
        List<LoopDevice> found = new ArrayList<>();
        for (LoopDevice device : list()) {
            if (device.backingFile().equals(wanted)) {
                found.add(device);
            }
        }
        return found;
    }

    /**
     * What is attached to a device now.
     *
     * @param number N of {@code /dev/loopN}
     * @return empty when nothing is
     */
    public static Optional<LoopDevice> get(int number) throws IOException {
        return SYSFS.read(number).map(state -> new LoopDevice(state, null));
    }

    private static LoopDevice attachToAny(Path file, ByteBuffer config, LoopOptions options) throws IOException {
        try (NativeFile control = openControl()) {
            for (int i = 0; i < MAX_LOST_RACES; i++) {
                int number = Libc.ioctl(control.fd(), LoopIoctl.LOOP_CTL_GET_FREE, 0);
                if (number < 0) {
                    throw new LoopUnavailableException(
                            "no free loop device, and the kernel adds no more; detach one",
                            new NativeException("LOOP_CTL_GET_FREE", -number));
                }
                Optional<LoopDevice> device = attachTo(number, file, config, options);
                if (device.isPresent()) {
                    return device.get();
                }
            }
        }
        throw new LoopUnavailableException(
                "each of " + MAX_LOST_RACES + " free loop devices was taken by somebody else first",
                new NativeException("LOOP_CONFIGURE", Errno.EBUSY));
    }

    private static NativeFile openControl() throws IOException {
        try {
            return NativeFile.open(CONTROL, Libc.O_RDWR);
        } catch (NativeException e) {
            switch (e.errno()) {
                case Errno.ENOENT, Errno.ENXIO, Errno.ENODEV ->
                    throw new LoopUnavailableException(
                            "no loop driver (" + CONTROL + "): load it with 'modprobe loop'", e);
                case Errno.EACCES, Errno.EPERM ->
                    throw new LoopUnavailableException(
                            "no right to open " + CONTROL + ": attaching loop devices takes root", e);
                default -> throw e;
            }
        }
    }

    /** @return empty when somebody else took the device first */
    private static Optional<LoopDevice> attachTo(int number, Path file, ByteBuffer config, LoopOptions options)
            throws IOException {
        Path node = LoopDevice.node(number);
        try (NativeFile device = NativeFile.open(node, Libc.O_RDWR)) {
            int r = Libc.ioctl(device.fd(), LoopIoctl.LOOP_CONFIGURE, config);
            if (r == -Errno.EBUSY) {
                return Optional.empty();
            }
            if (r < 0) {
                throw new NativeException("LOOP_CONFIGURE " + node + " with " + file + " and " + options, -r);
            }
            return Optional.of(attached(number, device));
        } catch (NativeException e) {
            if (e.call().startsWith("open ")) {
                return notOpened(node, e);
            }
            throw e;
        }
    }

    private static Optional<LoopDevice> notOpened(Path node, NativeException e) throws IOException {
        switch (e.errno()) {
            case Errno.ENXIO -> {
                return Optional.empty(); // being torn down by somebody who had just attached it
            }
            case Errno.ENOENT ->
                throw new LoopUnavailableException(
                        "the kernel offers " + node + ", but there is no such node: is /dev a devtmpfs?", e);
            case Errno.EACCES, Errno.EPERM ->
                throw new LoopUnavailableException(
                        "no right to open " + node + ": attaching loop devices takes root", e);
            default -> throw e;
        }
    }

    /** The device that {@code configured} was just attached as; detached again if it cannot be described. */
    private static LoopDevice attached(int number, NativeFile configured) throws IOException {
        try {
            LoopState state =
                    SYSFS.read(number).orElseThrow(() -> new NoSuchFileException(SYSFS.directory(number) + "/loop"));
            // Read-only, since a writer would keep a kernel without CONFIG_BLK_DEV_WRITE_MOUNTED from mounting it.
            NativeFile keeper =
                    state.options().autoclear() ? NativeFile.open(LoopDevice.node(number), Libc.O_RDONLY) : null;
            return new LoopDevice(state, keeper);
        } catch (IOException e) {
            int r = Libc.ioctl(configured.fd(), LoopIoctl.LOOP_CLR_FD, 0);
            if (r < 0) {
                e.addSuppressed(new NativeException("LOOP_CLR_FD " + configured.name(), -r));
            }
            throw e;
        }
    }

    private static void logAttached(Path file, LoopOptions wanted, LoopDevice device) {
        LoopOptions actual = device.options();
        LOG.info(
                "attached device={} file={} direct_io={} read_only={}",
                device.path(),
                file,
                actual.directIo(),
                actual.readOnly());
        if (wanted.directIo() && !actual.directIo()) {
            LOG.warn(
                    "direct_io=off device={} file={}: the file's file system does not allow it with sectors of {} bytes;"
                            + " data is cached twice",
                    device.path(),
                    file,
                    actual.sectorBytes());
        }
    }

    /**
     * Resolves symbolic links in the directory alone: resolving the last element would ask the file system of the file.
     * A directory that is gone is taken as it stands.
     */
    private static Path resolveDirectory(Path file) {
        Path directory = file.getParent();
        if (directory == null) {
            return file;
        }
        try {
            return directory.toRealPath().resolve(file.getFileName());
        } catch (IOException e) {
            LOG.trace("directory of {} taken as it stands", file, e);
            return file;
        }
    }
}
