package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.UUID;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Creates, opens and examines images of any format for which there is a plug-in: the library's front door.
 *
 * <p>Threading: every method may be called from any thread.
 */
public final class Images {
    private static final Logger LOG = LoggerFactory.getLogger(Images.class);

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
     * @throws UnsupportedFormatException if no plug-in has the format's name, the base is an image that was not closed
     *     properly, or has as many images behind it as there may be
     * @throws StoreInUseException if the base is an image that is open for writing
     * @throws IllegalArgumentException if the format does not know an option, or cannot have its value
     */
    public static void create(CreateOptions options) throws IOException {
        ExceptionStoreProvider plugin = plugin(options.format());
        options.store().requireKnown(plugin.name(), plugin.options());
        try (BaseOrigin origin =
                options.base().isPresent() ? openNewBase(options.base().get(), Chain.fromNewImage()) : null) {
            OriginReference reference = origin == null
                    ? null
                    : origin.reference(
                            referencePath(options.base().get(), options.image()).toString());
            long size = options.sizeBytes().orElseGet(() -> origin.sizeBytes());
            create(plugin, options.image(), file -> plugin.create(file, size, reference, options.store()));
        }
    }

    static ExceptionStoreProvider plugin(String format) throws UnsupportedFormatException {
        return plugins().stream()
                .filter(p -> p.name().equals(format))
                .findFirst()
                .orElseThrow(() -> new UnsupportedFormatException("no plug-in for format '" + format + "'; known: "
                        + String.join(
                                ", ",
                                plugins().stream()
                                        .map(ExceptionStoreProvider::name)
                                        .toList())));
    }

    /**
     * Opens what is to be the base of an image: here alone is a file's content asked what it is.
     *
     * @param chain that image
     */
    static BaseOrigin openNewBase(Path base, Chain chain) throws IOException {
        boolean isImage;
        try (FileOrigin file = FileOrigin.openUnlocked(base)) {
            isImage = pluginOf(file.head()).isPresent();
        }
        return isImage ? openNewLayer(base, chain) : FileOrigin.open(base, CacheMode.WRITEBACK);
    }

    /** As the other, for an image that does not exist yet. */
    static LayerOrigin openNewLayer(Path image) throws IOException {
        return openNewLayer(image, Chain.fromNewImage());
    }

    /**
     * Opens an image that is to be the base of another, and makes it durable, its modification time included.
     *
     * @param chain that other image
     * @throws UnsupportedFormatException if it was not closed properly: after power loss it might be another; or if a
     *     commit of it was not finished, which will change it
     */
    private static LayerOrigin openNewLayer(Path image, Chain chain) throws IOException {
        chain.add(image, Libc.statx(image), image);
        return openNewLayer(LockedImage.open(image, true), chain);
    }

    /** The same of an image that nobody else has open, nor can open meanwhile. Takes {@code locked} over, also when this throws. */
    static LayerOrigin openNewLayer(LockedImage locked) throws IOException {
        Chain chain = Chain.fromNewImage();
        try {
            chain.add(locked.image(), locked.status(), locked.image());
        } catch (IOException e) {
            closeAfter(e, locked.file());
            throw e;
        }
        return openNewLayer(locked, chain);
    }

    private static LayerOrigin openNewLayer(LockedImage locked, Chain chain) throws IOException {
        Path image = locked.image();
        try {
            requireNoCommit(locked.plugin().origin(locked.file(), image), image);
        } catch (IOException e) {
            closeAfter(e, locked.file());
            throw e;
        }
        LayerOrigin layer = openLayer(locked, CacheMode.WRITEBACK, chain);
        try {
            if (!layer.info().clean()) {
                throw new UnsupportedFormatException(
                        image + ": was not closed properly, and a base must have been;" + " attach and detach it once");
            }
            Durable.sync(image);
            return layer;
        } catch (IOException e) {
            closeAfter(e, layer);
            throw e;
        }
    }

