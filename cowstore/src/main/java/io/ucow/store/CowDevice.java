package io.ucow.store;

import java.io.IOException;
import java.util.function.Consumer;

/** A base seen through the exceptions of a store. Sketch: the body is being written. */
public abstract class CowDevice implements BlockDevice {
    /** What `ucow info` shows. */
    public abstract ImageInfo info() throws IOException;

    /** Counters for `ucow status`. */
    public abstract DeviceStats stats();

    /** Calls {@code visitor} for each run of the device, in order, without gaps. */
    public abstract void forEachExtent(Consumer<MapExtent> visitor) throws IOException;
}
