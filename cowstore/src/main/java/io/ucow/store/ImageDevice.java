package io.ucow.store;

import java.io.IOException;
import java.util.function.Consumer;

/**
 * The device of an image, and what can be asked of that.
 *
 * <p>Threading: as {@link BlockDevice}.
 */
public interface ImageDevice extends BlockDevice {
    /** What is known of the image. */
    ImageInfo info() throws IOException;

    /** What this device has done since it was opened. */
    DeviceStats stats();

    /**
     * Calls {@code visitor} for each extent of the device, in order and without gaps. Under load the picture is that of no
     * single instant.
     */
    void forEachExtent(Consumer<MapExtent> visitor) throws IOException;
}
