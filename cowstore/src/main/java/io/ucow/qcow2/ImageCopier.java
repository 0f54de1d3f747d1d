package io.ucow.qcow2;

import io.ucow.store.BlockDevice;
import io.ucow.store.DeviceCopier;
import io.ucow.store.DeviceCopy;
import io.ucow.store.StoreOptions;
import io.ucow.store.Zeros;
import io.ucow.sys.BufferPool;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/**
 * Writes an image of what a device holds, plain or compressed. Clusters of zeros are left out. Of the others, blocks of zeros
 * are left holes; compressed ones lie back to back, as QEMU packs them, and what does not get smaller stays plain.
 *
 * <p>Threading: stateless.
 */
final class ImageCopier implements DeviceCopier {
    @Override
    public List<String> options() {
        return Stream.concat(ImageOptions.NAMES.stream(), Stream.of(StoreOptions.COMPRESS))
                .toList();
    }

    @Override
    public void copy(BlockDevice device, PositionalFile file, StoreOptions options, LongConsumer progress)
            throws IOException {
        ImageOptions read = ImageOptions.of(options);
        NewImage image = new NewImage(file, device.sizeBytes(), read);
        file.writeBehind();
        if (options.codec().isEmpty()) {
            DeviceCopy.copy(device, new Plain(file, image, read), progress);
        } else {
            try (Compressed sink = new Compressed(file, image, read)) {
                DeviceCopy.copy(device, sink, progress);
            }
        }
        image.complete(null);
    }

    /** Clusters as they are. */
    private static class Plain implements DeviceCopy.Sink {
        final PositionalFile file;
        final NewImage image;
        final ImageOptions options;
        private final BufferPool entryBuffers;

        Plain(PositionalFile file, NewImage image, ImageOptions options) {
            this.file = file;
            this.image = image;
            this.options = options;
            this.entryBuffers = new BufferPool(
                    (DeviceCopy.pieceBytes(options.clusterSize()) >>> options.clusterBits()) * options.entryBytes());
        }

        @Override
        public int unitBytes() {
            return options.clusterSize();
        }

        @Override
        public void write(long offset, ByteBuffer src) throws IOException {
            ByteBuffer entries = entryBuffers.take().order(ByteOrder.BIG_ENDIAN);
            try {
                put(src, entries);
                image.map(offset >>> options.clusterBits(), entries.flip());
            } finally {
                entryBuffers.give(entries);
            }
        }

        /** Writes whole clusters, of which the last may be the part of one that the device ends in, and tells where they are. */
        void put(ByteBuffer src, ByteBuffer entries) throws IOException {
            int clusters = (src.remaining() + options.clusterSize() - 1) >>> options.clusterBits();
            putPlain(src, image.allocate(clusters), entries);
        }

        /** Writes them to {@code place} on. */
        final void putPlain(ByteBuffer src, long place, ByteBuffer entries) throws IOException {
            int start = src.position();
            int end = src.limit();
            for (int at = start; at < end; at += options.clusterSize()) {
                entries.putLong(L2Entry.COPIED | place + at - start);
                if (options.extendedL2()) {
                    entries.putLong(bitmap(src, at, Math.min(end, at + options.clusterSize())));
                }
            }
            int at = start;
            while (at < end) {
                int data = DeviceCopy.runEnd(0, src, at, true, DeviceCopy.BLOCK_BYTES);
                at = DeviceCopy.runEnd(0, src, data, false, DeviceCopy.BLOCK_BYTES);
                if (at > data) {
                    file.write(src.limit(at).position(data), place + data - start);
                    src.limit(end);
                }
            }
            src.position(end);
        }

        /** Says of each subcluster with anything but zeros that it is there; of the others the image holds nothing. */
        private long bitmap(ByteBuffer src, int from, int end) {
            int bytes = 1 << options.chunkBits();
            long bitmap = 0;
            for (int at = from, i = 0; at < end; at += bytes, i++) {
                if (!Zeros.isAll(src, at, Math.min(bytes, end - at))) {
                    bitmap |= 1L << i;
                }
            }
            return bitmap;
        }
    }

    /** Clusters as small as they get. */
    private static final class Compressed extends Plain implements AutoCloseable {
        /** One for each thread, once all of them have begun. */
        private final Queue<Compressor> idle = new ConcurrentLinkedQueue<>();

        Compressed(PositionalFile file, NewImage image, ImageOptions options) {
            super(file, image, options);
        }

        @Override
        public int threads() {
            return Runtime.getRuntime().availableProcessors();
        }

        @Override
        void put(ByteBuffer src, ByteBuffer entries) throws IOException {
            Compressor taken = idle.poll();
            Compressor compressor = taken == null ? new Compressor(options) : taken;
            try {
                int end = src.limit();
                while (src.position() < end) {
                    src.limit(Math.min(end, src.position() + options.clusterSize()));
                    putCluster(compressor, src, entries);
                    src.limit(end);
                }
            } finally {
                idle.add(compressor);
            }
        }

        private void putCluster(Compressor compressor, ByteBuffer src, ByteBuffer entries) throws IOException {
            ByteBuffer packed = compressor.compress(src);
            if (packed == null) {
                putPlain(src, image.allocate(1), entries);
                return;
            }
            int bytes = packed.remaining();
            long place = image.allocatePacked(bytes);
            file.write(packed, place);
            entries.putLong(L2Entry.compressed(place, bytes, options.clusterBits()));
            if (options.extendedL2()) {
                entries.putLong(0);
            }
            src.position(src.limit());
        }

        @Override
        public void close() {
            idle.forEach(Compressor::close);
        }
    }
}
