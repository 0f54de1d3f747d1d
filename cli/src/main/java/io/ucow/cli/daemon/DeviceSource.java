package io.ucow.cli.daemon;

import java.io.IOException;
import java.util.List;

/** What a daemon is to serve, known before anything is opened: a list of images, or a device table. */
interface DeviceSource {
    /** The files to come, in order, at least one; names distinct. */
    List<ServedFile> files();

    /**
     * Opens the devices behind {@link #files}, in that order.
     *
     * @throws IOException if one cannot be opened; none is open then
     */
    List<ServedDevice> open() throws IOException;

    /** The source that {@code spec} describes. */
    static DeviceSource of(MountSpec spec) throws IOException {
        return spec.table().isPresent() ? TableSource.of(spec) : ImageSource.of(spec);
    }
}
