package io.ucow.qcow2;

import io.ucow.store.ChunkSource;
import io.ucow.store.DeviceStats;
import io.ucow.store.ExceptionStore;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.OriginReference;
import io.ucow.store.StoreContext;
import io.ucow.store.Zeros;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.Errno;
import io.ucow.sys.NativeException;
import io.ucow.sys.PositionalFile;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An open image.
 *
 * <p>Threading: as {@link ExceptionStore}; reads, and writes in place, take no lock.
 */
final class Qcow2Store implements ExceptionStore {
    private static final Logger LOG = LoggerFactory.getLogger(Qcow2Store.class);

    private final PositionalFile file;
    /** Where clusters of data are: the image, or its external data file. */
    private final PositionalFile data;

    private final Qcow2Image image;
    private final Geometry geometry;
    private final int chunkShift;
    private final int subclusterShift;
    private final ClusterMap map;
    private final Decompressors decompressors;
    /** What a killed process left that the tables do not have; null for nothing. Closed by the writer, if there is one. */
    private final PendingLog left;
    /** Null when it is opened to be read. */
    private final Writer writer;

    private final LongAdder damagedReads = new LongAdder();
    private final AtomicBoolean closed = new AtomicBoolean();

    /**
     * Takes the files over, if it does not throw.
     *
     * @param data {@code file}, or the external data file
     * @param maxLogBytes as in {@link Writer}
     */
    Qcow2Store(PositionalFile file, PositionalFile data, Qcow2Image image, StoreContext context, int maxLogBytes)
            throws IOException {
        this.file = file;
        this.data = data;
        this.image = image;
        this.geometry = image.geometry();
        this.chunkShift = geometry.chunkShift();
        this.subclusterShift = image.subclusterShift();
        this.map = new ClusterMap(file, image, image.header().l1TableOffset(), context.readOnly());
        this.decompressors = new Decompressors(file, image.header());
        PendingLog log = null;
        boolean done = false;
        try {
            log = PendingLog.left(file, image, context.bootId());
            if (log != null) {
                map.adopt(log, (data.size() + geometry.chunkSize() - 1) >>> chunkShift);
            }
            this.left = log;
            this.writer = context.readOnly()
                    ? null
                    : new Writer(file, data, image, map, decompressors, log, context, maxLogBytes);
            done = true;
        } finally {
            if (!done) {
                try (map) {
                    if (log != null) {
                        log.close();
                    }
                }
            }
        }
    }

    @Override
    public Geometry geometry() {
        return geometry;
    }

    @Override
    public boolean isReadOnly() {
        return writer == null;
    }

    /** Subclusters are placed with their cluster. */
    @Override
    public int groupShift() {
        return subclusterShift;
    }

    @Override
    public long lookup(long chunk) throws IOException {
        return map.lookup(chunk);
    }

    @Override
    public long nextPresent(long chunk) {
        return map.nextPresent(chunk);
    }

    @Override
    public void read(long entry, int offsetInChunk, ByteBuffer dst) throws IOException {
        readAt((RemapEntry.slotOf(entry) << chunkShift) + offsetInChunk, dst);
    }

    @Override
    public boolean splice(long entry, int offsetInChunk, int lengthBytes, SpliceTarget target) throws IOException {
        return data.splice((RemapEntry.slotOf(entry) << chunkShift) + offsetInChunk, lengthBytes, target);
    }

    /** As QEMU: a cluster that the file ends before, or in, has zeros there. */
    private void readAt(long offset, ByteBuffer dst) throws IOException {
        data.read(dst, offset);
        Zeros.fill(dst);
    }

    @Override
    public void readPacked(long chunk, long entry, int offsetInChunk, ByteBuffer dst) throws IOException {
        long l2 = map.readL2(chunk >>> subclusterShift);
        int offset = (int) (chunk & (1 << subclusterShift) - 1) << chunkShift | offsetInChunk;
        if (!L2Entry.isCompressed(l2)) {
            readShared(l2, offset, dst);
            return;
        }
        try {
            decompressors.read(l2, offset, dst);
        } catch (IOException e) {
            damagedReads.increment();
            throw e;
        }
    }

    /** A cluster that a snapshot has as well; or that has been replaced, or zeroed, since it was looked up. */
    private void readShared(long l2, int offset, ByteBuffer dst) throws IOException {
        if (L2Entry.isZero(l2) || L2Entry.offset(l2) == 0) {
            Zeros.fill(dst);
        } else {
            readAt(L2Entry.offset(l2) + offset, dst);
        }
    }

    @Override
    public void write(long entry, int offsetInChunk, ByteBuffer src) throws IOException {
        writer().write((RemapEntry.slotOf(entry) << chunkShift) + offsetInChunk, src);
    }

    @Override
    public void zero(long entry, int offsetInChunk, int lengthBytes) throws IOException {
        writer().zero((RemapEntry.slotOf(entry) << chunkShift) + offsetInChunk, lengthBytes);
    }

