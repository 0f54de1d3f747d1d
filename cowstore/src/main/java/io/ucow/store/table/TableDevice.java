package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A device made of targets: every request goes, cut where targets meet, to what is behind them.
 *
 * <p>It is read-only if anything behind it is. After a failed flush of any part, changing calls are refused on all of
 * it. A request that fails half-way leaves the parts before the failure done.
 *
 * <p>Threading: as {@link BlockDevice}. Reads and writes allocate nothing here.
 */
public final class TableDevice implements BlockDevice {
    private static final int DEFAULT_GRANULARITY = 4096;

    /**
     * A target with what serves it.
     *
     * @param endByte first byte after it on the device
     * @param shiftBytes what to add to an offset on the device to get the offset on the backing
     */
    record Segment(Target target, long endByte, Backing backing, long shiftBytes) {}

    private final DeviceTable table;
    private final Map<String, BlockDevice> stores = new LinkedHashMap<>();
    private final Set<Backing> distinct = new LinkedHashSet<>();
    private final long[] starts;
    private final long[] ends;
    private final long[] shifts;
    private final BlockDevice[] devices;
    private final boolean readOnly;
    private final int granularityBytes;
    private final AtomicBoolean closed = new AtomicBoolean();
    private volatile boolean flushFailed;

    /**
     * @param table what {@link #table} returns
     * @param segments one for each target of {@code table}, in order; their backings are retained here
     */
    TableDevice(DeviceTable table, List<Segment> segments) {
        this.table = table;
        int count = segments.size();
        starts = new long[count];
        ends = new long[count];
        shifts = new long[count];
        devices = new BlockDevice[count];
        int granularity = 0;
        for (int i = 0; i < count; i++) {
            Segment segment = segments.get(i);
            BlockDevice device = segment.backing().device();
            starts[i] = segment.target().startByte();
            ends[i] = segment.endByte();
            shifts[i] = segment.shiftBytes();
            devices[i] = device;
            distinct.add(segment.backing());
            if (segment.target() instanceof Target.Cow cow) {
                stores.put(cow.ident(), device);
                granularity = Math.max(granularity, device.granularityBytes());
            }
        }
        granularityBytes = granularity == 0 ? DEFAULT_GRANULARITY : granularity;
        readOnly = Arrays.stream(devices).anyMatch(BlockDevice::isReadOnly);
        distinct.forEach(Backing::retain);
    }

    /** The targets as they are served: the table that was opened, {@link DeviceTable#joined joined}. */
    public DeviceTable table() {
        return table;
    }

    /** What the opener supplied for each ident of this device; owned by this device. */
    public Map<String, BlockDevice> stores() {
        return Collections.unmodifiableMap(stores);
    }

    @Override
    public long sizeBytes() {
        return ends[ends.length - 1];
    }

    @Override
    public boolean isReadOnly() {
        return readOnly;
    }

    @Override
    public void read(long guestOffset, ByteBuffer dst) throws IOException {
        Objects.checkFromIndexSize(guestOffset, dst.remaining(), sizeBytes());
        long end = guestOffset + dst.remaining();
        int limit = dst.limit();
        try {
            long offset = guestOffset;
            for (int i = indexOf(offset); offset < end; i++) {
                int n = (int) (Math.min(end, ends[i]) - offset);
                dst.limit(dst.position() + n);
                devices[i].read(offset + shifts[i], dst);
                offset += n;
            }
        } finally {
            dst.limit(limit);
        }
    }

    @Override
    public boolean splice(long guestOffset, int lengthBytes, SpliceTarget target) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        int i = indexOf(guestOffset);
        return lengthBytes <= ends[i] - guestOffset && devices[i].splice(guestOffset + shifts[i], lengthBytes, target);
    }

    @Override
    public void write(long guestOffset, ByteBuffer src) throws IOException {
        Objects.checkFromIndexSize(guestOffset, src.remaining(), sizeBytes());
        requireWritable("write");
        long end = guestOffset + src.remaining();
        int limit = src.limit();
        try {
            long offset = guestOffset;
            for (int i = indexOf(offset); offset < end; i++) {
                int n = (int) (Math.min(end, ends[i]) - offset);
                src.limit(src.position() + n);
                devices[i].write(offset + shifts[i], src);
                offset += n;
            }
        } finally {
            src.limit(limit);
        }
    }

    @Override
    public void writeZeroes(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        requireWritable("writeZeroes");
        long end = guestOffset + lengthBytes;
        long offset = guestOffset;
        for (int i = indexOf(offset); offset < end; i++) {
            long n = Math.min(end, ends[i]) - offset;
            devices[i].writeZeroes(offset + shifts[i], n);
            offset += n;
        }
    }

    @Override
    public void discard(long guestOffset, long lengthBytes) throws IOException {
        Objects.checkFromIndexSize(guestOffset, lengthBytes, sizeBytes());
        requireWritable("discard");
        long end = guestOffset + lengthBytes;
        long offset = guestOffset;
        for (int i = indexOf(offset); offset < end; i++) {
            long n = Math.min(end, ends[i]) - offset;
            devices[i].discard(offset + shifts[i], n);
            offset += n;
        }
    }

    @Override
    public long seekData(long guestOffset) throws IOException {
        long offset = Objects.checkIndex(guestOffset, sizeBytes());
        for (int i = indexOf(offset); i < ends.length; i++) {
            long found = devices[i].seekData(offset + shifts[i]) - shifts[i];
            if (found < ends[i]) {
                return found;
            }
            offset = ends[i];
        }
        return offset;
    }

    @Override
    public long seekHole(long guestOffset) throws IOException {
        long offset = Objects.checkIndex(guestOffset, sizeBytes());
        for (int i = indexOf(offset); i < ends.length; i++) {
            long found = devices[i].seekHole(offset + shifts[i]) - shifts[i];
            if (found < ends[i]) {
                return found;
            }
            offset = ends[i];
        }
        return offset;
    }

    /** Flushes everything behind the table, even what comes after a failure. */
    @Override
    public void flush() throws IOException {
        if (flushFailed) {
            throw refusal("flush");
        }
        try {
            Backing.forEach(distinct, backing -> backing.device().flush());
        } catch (IOException | RuntimeException e) {
            flushFailed = true;
            throw e;
        }
    }

    @Override
    public int granularityBytes() {
        return granularityBytes;
    }

    /** The sum over the distinct stores and {@code linear} files, each counted whole. */
    @Override
    public long allocatedBytes() throws IOException {
        long sum = 0;
        for (Backing backing : distinct) {
            sum += backing.device().allocatedBytes();
        }
        return sum;
    }

    /** Flushes everything, and closes what no other table device uses. */
    @Override
    public void close() throws IOException {
        if (closed.compareAndSet(false, true)) {
            Backing.forEach(distinct, Backing::release);
        }
    }

    /** The segment that holds {@code offset}; the last one for the device's end. */
    private int indexOf(long offset) {
        int found = Arrays.binarySearch(starts, offset);
        return found >= 0 ? found : -found - 2;
    }

    private void requireWritable(String request) throws NativeException {
        if (readOnly) {
            throw new NativeException(request + " " + table.name(), Errno.EROFS);
        }
        if (flushFailed) {
            throw refusal(request);
        }
    }

    private NativeException refusal(String request) {
        return new NativeException(request + " " + table.name() + " after a failed flush", Errno.EIO);
    }
}