    /** @throws UnsupportedFormatException if a commit of {@code image} was not finished */
    static void requireNoCommit(OriginReference recorded, Path image) throws UnsupportedFormatException {
        if (recorded != null && recorded.isChanging()) {
            throw new UnsupportedFormatException(
                    image + ": a commit of it was not finished; run it again first: ucow commit " + image);
        }
    }

    /** Writes what a new image is to be. */
    interface NewContent {
        void writeTo(NativeFile file) throws IOException;
    }

    /** Makes a file, locked, and has it written; nothing is left behind when that fails. */
    static void create(ExceptionStoreProvider plugin, Path image, NewContent content) throws IOException {
        try (NativeFile file = NativeFile.createNew(image, FILE_MODE)) {
            boolean done = false;
            try {
                lock(plugin, file, image, true);
                content.writeTo(file);
                done = true;
            } finally {
                if (!done) {
                    Files.deleteIfExists(image);
                }
            }
        }
    }

    /** A base beside or below the image is recorded relative to it, so that the folder may move as a whole. */
    static Path referencePath(Path base, Path image) throws IOException {
        Path realBase = base.toRealPath();
        Path parent = OriginReference.fileOf(image).getParent().toRealPath();
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
        return open(LockedImage.open(image, options.readOnly()), options);
    }

    /** The same of an image that is locked. Takes {@code locked} over, also when this throws. */
    static CowDevice open(LockedImage locked, OpenOptions options) throws IOException {
        return open(locked, options, Chain.from(locked.status()));
    }

