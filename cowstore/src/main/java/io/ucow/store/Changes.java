package io.ucow.store;

import io.ucow.store.remap.Blocks;
import io.ucow.store.remap.RemapEntry;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * What has changed on an image since a layer of its chain was frozen: what any image above that layer has altered, exact to
 * the blocks of its chunks. Only maps are looked at, no data; what was written with the same bytes counts as changed.
 *
 * <p>Where an image in between is smaller than the layer, what shows through it past its end is zeros by now, and changed.
 *
 * <p>Threading: one thread. While this is open nobody can write to the images it looks at, but for the top if that is not
 * one of them.
 */
public final class Changes implements Closeable {
    /** Tells of the extents of an image that others have open. */
    @FunctionalInterface
    public interface Extents {
        /** Calls {@code visitor} for each extent, in order and without gaps. */
        void forEach(Consumer<MapExtent> visitor) throws IOException;
    }

    /** From the top down, without the layer. */
    private final List<ExceptionStore> stores = new ArrayList<>();

    private long sinceBytes;
    private RangeVisitor visitor;
    /** The range found last, which may go on; empty when {@code start == end}. */
    private long start;

    private long end;

    private Changes() {}

    /**
     * Looks at {@code image} and what is between it and {@code since}.
     *
     * @throws StoreInUseException if any of it is open for writing
     * @throws IllegalArgumentException if {@code since} is no layer below {@code image}
     */
    public static Changes of(Path image, Path since) throws IOException {
        Changes changes = new Changes();
        try {
            ExceptionStore top = Images.openStore(image);
            changes.stores.add(top);
            changes.openBelow(top.info(), since);
            return changes;
        } catch (IOException | RuntimeException e) {
            changes.closeAfter(e);
            throw e;
        }
    }

    /**
     * Looks at what is between {@code top}, which others have open, and {@code since}; then {@link #forEach(Extents,
     * RangeVisitor)} is to be called. Throws as {@link #of}.
     */
    public static Changes below(ImageInfo top, Path since) throws IOException {
        Changes changes = new Changes();
        try {
            changes.openBelow(top, since);
            return changes;
        } catch (IOException | RuntimeException e) {
            changes.closeAfter(e);
            throw e;
        }
    }

    private void openBelow(ImageInfo top, Path since) throws IOException {
        FileStatus wanted = Libc.statx(since);
        Chain chain = Chain.from(Libc.statx(top.image()));
        List<Path> layers = new ArrayList<>();
        ImageInfo above = top;
        while (above.baseIsImage()) {
            Path base = above.base().orElseThrow();
            FileStatus status = Images.statusOfBase(base, above.image());
            chain.add(base, status, above.image());
            layers.add(base);
            ExceptionStore store = Images.openStore(base);
            if (status.device() == wanted.device() && status.inode() == wanted.inode()) {
                try (store) {
                    sinceBytes = store.geometry().sizeBytes();
                }
                return;
            }
            stores.add(store);
            above = store.info();
        }
        throw new IllegalArgumentException(since + ": is no layer below " + top.image() + "; "
                + (layers.isEmpty()
                        ? "there is none: ucow snapshot makes one"
                        : "those are: " + layers.stream().map(Path::toString).collect(Collectors.joining(", "))));
    }

    private void closeAfter(Exception failure) {
        try {
            close();
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** Tells of every maximal range that changed, in order. Not for those made by {@link #below}. */
    public void forEach(RangeVisitor changed) throws IOException {
        begin(changed);
        look(0, 0, stores.get(0).geometry().sizeBytes());
        report();
    }

    /** As the other, for the image whose extents {@code top} are. */
    public void forEach(Extents top, RangeVisitor changed) throws IOException {
        begin(changed);
        try {
            top.forEach(this::lookAtTop);
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        report();
    }

    private void begin(RangeVisitor changed) {
        visitor = changed;
        start = 0;
        end = 0;
    }

    private void lookAtTop(MapExtent extent) {
        long extentEnd = extent.guestOffset() + extent.lengthBytes();
        try {
            if (extent.source() instanceof ChunkSource.Origin) {
                look(0, extent.guestOffset(), extentEnd);
            } else {
                add(extent.guestOffset(), extentEnd);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Looks at a range that shows what store {@code depth} has there. */
    private void look(int depth, long from, long to) throws IOException {
        if (depth == stores.size()) {
            return; // the layer's own
        }
        ExceptionStore store = stores.get(depth);
        Geometry geometry = store.geometry();
        Blocks blocks = new Blocks(geometry.chunkShift(), Integer.numberOfTrailingZeros(store.blockBytes()));
        long stop = Math.min(to, geometry.sizeBytes());
        long next;
        for (long at = from; at < stop; at = next) {
            long chunk = geometry.chunkOf(at);
            long entry = store.lookup(chunk);
            next = Math.min(stop, runEnd(store, blocks, at, entry));
            boolean shows = RemapEntry.isOrigin(entry)
                    || (RemapEntry.isPartial(entry)
                            && blocks.contains(RemapEntry.missing(entry), geometry.offsetInChunk(at)));
            if (shows) {
                look(depth + 1, at, next);
            } else {
                add(at, next);
            }
        }
        long past = Math.max(from, geometry.sizeBytes());
        long pastEnd = Math.min(to, sinceBytes);
        if (past < pastEnd) {
            add(past, pastEnd);
        }
    }

    /** Where the run of unaltered chunks, the run of blocks, or the chunk that {@code at} is in ends. */
    private static long runEnd(ExceptionStore store, Blocks blocks, long at, long entry) throws IOException {
        Geometry geometry = store.geometry();
        long chunk = geometry.chunkOf(at);
        if (RemapEntry.isPartial(entry)) {
            return geometry.startOf(chunk) + blocks.runEnd(RemapEntry.missing(entry), geometry.offsetInChunk(at));
        }
        long after = chunk + 1;
        while (RemapEntry.isOrigin(entry) && after < geometry.chunkCount()) {
            long present = store.nextPresent(after);
            if (present >= geometry.chunkCount() || !RemapEntry.isOrigin(store.lookup(present))) {
                return geometry.startOf(Math.min(present, geometry.chunkCount()));
            }
            after = present + 1;
        }
        return geometry.startOf(after);
    }

    private void add(long from, long to) throws IOException {
        if (from != end || start == end) {
            report();
            start = from;
        }
        end = to;
    }

    private void report() throws IOException {
        if (start < end) {
            visitor.range(start, end - start);
        }
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (ExceptionStore store : stores) {
            try {
                store.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        stores.clear();
        if (failure != null) {
            throw failure;
        }
    }
}
