package io.ucow.fuse;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ucow.store.BlockDevice;
import io.ucow.store.CacheMode;
import io.ucow.sys.Errno;
import io.ucow.sys.Libc;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A block device as a regular file of its size: the one request handler that all transports share.
 *
 * <p>Every request answers with a number {@code >= 0}, or with {@code -errno}; none of them throws, whatever the device
 * does. A failure that no errno explains ({@code EIO}) is logged with its cause, others only counted.
 *
 * <p>Limits of a file that no request makes larger: reads end at the end; a write across it is short, one at or past it
 * gets {@code EFBIG}; setting another size than the device's gets {@code EPERM}. Changing a read-only file gets {@code EROFS}.
 *
 * <p>Threading: any number of threads at once; no lock is taken here. Read and write allocate nothing.
 */
public final class ImageFile {
    /** Longest name of a file, in bytes. */
    public static final int MAX_NAME_BYTES = 255;

    private static final Logger LOG = LoggerFactory.getLogger(ImageFile.class);
    private static final int S_IFREG = 0x8000;
    private static final int OWNER_READS = 0400;
    private static final int OWNER_WRITES = 0200;
    private static final int O_ACCMODE = 3;
    private static final int STAT_BLOCK_BYTES = 512;

    private final String name;
    private final BlockDevice device;
    private final boolean readOnly;
    private final boolean writeThrough;
    private final Map<String, Supplier<String>> attributes;
    private final Instant modified = Instant.now();

    private final OperationMeter reads = new OperationMeter();
    private final OperationMeter writes = new OperationMeter();
    private final OperationMeter flushes = new OperationMeter();
    private final LongAdder discards = new LongAdder();
    private final LongAdder zeroes = new LongAdder();
    private final LongAdder errors = new LongAdder();

    /**
     * What {@code stat} shows.
     *
     * @param mode type and permission bits: 0600, or 0400 when the device is read-only
     * @param sizeBytes capacity of the device
     * @param blocks storage in use, in units of 512 bytes, rounded up
     * @param modified when the file was first served; writing does not move it
     */
    public record Attributes(int mode, long sizeBytes, long blocks, Instant modified) {}

    /**
     * A file for {@code device}.
     *
     * @param name what the file is called in its directory
     * @param device what it holds; stays the caller's to close, once nothing serves this file any more
     * @param cache decides whether a change is flushed before it is acknowledged
     * @param attributes extended attributes by full name, {@code user.ucow.base}; each is asked for when it is read
     * @throws IllegalArgumentException if {@code name} cannot be a file's name
     */
    public ImageFile(String name, BlockDevice device, CacheMode cache, Map<String, Supplier<String>> attributes) {
        if (name.isEmpty() || name.equals(".") || name.equals("..") || name.indexOf('/') >= 0 || name.indexOf(0) >= 0) {
            throw new IllegalArgumentException("\"" + name + "\" cannot be the name of a file");
        }
        if (name.getBytes(UTF_8).length > MAX_NAME_BYTES) {
            throw new IllegalArgumentException(
                    "\"" + name + "\" is longer than the " + MAX_NAME_BYTES + " bytes a file's name may have");
        }
        this.name = name;
        this.device = Objects.requireNonNull(device);
        this.readOnly = device.isReadOnly();
        this.writeThrough = cache == CacheMode.WRITETHROUGH;
        this.attributes = Map.copyOf(attributes);
    }

    /** The same in mode {@code writeback}: nothing is flushed unless it is asked for. */
    public ImageFile(String name, BlockDevice device, Map<String, Supplier<String>> attributes) {
        this(name, device, CacheMode.WRITEBACK, attributes);
    }

    /** What the file is called in its directory. */
    public String name() {
        return name;
    }

    /** Capacity of the device; it may grow. */
    public long sizeBytes() {
        return device.sizeBytes();
    }

    /**
     * What {@code statfs} on the file reports as its block size. The loop driver takes it for the granularity of
     * discards, so it is the size below which the device gives nothing back.
     */
    public int granularityBytes() {
        return device.granularityBytes();
    }

    /**
     * Allows or refuses a descriptor.
     *
     * @param flags {@code O_*} as in {@code open(2)}
     * @return 0 or {@code -errno}
     */
    public int open(int flags) {
        return readOnly && (flags & O_ACCMODE) != Libc.O_RDONLY ? refused(Errno.EROFS) : 0;
    }