    /** Takes {@code locked} over, also when this throws. */
    private static CowDevice open(LockedImage locked, OpenOptions options, Chain chain) throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context;
        Origin origin;
        try {
            context = new StoreContext(options.readOnly(), bootId(), readers, options.background());
            // Before the store is opened, which writes.
            origin = openOrigin(
                    locked.plugin().origin(locked.file(), locked.image()), locked.image(), options.cache(), chain);
        } catch (IOException e) {
            closeAfter(e, locked.file());
            throw e;
        }
        try {
            CowDevice device =
                    new CowDevice(locked.openStore(context, options), origin, readers, options.detectZeroes());
            if (options.background()) {
                device.startPacking(locked.image().toString());
            }
            return device;
        } catch (IOException e) {
            closeAfter(e, origin);
            throw e;
        }
    }

    /** As {@link #open(Path, OpenOptions)}, with the default cache mode. */
    public static CowDevice open(Path image, boolean readOnly) throws IOException {
        return open(image, OpenOptions.of(readOnly));
    }

    /**
     * Opens what can be read as a disk, for reading only: an image over its base, or a raw file or block device as it is.
     *
     * @throws UnsupportedFormatException if it is an image for which there is no plug-in, or neither file nor block device
     * @throws IOException as {@link #open(Path, OpenOptions)} if it is an image
     */
    public static Origin openContent(Path path) throws IOException {
        return openContent(path, Optional.empty());
    }

    /**
     * The same of an internal snapshot.
     *
     * @param snapshot its id or name; empty for the current state
     * @throws UnsupportedFormatException also if there is a name, and {@code path} is no image
     */
    public static Origin openContent(Path path, Optional<String> snapshot) throws IOException {
        if (Libc.statx(path).isRegular()) {
            try (NativeFile file = NativeFile.open(path, Libc.O_RDONLY)) {
                if (pluginOf(headOf(file)).isPresent()) {
                    return new DeviceOrigin(open(path, OpenOptions.of(true).at(snapshot)));
                }
            }
        }
        if (snapshot.isPresent()) {
            throw new UnsupportedFormatException(path + ": is no image, and has no internal snapshots");
        }
        return FileOrigin.open(path, CacheMode.WRITEBACK);
    }

    static Origin openOrigin(OriginReference reference, Path image, CacheMode cache, Chain chain) throws IOException {
        if (reference == null) {
            return new ZeroOrigin();
        }
        BaseOrigin origin = openBase(reference, image, cache, chain);
        try {
            origin.requireSame(reference, image);
            return origin;
        } catch (IOException e) {
            closeAfter(e, origin);
            throw e;
        }
    }

    private static BaseOrigin openBase(OriginReference reference, Path image, CacheMode cache, Chain chain)
            throws IOException {
        Path base = reference.resolve(image);
        if (reference.isImage()) {
            // Before it is opened: an image behind itself would be found in use.
            chain.add(base, statusOfBase(base, image), image);
            return openLayer(lockLayer(base, image, true), cache, chain);
        }
        statusOfBase(base, image);
        try {
            return FileOrigin.open(base, cache);
        } catch (UnsupportedFormatException e) {
            throw new OriginChangedException(
                    base + ": base changed since " + image + " was created: it is neither a regular file nor a block"
                            + " device; restore the base, or create a new image on it",
                    e);
        }
    }

    static FileStatus statusOfBase(Path base, Path image) throws IOException {
        try {
            return Libc.statx(base);
        } catch (NativeException e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENOTDIR) {
                throw new OriginChangedException(
                        base + ": base of " + image + " is missing; move it back to that place, or say where it is now:"
                                + " ucow rebase --unsafe --base BASE " + image,
                        e);
            }
            throw e;
        }
    }

    /** @param readOnly how it is opened; it is locked as for reading in any case */
    static LockedImage lockLayer(Path layer, Path image, boolean readOnly) throws IOException {
        try {
            return LockedImage.open(layer, readOnly, false);
        } catch (UnsupportedFormatException e) {
            throw new OriginChangedException(
                    layer + ": base changed since " + image + " was created: it is no image any more; restore the base,"
                            + " or create a new image on it",
                    e);
        }
    }

    /** Takes {@code locked} over, also when this throws. */
    private static LayerOrigin openLayer(LockedImage locked, CacheMode cache, Chain chain) throws IOException {
        return new LayerOrigin(
                locked.image(), locked.status(), open(locked, new OpenOptions(true, cache, false), chain));
    }

    /**
     * Freezes an image as a layer, a file beside it, and goes on with an empty image of the same name and size on that
     * layer. When this fails, or the machine does, the image is what it was before, or what it is to be.
     *
     * @param as the layer's name; empty for the image's with the first free number before its extension
     * @return the layer
     * @throws StoreInUseException if the image is open anywhere
     * @throws FileAlreadyExistsException if there is a file of the layer's name
     * @throws IllegalArgumentException if the layer is not to be in the image's directory
     * @throws UnsupportedFormatException if the chain has as many images as there may be
     */
    public static Path snapshot(Path image, Optional<Path> as) throws IOException {
        return Snapshot.take(image, as, step -> {});
    }

    /**
     * Gives an image another size. What it gains reads as zeros, whatever the base has there; what it loses is given back.
     * When this fails, or the machine does, the image has the old size, or the new one.
     *
     * @param mayShrink whether {@code sizeBytes} may be less than now
     * @throws StoreInUseException if the image is open anywhere
     * @throws IllegalArgumentException if it cannot have that size, or would shrink and may not
     * @throws StoreFullException if there is no room for the map of that size
     * @throws UnsupportedFormatException if a commit of the image was not finished
     */
    public static void resize(Path image, long sizeBytes, boolean mayShrink) throws IOException {
        try (LockedImage locked = LockedImage.open(image, false)) {
            resize(locked, sizeBytes, mayShrink);
        }
    }

    /** The same of an image that is locked, and that the caller closes. */
    static void resize(LockedImage locked, long sizeBytes, boolean mayShrink) throws IOException {
        try {
            tryResize(locked, sizeBytes, mayShrink);
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC || e instanceof StoreFullException) {
                throw e;
            }
            throw new StoreFullException(
                    locked.image() + ": no space left for what a size of " + sizeBytes
                            + " bytes takes; it holds what it held; make room, and run it again",
                    e);
        }
    }

    private static void tryResize(LockedImage locked, long sizeBytes, boolean mayShrink) throws IOException {
        ExceptionStoreProvider plugin = locked.plugin();
        NativeFile file = locked.file();
        Path image = locked.image();
        if (plugin.contentId(file).isEmpty() || hasTailToPrepare(info(locked))) {
            OpenOptions toPrepare = new OpenOptions(false, CacheMode.WRITEBACK, false, false);
            try (CowDevice device = open(locked.another(), toPrepare)) {
                device.prepareTail();
            }
        }
        OriginReference recorded = plugin.origin(file, image);
        requireNoCommit(recorded, image);
        try (Origin origin = openOrigin(recorded, image, CacheMode.WRITEBACK, Chain.from(locked.status()))) {
            plugin.resize(file, image, bootId(), origin, sizeBytes, mayShrink);
        }
    }

    /** True where more may have to be done about a last chunk that is a part of one than to write past the device's end. */
    private static boolean hasTailToPrepare(ImageInfo info) {
        return info.compression() != Compression.NONE || info.checksums();
    }

    /**
     * Merges an image into its base, which holds afterwards what the image's device did, and leaves the image empty on it. A
     * base that is larger than the device keeps what it has past the device's end; a regular file that is smaller grows.
     * Whatever ends this in between, the image can be opened, holds what it held, and can be committed again.
     *
     * @param progress told of how many further bytes of the device have been dealt with; all calls together make its size
     * @throws StoreInUseException if the image, or the base, is open anywhere
     * @throws StoreFullException if the base cannot take all of it
     * @throws UnsupportedFormatException if the image has no base, or cannot be written to
     * @throws OriginChangedException if its base is not the one it was made on
     */
    public static void commit(Path image, LongConsumer progress) throws IOException {
        Commit.run(image, progress, step -> {});
    }

    /**
     * Puts an image on another base, or on none, with the content that it has: what the new base has otherwise is copied
     * into the image. When this fails, or the machine does, the image holds the same on the base that it had.
     *
     * @param progress told of how many further bytes have been compared; all calls together make the device's size
     * @throws StoreInUseException if the image is open anywhere, or the new base for writing
     * @throws UnsupportedFormatException if the new base is on the image itself, or the chain would be too long; if a commit
     *     of the image was not finished
     * @throws OriginChangedException if its base is not the one it was made on
     * @throws StoreFullException if there is no room for what the new base lacks
     */
    public static void rebase(Path image, Optional<Path> base, LongConsumer progress) throws IOException {
        Rebase.run(image, base, progress);
    }

    /**
     * Puts an image on another base, or on none, whatever they hold: for a base that was moved, or that is known to hold
     * the right thing. The base that it had need not be there.
     *
     * @throws IOException as {@link #rebase}, as far as the new base and the image itself are concerned
     */
    public static void rebaseUnsafely(Path image, Optional<Path> base) throws IOException {
        Rebase.runUnsafely(image, base);
    }

    /**
     * What is known of the images behind one, from the top down; throws as {@link #info}.
     *
     * @throws OriginChangedException if one is missing, or the base of itself
     */
    public static List<ImageInfo> layersBelow(ImageInfo top) throws IOException {
        Chain chain = Chain.from(Libc.statx(top.image()));
        List<ImageInfo> layers = new ArrayList<>();
        ImageInfo above = top;
        while (above.baseIsImage()) {
            Path base = above.base().orElseThrow();
            chain.add(base, statusOfBase(base, above.image()), above.image());
            above = info(base);
            layers.add(above);
        }
        return layers;
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

    /**
     * Makes an image's file as short as what it holds allows. When this fails, or the machine does, the image holds what it
     * held.
     *
     * @throws UnsupportedFormatException if images of its format cannot be compacted
     * @throws IOException as {@link #open(Path, OpenOptions)}
     */
    public static CompactReport compact(Path image, Compaction.Listener listener) throws IOException {
        CompactReport report;
        try (CowDevice device = open(image, false)) {
            report = device.compact(listener);
        }
        // Closing it gives back a little more.
        FileStatus now = Libc.statx(image);
        return new CompactReport(
                report.movedBytes(),
                report.sizeBefore(),
                now.sizeBytes(),
                report.allocatedBefore(),
                now.allocatedBytes());
    }

    /**
     * Compares all that an image holds with its checksums. Where some are not known it is read a second time, opened for
     * writing, and they are noted; else the file stays as it is.
     *
     * @param readOnly true to change nothing in any case: whatever is on the image may be in use then
     * @param bytesPerSecond what to read at the most; 0 for as fast as it goes
     * @throws UnsupportedFormatException if there are no checksums
     * @throws IOException as {@link #open(Path, OpenOptions)}
     */
    public static ScrubReport scrub(Path image, boolean readOnly, long bytesPerSecond, ScrubListener listener)
            throws IOException {
        ScrubReport report = scrub(image, OpenOptions.of(true), bytesPerSecond, listener);
        if (readOnly || report.learnedBytes() == 0) {
            return report;
        }
        OpenOptions toLearn = new OpenOptions(false, CacheMode.WRITEBACK, false, false);
        return scrub(image, toLearn, bytesPerSecond, new ScrubListener() {
            @Override
            public void progress(long checkedBytes, long totalBytes) {
                listener.progress(totalBytes + checkedBytes, 2 * totalBytes);
            }

            @Override
            public void damaged(long guestOffset, long lengthBytes) {
                // It was told of already.
            }
        });
    }

    private static ScrubReport scrub(Path image, OpenOptions options, long bytesPerSecond, ScrubListener listener)
            throws IOException {
        try (CowDevice device = open(image, options)) {
            return device.scrub(bytesPerSecond, listener);
        }
    }

    private static Path copyMetadata(Path image, MetadataCopy.Writer content) throws IOException {
        int n = 1;
        while (Files.exists(copyName(image, n), LinkOption.NOFOLLOW_LINKS)) {
            n++;
        }
        Path path = copyName(image, n);
        try (NativeFile copy = NativeFile.createNew(path, FILE_MODE)) {
            boolean done = false;
            try {
                content.writeTo(copy);
                copy.sync();
                Durable.sync(path.toAbsolutePath().getParent());
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
        return info(image, Optional.empty());
    }

    /**
     * The same of an internal snapshot.
     *
     * @param snapshot its id or name; empty for the current state
     */
    public static ImageInfo info(Path image, Optional<String> snapshot) throws IOException {
        try (ExceptionStore store = openStore(image, OpenOptions.of(true).at(snapshot))) {
            return store.info();
        }
    }

    /** What the base of {@code image}, which has one, is: {@code "raw"}, a plug-in's name, or {@code "unknown"} image. */
    public static String baseFormat(ImageInfo image) {
        if (!image.baseIsImage()) {
            return "raw";
        }
        try (NativeFile file = openRegular(image.base().orElseThrow(), true)) {
            return pluginOf(headOf(file)).map(ExceptionStoreProvider::name).orElse("unknown");
        } catch (IOException e) {
            LOG.debug("base cannot be looked at image={}", image.image(), e);
            return "unknown";
        }
    }

    /** Opens an image's store, read-only, and not its base; for who looks at its map. */
    static ExceptionStore openStore(Path image) throws IOException {
        return openStore(image, OpenOptions.of(true));
    }

    private static ExceptionStore openStore(Path image, OpenOptions options) throws IOException {
        return openToLook(LockedImage.open(image, true), options);
    }

    private static ExceptionStore openToLook(LockedImage locked, OpenOptions options) throws IOException {
        StoreContext context = new StoreContext(true, bootId(), new GracePeriod(), false);
        return locked.openStore(context, options);
    }

    /** As {@link #info(Path)}, of an image that is locked, and that the caller closes. */
    static ImageInfo info(LockedImage locked) throws IOException {
        try (ExceptionStore store = openToLook(locked.another(), OpenOptions.of(true))) {
            return store.info();
        }
    }

    /** What identifies all that an image holds, see {@link ExceptionStoreProvider#contentId}. Throws as {@link #info}. */
    public static Optional<ContentId> contentId(Path image) throws IOException {
        LockedImage locked = LockedImage.open(image, true);
        try (NativeFile file = locked.file()) {
            return locked.plugin().contentId(file);
        }
    }

    /** Notes that an image holds what {@code id} stands for. Throws as {@link ExceptionStoreProvider#holdContent}. */
    static void holdContent(Path image, ContentId id) throws IOException {
        LockedImage locked = LockedImage.open(image, false);
        try (NativeFile file = locked.file()) {
            locked.plugin().holdContent(file, id);
        }
    }

    /**
     * An image that nobody else can open in a way that conflicts, and that nothing was changed in yet.
     *
     * @param file holds the lock; the owner's to close until {@link #openStore}
     * @param status of the file
     */
    record LockedImage(Path image, NativeFile file, FileStatus status, ExceptionStoreProvider plugin)
            implements Closeable {
        static LockedImage open(Path image, boolean readOnly) throws IOException {
            return open(image, readOnly, !readOnly);
        }

        private static LockedImage open(Path image, boolean readOnly, boolean exclusive) throws IOException {
            NativeFile file = openRegular(image, readOnly);
            try {
                ExceptionStoreProvider plugin = recognise(file, image);
                lock(plugin, file, image, exclusive);
                // Not before it is locked: until then somebody may be writing to it.
                return new LockedImage(image, file, file.status(), plugin);
            } catch (IOException e) {
                closeAfter(e, file);
                throw e;
            }
        }

        /** A new file that is {@code image}, or about to be, locked exclusively; the lock is held until both are closed. */
        static LockedImage ofNew(Path image, NativeFile file, ExceptionStoreProvider plugin) throws IOException {
            return of(image, file.another(), plugin);
        }

        /** The same image once more, the caller's to close: the lock is held until the last one is closed. */
        LockedImage another() throws IOException {
            return of(image, file.another(), plugin);
        }

        private static LockedImage of(Path image, NativeFile file, ExceptionStoreProvider plugin) throws IOException {
            try {
                return new LockedImage(image, file, file.status(), plugin);
            } catch (IOException e) {
                closeAfter(e, file);
                throw e;
            }
        }

        /** Has the lock be one for all that is done to the image, or one for reading; nobody gets in between. */
        void relock(boolean exclusive) throws IOException {
            Images.lock(plugin, file, image, exclusive);
        }

        @Override
        public void close() throws IOException {
            file.close();
        }

        /** Hands the file over to the store, also when this throws. */
        ExceptionStore openStore(StoreContext context, OpenOptions options) throws IOException {
            PositionalFile accessed = options.cache().accessTo(file, context.readOnly());
            return options.snapshot().isPresent()
                    ? plugin.openSnapshot(accessed, image, options.snapshot().get(), context)
                    : plugin.open(accessed, image, context);
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

    static ExceptionStoreProvider recognise(NativeFile file, Path image) throws IOException {
        requireRegular(image, file.status());
        return pluginOf(headOf(file))
                .orElseThrow(() -> new UnsupportedFormatException(
                        image + ": is not an image of any known format; make one with: ucow create --base " + image
                                + " NEW-IMAGE"));
    }

    private static ByteBuffer headOf(NativeFile file) throws IOException {
        ByteBuffer head =
                ByteBuffer.allocateDirect(ExceptionStoreProvider.HEAD_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        file.read(head, 0);
        return head.flip();
    }

    private static Optional<ExceptionStoreProvider> pluginOf(ByteBuffer head) {
        return plugins().stream().filter(plugin -> plugin.recognises(head)).findFirst();
    }

    private static void lock(ExceptionStoreProvider plugin, NativeFile file, Path image, boolean exclusive)
            throws IOException {
        if (!plugin.tryLock(file, exclusive)) {
            throw new StoreInUseException(image + ": is in use by another process"
                    + (exclusive ? ", or the base of an image that is" : ", which may be changing it")
                    + "; see 'ucow list'");
        }
    }

    static UUID bootId() throws IOException {
        return UUID.fromString(
                Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip());
    }

    static void closeAfter(IOException failure, Closeable resource) {
        try {
            resource.close();
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** What lies behind a device that was created without a base. */
    static final class ZeroOrigin implements Origin {
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
