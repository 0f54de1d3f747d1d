package io.ucow.store;

import io.ucow.store.format.DeltaHeader;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.nio.channels.ReadableByteChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/**
 * Makes of a stream that {@link DeltaExport} wrote what it was written of. Nothing is in its place before the stream has
 * been read to its end and all of it was as it was written: one that is torn, damaged or for something else changes
 * nothing.
 *
 * <p>All of a device becomes a new image without a base. What has changed since a layer becomes an image on that layer: the
 * image that holds the same as the layer is frozen, as by a {@link Snapshot}, and the new one takes its place.
 *
 * <p>Threading: one thread.
 */
public final class DeltaImport {
    private final String name;
    private final DeltaReader reader;

    private DeltaImport(String name, DeltaReader reader) {
        this.name = name;
        this.reader = reader;
    }

    /**
     * Reads how the stream begins.
     *
     * @param in stays the caller's to close
     * @param name for messages
     * @param progress told of how many further bytes of the stream have been read
     * @throws UnsupportedFormatException if it is no such stream
     * @throws CorruptStoreException if it is damaged
     */
    public static DeltaImport open(ReadableByteChannel in, String name, LongConsumer progress) throws IOException {
        return new DeltaImport(name, new DeltaReader(in, name, progress));
    }

    /** True if it is for an image that holds something already, false if an image is to be made of it. */
    public boolean isRelative() {
        return reader.header().since().isPresent();
    }

    /**
     * Brings {@code image} up to date.
     *
     * @param as as {@link Images#snapshot}
     * @return the layer that holds what it held
     * @throws OriginChangedException if it does not hold what the stream is relative to
     * @throws StoreInUseException if it is open anywhere
     * @throws CorruptStoreException if the stream is damaged; nothing was changed
     * @throws StoreFullException if there is no room; nothing was changed
     * @throws IllegalArgumentException if it cannot have a device of that size
     */
    public Path onto(Path image, Optional<Path> as) throws IOException {
        return onto(image, as, step -> {});
    }

    /** As the other; {@code observer} as in {@link Snapshot}. */
    Path onto(Path image, Optional<Path> as, Consumer<Snapshot.Step> observer) throws IOException {
        if (Files.notExists(image)) {
            throw new NoSuchFileException(
                    image.toString(), null, "no such image; begin with all of it: ucow export IMAGE -");
        }
        try {
            return Snapshot.take(image, as, new NewContent(), observer);
        } catch (IOException e) {
            throw orFull(image, e);
        }
    }

    private final class NewContent implements Snapshot.Content {
        private final DeltaHeader header = reader.header();

        @Override
        public void requireBase(Path image, LayerOrigin frozen, Optional<ContentId> found) throws IOException {
            DeltaHeader.Since since = header.since().orElseThrow();
            if (found.equals(Optional.of(header.content())) && !since.content().equals(header.content())) {
                throw new OriginChangedException(
                        image + ": holds what " + name + " brings already; there is nothing to import");
            }
            String what = null;
            if (!found.equals(Optional.of(since.content()))) {
                what = "it holds content " + found.map(ContentId::toString).orElse("of no known id") + ", expected "
                        + since.content();
            } else if (frozen.sizeBytes() != since.sizeBytes()) {
                what = "it has " + frozen.sizeBytes() + " bytes, expected " + since.sizeBytes();
            } else if (!frozen.reference("").fingerprint().equals(since.fingerprint())) {
                what = "its content differs";
            }
            if (what != null) {
                throw new OriginChangedException(image + ": does not hold what " + name + " is relative to: " + what
                        + "; import streams in the order of their snapshots, onto an image that nobody else writes to");
            }
        }

        @Override
        public long sizeBytes() {
            return header.geometry().sizeBytes();
        }

        @Override
        public ContentId id() {
            return header.content();
        }

        @Override
        public void writeTo(CowDevice device) throws IOException {
            apply(device);
        }
    }

    /**
     * Makes {@code image}.
     *
     * @param image must not exist
     * @throws FileAlreadyExistsException if it does
     * @throws CorruptStoreException if the stream is damaged; there is no image
     * @throws StoreFullException if there is no room; there is no image
     */
    public void to(Path image) throws IOException {
        DeltaHeader header = reader.header();
        if (Files.exists(image, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(
                    image.toString(), null, "exists already; choose another name for what " + name + " has all of");
        }
        try (PartFile part = PartFile.of(image)) {
            Images.create(new CreateOptions(
                    part.path(),
                    Optional.empty(),
                    OptionalLong.of(header.geometry().sizeBytes()),
                    header.geometry().chunkSize(),
                    CreateOptions.DEFAULT_FORMAT));
            try (CowDevice device = Images.open(part.path(), false)) {
                apply(device);
            }
            Images.holdContent(part.path(), header.content());
            part.complete();
        } catch (IOException e) {
            throw orFull(image, e);
        }
    }

    private void apply(CowDevice device) throws IOException {
        while (reader.next()) {
            if (reader.isData()) {
                device.write(reader.offset(), reader.data());
            } else {
                zero(device, reader.offset(), reader.offset() + reader.lengthBytes());
            }
        }
    }

    /** Where there are holes already nothing is done, so that a few bytes of stream cannot make a large map. */
    private static void zero(CowDevice device, long from, long to) throws IOException {
        long at = device.seekData(from);
        while (at < to) {
            long end = Math.min(to, Math.max(at + 1, device.seekHole(at)));
            device.writeZeroes(at, end - at);
            at = end < to ? device.seekData(end) : to;
        }
    }

    private static IOException orFull(Path image, IOException failure) {
        return Errno.of(failure) == Errno.ENOSPC || failure instanceof StoreFullException
                ? new StoreFullException(
                        image
                                + ": no space left for what the stream has; nothing was changed; make room, and import it again",
                        failure)
                : failure;
    }
}
