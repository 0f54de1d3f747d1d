package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Writes a device, base and all, to a file of its own that needs no base.
 *
 * <p>The file has its name only when it is complete and durable; of a flattening that fails, or is killed, nothing of
 * that name is there, see {@link PartFile}.
 *
 * <p>Threading: every method may be called from any thread.
 */
public final class Flattening {
    private static final int FILE_MODE = 0644;

    /** Writes the content to the file at {@code part}, which it creates, locks, syncs and closes. */
    private interface Writer {
        void write(Path part) throws IOException;
    }

    private Flattening() {}

    /**
     * Writes a raw image, with holes where {@code device} has holes, or zeros.
     *
     * @param out must not exist
     * @param progress as {@link DeviceCopy#copy}
     * @throws FileAlreadyExistsException if {@code out} exists
     * @throws StoreFullException if there is no room for it
     */
    public static void toRaw(BlockDevice device, Path out, LongConsumer progress) throws IOException {
        write(out, part -> {
            try (NativeFile file = NativeFile.create(part, FILE_MODE)) {
                if (!file.tryLock(true)) {
                    throw new StoreInUseException(part + ": was locked as soon as it was created; try again");
                }
                file.truncate(device.sizeBytes());
                file.writeBehind();
                DeviceCopy.copy(device, (offset, src) -> file.write(src, offset), progress);
                file.sync();
            }
        });
    }

    /**
     * Writes an image without a base, in which blocks of zeros take no space.
     *
     * @param out must not exist
     * @param format the plug-in's name
     * @param options what kind of an image it is to be
     * @param content what identifies all that {@code device} holds, see {@link Images#contentId}; empty when that is not known
     * @param progress as {@link DeviceCopy#copy}
     * @throws FileAlreadyExistsException if {@code out} exists
     * @throws StoreFullException if there is no room for it
     * @throws UnsupportedFormatException if no plug-in has the format's name
     * @throws IllegalArgumentException if the format does not know an option, or cannot have its value
     */
    public static void toImage(
            BlockDevice device,
            Path out,
            String format,
            StoreOptions options,
            Optional<ContentId> content,
            LongConsumer progress)
            throws IOException {
        ExceptionStoreProvider plugin = Images.plugin(format);
        Optional<DeviceCopier> copier = plugin.copier();
        options.requireKnown(format, copier.isPresent() ? copier.get().options() : plugin.options());
        write(out, part -> {
            if (copier.isPresent()) {
                Images.create(plugin, part, file -> copier.get().copy(device, file, options, progress));
            } else {
                copyIntoEmpty(device, format, part, options, progress);
            }
            if (content.isPresent()) {
                Images.holdContent(part, content.get());
            }
        });
    }

    private static void copyIntoEmpty(
            BlockDevice device, String format, Path part, StoreOptions options, LongConsumer progress)
            throws IOException {
        OptionalLong size = OptionalLong.of(device.sizeBytes());
        Images.create(new CreateOptions(part, Optional.empty(), size, format, options));
        try (CowDevice image = Images.open(part, new OpenOptions(false, CacheMode.WRITEBACK, false, false))) {
            DeviceCopy.copy(device, new PackingSink(image), progress);
            image.packAll();
        }
    }

    /** Writes to an image, and from time to time packs what was written, so that it never takes much more than packed. */
    private static final class PackingSink implements DeviceCopy.Sink {
        private static final long PACK_EVERY_BYTES = 64 << 20;

        private final CowDevice image;
        private final AtomicLong written = new AtomicLong();

        PackingSink(CowDevice image) {
            this.image = image;
        }

        @Override
        public void write(long offset, ByteBuffer src) throws IOException {
            int n = src.remaining();
            image.write(offset, src);
            long before = written.getAndAdd(n);
            if (before / PACK_EVERY_BYTES != (before + n) / PACK_EVERY_BYTES) {
                // One of the copy's threads; another goes on, and joins it when as much has been written again.
                image.packAll();
            }
        }
    }

    private static void write(Path out, Writer writer) throws IOException {
        try (PartFile part = PartFile.of(out)) {
            writer.write(part.path());
            part.complete();
        } catch (IOException e) {
            if (Errno.of(e) == Errno.ENOSPC || e instanceof StoreFullException) {
                throw new StoreFullException(
                        out + ": no space left for it, and nothing of it was kept; make room, or choose another place",
                        e);
            }
            throw e;
        }
    }
}
