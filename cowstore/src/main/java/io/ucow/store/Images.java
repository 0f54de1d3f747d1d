package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.UUID;

/**
 * Creates, opens and examines images of any format for which there is a plug-in: the library's front door.
 *
 * <p>Threading: every method may be called from any thread.
 */
public final class Images {
    private static final int QCOW2_MAGIC = 0xfb494651;
    private static final int FILE_MODE = 0644;

    private Images() {}

    /** The plug-ins found by {@link ServiceLoader}, in no particular order. */
    public static List<ExceptionStoreProvider> plugins() {
        return ServiceLoader.load(ExceptionStoreProvider.class, Images.class.getClassLoader()).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
    }

    /**
     * Creates an image. Nothing is left behind when it fails.
     *
     * @throws FileAlreadyExistsException if {@code options.image()} exists
     * @throws NativeException {@code ENOENT} if the base does not
     * @throws UnsupportedFormatException if no plug-in has the format's name, or the base is not raw
     * @throws IllegalArgumentException if the size is out of range for the chunk size
     */
    public static void create(CreateOptions options) throws IOException {
        ExceptionStoreProvider plugin = plugins().stream()
                .filter(p -> p.name().equals(options.format()))
                .findFirst()
                .orElseThrow(() -> new UnsupportedFormatException("no plug-in for format '" + options.format()
                        + "'; known: "
                        + String.join(
                                ", ",
                                plugins().stream()
                                        .map(ExceptionStoreProvider::name)
                                        .toList())));
        try (FileOrigin origin =
                options.base().isPresent() ? FileOrigin.open(options.base().get(), CacheMode.WRITEBACK) : null) {
            OriginReference reference = null;
            if (origin != null) {
                origin.requireRaw();
                reference = origin.reference(
                        referencePath(options.base().get(), options.image()).toString());
            }
            long size = options.sizeBytes().orElseGet(() -> origin.sizeBytes());
            Geometry geometry = new Geometry(size, Integer.numberOfTrailingZeros(options.chunkBytes()));
            create(plugin, options.image(), geometry, reference);
        }
    }

    private static void create(ExceptionStoreProvider plugin, Path image, Geometry geometry, OriginReference origin)
            throws IOException {
        try (NativeFile file = createFile(image)) {
            boolean done = false;
            try {
                lock(file, image, true);
                plugin.create(file, geometry, origin);
                done = true;
            } finally {
                if (!done) {
                    Files.deleteIfExists(image);
                }
            }
        }
    }

    private static NativeFile createFile(Path image) throws IOException {
        try {
            return NativeFile.create(image, FILE_MODE);
        } catch (NativeException e) {
            if (e.errno() == Errno.EEXIST) {
                throw new FileAlreadyExistsException(image.toString());
            }
            throw e;
        }
    }

    /** A base beside or below the image is recorded relative to it, so that the folder may move as a whole. */
    private static Path referencePath(Path base, Path image) throws IOException {
        Path realBase = base.toRealPath();
        Path parent = image.toAbsolutePath().getParent().toRealPath();
        return realBase.startsWith(parent) ? parent.relativize(realBase) : realBase;
    }

