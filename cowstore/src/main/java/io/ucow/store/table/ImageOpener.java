package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Opens stores as images: makes those that do not exist, refuses those that are not what the table says.
 *
 * <p>Threading: may be used from any thread.
 */
public final class ImageOpener implements TargetOpener {
    private final OpenOptions options;
    private final String format;

    /**
     * @param options for everything behind a table; what is opened read-only must exist
     * @param format the plug-in that makes stores
     */
    public ImageOpener(OpenOptions options, String format) {
        this.options = options;
        this.format = format;
    }

    @Override
    public BlockDevice openStore(StoreSpec spec) throws IOException {
        if (!options.readOnly() && Files.notExists(spec.store())) {
            Images.create(new CreateOptions(
                    spec.store(), spec.base(), OptionalLong.of(spec.sizeBytes()), spec.chunkBytes(), format));
        }
        requireAgreement(spec, Images.info(spec.store())); // before it is opened, which writes
        return Images.open(spec.store(), options);
    }

    @Override
    public BlockDevice openLinear(Path device) throws IOException {
        return LinearDevice.open(device, options);
    }

    /** @throws TableMismatchException if base or chunk size are not those of the table */
    static void requireAgreement(StoreSpec spec, ImageInfo found) throws IOException {
        if (found.geometry().chunkSize() != spec.chunkBytes()) {
            throw new TableMismatchException(spec.store() + " has chunks of "
                    + found.geometry().chunkSize() / Target.SECTOR_BYTES + " sectors, but the table says "
                    + spec.chunkBytes() / Target.SECTOR_BYTES + " for ident '" + spec.ident()
                    + "'; correct CHUNK, or name another COWDEV");
        }
        if (!isSameBase(found.base(), spec.base())) {
            throw new TableMismatchException(spec.store() + " was made on base " + text(found.base())
                    + ", but the table says " + text(spec.base()) + " for ident '" + spec.ident()
                    + "'; correct BASE, or name another COWDEV");
        }
    }

    private static boolean isSameBase(Optional<Path> found, Optional<Path> wanted) throws IOException {
        if (found.isEmpty() || wanted.isEmpty()) {
            return found.isEmpty() && wanted.isEmpty();
        }
        return Files.isSameFile(found.get(), wanted.get());
    }

    private static String text(Optional<Path> base) {
        return base.map(Path::toString).orElse("- (none)");
    }
}
