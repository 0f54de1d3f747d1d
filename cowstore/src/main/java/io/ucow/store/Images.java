package io.ucow.store;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Creates, opens and examines images of any format for which there is a plug-in: the library's front door.
 *
 * <p>Threading: every method may be called from any thread.
 */
@SuppressWarnings("DoNotCallSuggester")
public final class Images {
    private Images() {}

    /** The plug-ins found by {@link java.util.ServiceLoader}, in no particular order. */
    public static List<ExceptionStoreProvider> plugins() {
        throw new AssertionError("being written");
    }

    /**
     * Creates an image. Nothing is left behind when it fails.
     *
     * @throws java.nio.file.FileAlreadyExistsException if {@code options.image()} exists
     * @throws java.nio.file.NoSuchFileException if the base does not
     * @throws UnsupportedFormatException if no plug-in has the format's name
     */
    public static void create(CreateOptions options) throws IOException {
        throw new AssertionError("being written");
    }

    /**
     * Opens an image as a device, recovering it if it was not closed properly.
     *
     * @param readOnly true to change nothing at all, not even to recover on disk
     * @throws StoreInUseException if it is open elsewhere
     * @throws OriginChangedException if its base is not the one it was made on
     * @throws UnsupportedFormatException if no plug-in recognises it
     * @throws CorruptStoreException if its metadata is damaged
     */
    public static CowDevice open(Path image, boolean readOnly) throws IOException {
        throw new AssertionError("being written");
    }

    /**
     * Verifies all metadata of an image without changing it. The base is not needed.
     *
     * @throws StoreInUseException if it is open for writing elsewhere
     * @throws UnsupportedFormatException if no plug-in recognises it
     */
    public static CheckReport check(Path image) throws IOException {
        throw new AssertionError("being written");
    }
}