    /**
     * Opens an image as a device, recovering it if it was not closed properly. An image that is refused stays as it was.
     *
     * @throws StoreInUseException if it is open elsewhere
     * @throws OriginChangedException if its base is not the one it was made on
     * @throws UnsupportedFormatException if no plug-in recognises it
     * @throws CorruptStoreException if its metadata is damaged
     * @throws DirectIoUnavailableException if cache mode {@code NONE} is asked for where there is no direct I/O
     */
    public static CowDevice open(Path image, OpenOptions options) throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(options.readOnly(), bootId(), readers, true);
        LockedImage locked = LockedImage.open(image, options.readOnly());
        Origin origin;
        try {
            // Before the store is opened, which writes.
            origin = openOrigin(locked.plugin().origin(locked.file(), image), image, options.cache());
        } catch (IOException e) {
            closeAfter(e, locked.file());
            throw e;
        }
        try {
            return new CowDevice(locked.openStore(context, options.cache()), origin, readers);
        } catch (IOException e) {
            closeAfter(e, origin);
            throw e;
        }
    }

    /** As {@link #open(Path, OpenOptions)}, with the default cache mode. */
    public static CowDevice open(Path image, boolean readOnly) throws IOException {
        return open(image, OpenOptions.of(readOnly));
    }

    private static Origin openOrigin(OriginReference reference, Path image, CacheMode cache) throws IOException {
        if (reference == null) {
            return new ZeroOrigin();
        }
        FileOrigin origin = openBase(reference.resolve(image), image, cache);
        try {
            origin.requireSame(reference, image);
            return origin;
        } catch (IOException e) {
            closeAfter(e, origin);
            throw e;
        }
    }

    private static FileOrigin openBase(Path base, Path image, CacheMode cache) throws IOException {
        try {
            return FileOrigin.open(base, cache);
        } catch (NativeException e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR) {
                throw new OriginChangedException(
                        base + ": base of " + image + " is missing; move it back to that place", e);
            }
            throw e;
        } catch (UnsupportedFormatException e) {
            throw new OriginChangedException(
                    base + ": base changed since " + image + " was created: it is neither a regular file nor a block"
                            + " device; restore the base, or create a new image on it",
                    e);
        }
    }

    /**
     * Verifies all metadata of an image without changing it. The base is not needed.
     *
     * @throws StoreInUseException if it is open for writing elsewhere
     * @throws UnsupportedFormatException if no plug-in recognises it
     */
    public static CheckReport check(Path image) throws IOException {
        LockedImage locked = LockedImage.open(image, true);
        try (NativeFile file = locked.file()) {
            return locked.plugin().check(file, image, bootId());
        }
    }

    /**
     * Verifies an image and repairs it where that is needed, with a copy of its metadata beside it: {@code
     * IMAGE.metadata-N}. The base is not needed.
     *
     * @throws StoreInUseException if it is open elsewhere
     * @throws UnsupportedFormatException if no plug-in recognises it, or its cannot repair
     */
    public static RepairReport repair(Path image) throws IOException {
        LockedImage locked = LockedImage.open(image, false);
        try (NativeFile file = locked.file()) {
            return locked.plugin().repair(file, image, bootId(), content -> copyMetadata(image, content));
        }
    }

    private static Path copyMetadata(Path image, MetadataCopy.Writer content) throws IOException {
        int n = 1;
        while (Files.exists(copyName(image, n), LinkOption.NOFOLLOW_LINKS)) {
            n++;
        }
        Path path = copyName(image, n);
        try (NativeFile copy = createFile(path)) {
            boolean done = false;
            try {
                content.writeTo(copy);
                copy.sync();
                try (NativeFile directory =
                        NativeFile.open(path.toAbsolutePath().getParent(), Libc.O_RDONLY)) {
                    directory.sync();
                }
                done = true;
                return path;
            } finally {
                if (!done) {
                    Files.deleteIfExists(path);
                }
            }
        }
    }

    private static Path copyName(Path image, int n) {
        return image.resolveSibling(image.getFileName() + ".metadata-" + n);
    }

    /** What is known of an image, without opening its base. Throws as {@link #open}. */
    public static ImageInfo info(Path image) throws IOException {
        StoreContext context = new StoreContext(true, bootId(), new GracePeriod(), false);
        try (ExceptionStore store = LockedImage.open(image, true).openStore(context, CacheMode.WRITEBACK)) {
            return store.info();
        }
    }

    /**
     * An image that nobody else can open in a way that conflicts, and that nothing was changed in yet.
     *
     * @param file holds the lock; the owner's to close until {@link #openStore}
     */
    private record LockedImage(Path image, NativeFile file, ExceptionStoreProvider plugin) {
        static LockedImage open(Path image, boolean readOnly) throws IOException {
            NativeFile file = openRegular(image, readOnly);
            try {
                ExceptionStoreProvider plugin = recognise(file, image);
                lock(file, image, !readOnly);
                return new LockedImage(image, file, plugin);
            } catch (IOException e) {
                closeAfter(e, file);
                throw e;
            }
        }

        /** Hands the file over to the store, also when this throws. */
        ExceptionStore openStore(StoreContext context, CacheMode cache) throws IOException {
            return plugin.open(cache.accessTo(file, context.readOnly()), image, context);
        }
    }

    private static NativeFile openRegular(Path image, boolean readOnly) throws IOException {
        // Before it is opened: that would wait for the writer of a pipe.
        requireRegular(image, Libc.statx(image));
        return NativeFile.open(image, readOnly ? Libc.O_RDONLY : Libc.O_RDWR);
    }

    private static void requireRegular(Path image, FileStatus status) throws UnsupportedFormatException {
        if (!status.isRegular()) {
            throw new UnsupportedFormatException(image + ": is not a regular file; an image must be one");
        }
    }

    private static ExceptionStoreProvider recognise(NativeFile file, Path image) throws IOException {
        requireRegular(image, file.status());
        ByteBuffer head =
                ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        file.read(head, 0);
        head.flip();
        for (ExceptionStoreProvider plugin : plugins()) {
            if (plugin.recognises(head)) {
                return plugin;
            }
        }
        boolean qcow2 = head.limit() >= 4 && head.getInt(0) == QCOW2_MAGIC;
        throw new UnsupportedFormatException(image
                + (qcow2
                        ? ": is a qcow2 image, for which there is no plug-in; see 'ucow plugins'"
                        : ": is not an image of any known format; make one with: ucow create --base " + image
                                + " NEW-IMAGE"));
    }

    private static void lock(NativeFile file, Path image, boolean exclusive) throws IOException {
        if (!file.tryLock(exclusive)) {
            throw new StoreInUseException(image + ": is in use by another process"
                    + (exclusive ? "" : ", which may be changing it") + "; see 'ucow list'");
        }
    }

    private static UUID bootId() throws IOException {
        return UUID.fromString(
                Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip());
    }

    private static void closeAfter(IOException failure, java.io.Closeable resource) {
        try {
            resource.close();
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** What lies behind a device that was created without a base. */
    private static final class ZeroOrigin implements Origin {
        @Override
        public long sizeBytes() {
            return 0;
        }

        @Override
        public void read(ByteBuffer dst, long offset) {
            Zeros.fill(dst);
        }

        @Override
        public void close() {}
    }
}
