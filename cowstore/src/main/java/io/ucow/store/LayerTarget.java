package io.ucow.store;

import io.ucow.sys.FileStatus;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/**
 * An image as what another one is committed to: its device is written to as a guest would.
 *
 * <p>Threading: as {@link CommitTarget}.
 */
final class LayerTarget extends CommitTarget {
    private final ExceptionStoreProvider plugin;
    private final Path layer;
    private final LockedFile locked;
    private final FileStatus status;
    private final Origin below;
    private final UUID bootId;
    private volatile CowDevice device;

    /**
     * Opens the layer for reading.
     *
     * @param status of its file
     * @param below what is behind it; this object's to close, also when this throws
     */
    LayerTarget(
            ExceptionStoreProvider plugin, Path layer, LockedFile locked, FileStatus status, Origin below, UUID bootId)
            throws IOException {
        this.plugin = plugin;
        this.layer = layer;
        this.locked = locked;
        this.status = status;
        this.below = below;
        this.bootId = bootId;
        try {
            open(true);
        } catch (IOException e) {
            Images.closeAfter(e, below);
            throw e;
        }
    }

    private void open(boolean readOnly) throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(readOnly, bootId, readers, false);
        ExceptionStore store = plugin.open(locked.another(), layer, context);
        device = new CowDevice(store, new LentOrigin(below), readers, false);
        readFrom(new DeviceOrigin(device));
    }

    @Override
    void requireSame(OriginReference recorded, Path image) throws IOException {
        new LayerOrigin(layer, status, device).requireSame(recorded, image);
    }

    @Override
    long roomBytes() {
        return device.sizeBytes();
    }

    @Override
    void begin(long leastBytes) throws IOException {
        device.close();
        open(false);
    }

    @Override
    public void write(long offset, ByteBuffer src) throws IOException {
        device.write(offset, src);
    }

    @Override
    public void zeros(long offset, long lengthBytes) throws IOException {
        device.discard(offset, lengthBytes);
    }

    @Override
    void sync() throws IOException {
        device.flush();
    }

    @Override
    OriginReference finish(String path) throws IOException {
        device.close();
        open(true);
        LayerOrigin now = new LayerOrigin(layer, locked.durableStatus(), device);
        if (!now.info().clean()) {
            throw new StoreFullException(layer + ": no space left to close it properly");
        }
        return now.reference(path);
    }

    @Override
    public void close() throws IOException {
        try (below) {
            super.close();
        }
    }
}
