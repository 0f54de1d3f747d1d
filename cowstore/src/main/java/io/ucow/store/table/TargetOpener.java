package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import io.ucow.store.OpenOptions;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Supplies what is behind a table's targets; {@link ImageOpener} takes images and files, tests take memory.
 *
 * <p>Each method is called once for each distinct file. Whoever called {@link TableDevices#open} gives what was opened
 * back by closing its devices.
 */
public interface TargetOpener {
    /**
     * Opens the store of an ident, creating it if there is none.
     *
     * @throws TableMismatchException if there is one with another base or chunk size
     */
    BlockDevice openStore(StoreSpec spec) throws IOException;

    /** Opens the file or block device behind {@code linear} targets, all of it. */
    default BlockDevice openLinear(Path device) throws IOException {
        return LinearDevice.open(device, OpenOptions.of(false));
    }
}