    @Override
    public long allocate(long chunk, int count) throws IOException {
        return writer().allocate(chunk, count);
    }

    @Override
    public void release(long chunk, long entry, int count) {
        writer.release(chunk, RemapEntry.slotOf(entry), count);
    }

    @Override
    public void commit(long chunk, int count, long entry) throws IOException {
        writer().commit(chunk, count, entry);
    }

    private Writer writer() throws NativeException {
        if (writer == null) {
            throw new NativeException("write", Errno.EROFS);
        }
        return writer;
    }

    @Override
    public int maxCommit() {
        return Writer.MAX_COMMIT;
    }

    @Override
    public void flush() throws IOException {
        if (writer != null) {
            writer.flush();
        }
    }

    @Override
    public boolean reclaim() throws IOException {
        return writer != null && writer.reclaim();
    }

    @Override
    public long reclaimed() {
        return writer == null ? 0 : writer.reclaimed();
    }

    @Override
    public ChunkSource locate(long entry) {
        if (RemapEntry.isOrigin(entry)) {
            return new ChunkSource.Origin();
        }
        if (RemapEntry.isPacked(entry)) {
            return new ChunkSource.Packed(RemapEntry.packedOffset(entry), RemapEntry.packedBytes(entry));
        }
        return RemapEntry.isZero(entry)
                ? new ChunkSource.Zero()
                : new ChunkSource.Slot(RemapEntry.slotOf(entry) << chunkShift, geometry.chunkSize());
    }

    @Override
    public ImageInfo info() throws IOException {
        return info(map.count());
    }

    @Override
    public ImageInfo outline() throws IOException {
        return info(new ClusterMap.Counts(0, 0));
    }

    private ImageInfo info(ClusterMap.Counts counts) throws IOException {
        Header header = image.header();
        OriginReference origin = image.origin();
        return new ImageInfo(
                image.image(),
                Qcow2Format.NAME,
                header.version(),
                "",
                geometry,
                origin == null ? Optional.empty() : Optional.of(origin.resolve(image.image())),
                origin == null || origin.isImage() ? 0 : sizeOf(origin.resolve(image.image())),
                origin != null && origin.isImage(),
                counts.altered(),
                counts.zero(),
                allocatedBytes(),
                0,
                writer == null && left == null && !header.isDirty() && !header.isCorrupt(),
                details());
    }

    /** The header does not say; 0 for what is no file, or not there. */
    private static long sizeOf(Path backing) {
        try {
            return Files.isRegularFile(backing) ? Files.size(backing) : 0;
        } catch (IOException e) {
            LOG.debug("backing file cannot be looked at file={}", backing, e);
            return 0;
        }
    }

    private Map<String, String> details() throws IOException {
        Header header = image.header();
        Map<String, String> details = new LinkedHashMap<>();
        image.snapshot().ifPresent(s -> details.put("snapshot", s.label()));
        details.put("cluster size", Integer.toString(header.clusterSize()));
        details.put(Qcow2Format.EXTENDED_L2, Boolean.toString(header.hasExtendedL2()));
        details.put("compression type", header.compressionType() == Header.ZSTD ? "zstd" : "zlib");
        details.put("refcount bits", Integer.toString(1 << header.refcountOrder()));
        details.put("lazy refcounts", Boolean.toString(header.hasLazyRefcounts()));
        if (header.isDirty()) {
            details.put("dirty", "true");
        }
        if (header.isCorrupt()) {
            details.put("corrupt", "true");
        }
        if (header.hasExternalData()) {
            details.put("data file", data.name());
        }
        if (image.extensions().bitmaps() != 0) {
            details.put("bitmaps", Integer.toUnsignedString(image.extensions().bitmaps()));
        }
        if (header.nbSnapshots() > 0) {
            details.put(
                    "snapshots",
                    image.snapshots(file).stream().map(SnapshotEntry::label).collect(Collectors.joining(", ")));
        }
        return details;
    }

    @Override
    public DeviceStats stats() {
        ClusterMap.Counts counts = counts();
        long altered = counts.altered() << chunkShift;
        return new DeviceStats(
                0, 0, 0, counts.altered(), counts.zero(), 0, 0, 0, 0, 0, altered, altered, damagedReads.sum());
    }

    private ClusterMap.Counts counts() {
        try {
            return map.count();
        } catch (IOException e) {
            LOG.warn("map cannot be read image={}", image.image(), e);
            return new ClusterMap.Counts(0, 0);
        }
    }

    @Override
    public long allocatedBytes() throws IOException {
        return file.allocatedBytes() + (data == file ? 0 : data.allocatedBytes());
    }

    @Override
    public void close() throws IOException {
        try (file;
                data) {
            release();
        }
    }

    /** As {@link #close}, but the files stay open. */
    void release() throws IOException {
        if (closed.compareAndSet(false, true)) {
            try (map;
                    decompressors) {
                if (writer != null) {
                    writer.close();
                } else if (left != null) {
                    left.close();
                }
            }
        }
    }
}