    /**
     * Fills {@code dst}, a direct buffer, from {@code guestOffset}, or up to the end of the file.
     *
     * @return bytes read, 0 at or past the end, or {@code -errno}
     */
    public int read(long guestOffset, ByteBuffer dst) {
        long start = System.nanoTime();
        try {
            int length = clip(guestOffset, dst);
            if (length > 0) {
                device.read(guestOffset, dst);
                reads.done(start, length);
            }
            return length;
        } catch (Throwable e) {
            return failed("read", e);
        }
    }

    /**
     * As {@link #read}, but {@code target} takes the bytes from where they are, if they lie in one place.
     *
     * @return bytes taken, 0 if they are to be read instead, or {@code -errno}
     */
    public int splice(long guestOffset, int lengthBytes, SpliceTarget target) {
        long start = System.nanoTime();
        try {
            int length = clip(guestOffset, lengthBytes);
            if (length == 0 || !device.splice(guestOffset, length, target)) {
                return 0;
            }
            reads.done(start, length);
            return length;
        } catch (Throwable e) {
            return failed("read", e);
        }
    }

    /**
     * Writes {@code src}, a direct buffer, at {@code guestOffset}. What was written survives this process at once, and
     * power loss after {@link #fsync}, in mode {@code writethrough} at once, too.
     *
     * @return bytes written, fewer than asked for only at the end of the file, or {@code -errno}
     */
    public int write(long guestOffset, ByteBuffer src) {
        if (readOnly) {
            return refused(Errno.EROFS);
        }
        long start = System.nanoTime();
        try {
            int wanted = src.remaining();
            int length = clip(guestOffset, src);
            if (length == 0) {
                return wanted == 0 ? 0 : refused(Errno.EFBIG);
            }
            device.write(guestOffset, src);
            flushIfWriteThrough();
            writes.done(start, length);
            return length;
        } catch (Throwable e) {
            return failed("write", e);
        }
    }

    /**
     * Makes every acknowledged write survive power loss. FUSE asks for it with {@code FSYNC}; its {@code FLUSH} only
     * tells that a descriptor was closed.
     *
     * @return 0 or {@code -errno}
     */
    public int fsync() {
        if (readOnly) {
            return 0;
        }
        long start = System.nanoTime();
        try {
            device.flush();
            flushes.done(start, 0);
            return 0;
        } catch (Throwable e) {
            return failed("flush", e);
        }
    }

    /**
     * {@code fallocate(2)}. Punching a hole discards; zeroing a range writes zeroes, and past the end it is refused
     * with {@code EFBIG} unless {@code KEEP_SIZE} says that only what there is was meant.
     *
     * <p>Plain preallocation gets {@code EOPNOTSUPP}: it promises that later writes find room, and a copy-on-write
     * store does not reserve any. The loop driver never asks for it; QEMU and {@code posix_fallocate} go on without.
     *
     * @param mode {@code FALLOC_FL_*}
     * @return 0 or {@code -errno}
     */
    public int fallocate(int mode, long guestOffset, long lengthBytes) {
        if (readOnly) {
            return refused(Errno.EROFS);
        }
        if (guestOffset < 0 || lengthBytes <= 0) {
            return refused(Errno.EINVAL);
        }
        boolean keepSize = (mode & Libc.FALLOC_FL_KEEP_SIZE) != 0;
        long sizeBytes = device.sizeBytes();
        boolean pastEnd = lengthBytes > sizeBytes - guestOffset;
        long inside = pastEnd ? sizeBytes - guestOffset : lengthBytes;
        try {
            switch (mode & ~Libc.FALLOC_FL_KEEP_SIZE) {
                case Libc.FALLOC_FL_PUNCH_HOLE -> {
                    if (!keepSize) {
                        return refused(Errno.EOPNOTSUPP);
                    }
                    if (inside > 0) {
                        device.discard(guestOffset, inside);
                        flushIfWriteThrough();
                        discards.increment();
                    }
                }
                case Libc.FALLOC_FL_ZERO_RANGE -> {
                    if (pastEnd && !keepSize) {
                        return refused(Errno.EFBIG);
                    }
                    if (inside > 0) {
                        device.writeZeroes(guestOffset, inside);
                        flushIfWriteThrough();
                        zeroes.increment();
                    }
                }
                default -> {
                    return refused(Errno.EOPNOTSUPP);
                }
            }
            return 0;
        } catch (Throwable e) {
            return failed("fallocate", e);
        }
    }

