package io.ucow.store;

import io.ucow.sys.FileStatus;
import io.ucow.sys.SpliceTarget;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * What the device of an image holds, as the base of another: the image is open read-only, with its own base behind it, so
 * a chain is as many of these as it has layers, and a file at the end.
 *
 * <p>A read goes down in place: each layer fills its runs of the one buffer, and hands the others on. Nobody can open a
 * layer for writing meanwhile, and nothing of it is changed, not even to recover it.
 *
 * <p>Threading: any number of threads may read at once. Reading allocates nothing.
 */
final class LayerOrigin extends BaseOrigin {
    private final CowDevice device;
    private final DeviceOrigin content;

    /**
     * @param status of the image's file
     * @param device the image, open read-only; this object's to close
     */
    LayerOrigin(Path image, FileStatus status, CowDevice device) {
        super(image.toString(), status, true);
        this.device = device;
        this.content = new DeviceOrigin(device);
    }

    /** What is known of the image. */
    ImageInfo info() throws IOException {
        return device.info();
    }

    @Override
    public long sizeBytes() {
        return content.sizeBytes();
    }

    @Override
    public void read(ByteBuffer dst, long offset) throws IOException {
        content.read(dst, offset);
    }

    @Override
    public boolean splice(long offset, int lengthBytes, SpliceTarget target) throws IOException {
        return content.splice(offset, lengthBytes, target);
    }

    @Override
    public long seekData(long offset) throws IOException {
        return content.seekData(offset);
    }

    @Override
    public long seekHole(long offset) throws IOException {
        return content.seekHole(offset);
    }

    @Override
    public void close() throws IOException {
        content.close();
    }
}