    /**
     * {@code lseek(2)} with {@code SEEK_DATA} or {@code SEEK_HOLE}; the other kinds the kernel answers itself. The end of
     * the file is a hole.
     *
     * @return the offset found, {@code -ENXIO} at or past the end and where no data follows, {@code -EINVAL} for another
     *     {@code whence}, or another {@code -errno}
     */
    public long seek(long guestOffset, int whence) {
        if (whence != Libc.SEEK_DATA && whence != Libc.SEEK_HOLE) {
            return refused(Errno.EINVAL);
        }
        long sizeBytes = device.sizeBytes();
        if (guestOffset < 0 || guestOffset >= sizeBytes) {
            return -Errno.ENXIO; // how every search ends: no error to count
        }
        try {
            if (whence == Libc.SEEK_HOLE) {
                return device.seekHole(guestOffset);
            }
            long data = device.seekData(guestOffset);
            return data < sizeBytes ? data : -Errno.ENXIO;
        } catch (Throwable e) {
            return failed("lseek", e);
        }
    }

    private void flushIfWriteThrough() throws IOException {
        if (writeThrough) {
            device.flush();
        }
    }

    /**
     * {@code truncate(2)}: 0 for the size the device has, {@code -EPERM} for any other. It is also how the kernel learns
     * of a device that grew, whatever it caches: of a file whose writes it keeps back, it believes its own size.
     */
    public int truncate(long newSizeBytes) {
        return newSizeBytes == device.sizeBytes() ? 0 : refused(Errno.EPERM);
    }

    /**
     * What {@code stat} shows now.
     *
     * @throws IOException if the device cannot say what it occupies; {@link #failed} makes the answer of it
     */
    public Attributes attributes() throws IOException {
        int permissions = readOnly ? OWNER_READS : OWNER_READS | OWNER_WRITES;
        long blocks = (device.allocatedBytes() + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES;
        return new Attributes(S_IFREG | permissions, device.sizeBytes(), blocks, modified);
    }

    /**
     * Puts the value of extended attribute {@code attribute} into {@code value}.
     *
     * @param value any buffer; one without room only asks how much is needed
     * @return the value's length in bytes, {@code -ENODATA} if there is no such attribute, {@code -ERANGE} if it does
     *     not fit, or another {@code -errno}
     */
    public int getxattr(String attribute, ByteBuffer value) {
        Supplier<String> fact = attributes.get(attribute);
        if (fact == null) {
            return -Errno.ENODATA;
        }
        try {
            return answer(fact.get().getBytes(UTF_8), value);
        } catch (Throwable e) {
            return failed("getxattr", e);
        }
    }

    /**
     * Puts the names of all extended attributes into {@code list}, each ended by a zero byte.
     *
     * @param list any buffer; one without room only asks how much is needed
     * @return their length in bytes, or {@code -ERANGE} if they do not fit
     */
    public int listxattr(ByteBuffer list) {
        var names = new StringBuilder();
        new TreeMap<>(attributes).keySet().forEach(n -> names.append(n).append('\0'));
        return answer(names.toString().getBytes(UTF_8), list);
    }

    /** Counters and latencies since this file was made. */
    public FileStats stats() {
        return new FileStats(
                reads.count(),
                reads.bytes(),
                writes.count(),
                writes.bytes(),
                flushes.count(),
                discards.sum(),
                zeroes.sum(),
                errors.sum(),
                reads.latency(),
                writes.latency(),
                flushes.latency());
    }

    /**
     * Counts a request that failed with {@code failure}, for transports whose own part of it failed, too.
     *
     * @param request what was asked, for the log
     * @return {@code -errno}, the answer
     */
    public int failed(String request, Throwable failure) {
        errors.increment();
        int errno = Errno.of(failure);
        if (errno == Errno.EIO || !(failure instanceof IOException)) {
            LOG.warn("file={} request={} answered={}", name, request, Errno.describe(errno), failure);
        }
        return -errno;
    }

    private int refused(int errno) {
        errors.increment();
        return -errno;
    }

    /** Cuts {@code buffer} at the end of the file. @return what remains in it, 0 when all of it lies past the end */
    private int clip(long guestOffset, ByteBuffer buffer) {
        int length = clip(guestOffset, buffer.remaining());
        buffer.limit(buffer.position() + length);
        return length;
    }

    private int clip(long guestOffset, int lengthBytes) {
        long available = guestOffset < 0 ? 0 : Math.max(0, device.sizeBytes() - guestOffset);
        return (int) Math.min(lengthBytes, available);
    }

    private int answer(byte[] bytes, ByteBuffer dst) {
        if (dst.hasRemaining()) {
            if (dst.remaining() < bytes.length) {
                return -Errno.ERANGE;
            }
            dst.put(bytes);
        }
        return bytes.length;
    }
}
