package io.ucow.qcow2;

import io.ucow.store.CacheMode;
import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.DeviceCopier;
import io.ucow.store.ExceptionStore;
import io.ucow.store.ExceptionStoreProvider;
import io.ucow.store.GracePeriod;
import io.ucow.store.MetadataCopy;
import io.ucow.store.Origin;
import io.ucow.store.OriginReference;
import io.ucow.store.RepairReport;
import io.ucow.store.StoreContext;
import io.ucow.store.StoreInUseException;
import io.ucow.store.StoreOptions;
import io.ucow.store.UnsupportedFormatException;
import io.ucow.sys.DirectFile;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeFile;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * QEMU's format, versions 2 and 3. What is read and not written {@link Writer#requireWritable} names.
 *
 * <p>Threading: stateless.
 */
public final class Qcow2Format implements ExceptionStoreProvider {
    private static final Logger LOG = LoggerFactory.getLogger(Qcow2Format.class);

    static final String NAME = "qcow2";
    /** Among an image's details. */
    static final String EXTENDED_L2 = "extended L2";

    private static final int DATA_FILE_MODE = 0644;

    private final int maxLogBytes;

    /** Called by {@link java.util.ServiceLoader}. */
    public Qcow2Format() {
        this(LogExtension.MAX_BYTES);
    }

    /** @param maxLogBytes what an image's log of pending entries may have, at least a cluster's */
    Qcow2Format(int maxLogBytes) {
        this.maxLogBytes = maxLogBytes;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "QEMU's image format: versions 2 and 3, compressed clusters, snapshots, extended L2, external data files";
    }

    @Override
    public boolean recognises(ByteBuffer head) {
        return Header.hasMagic(head);
    }

    @Override
    public boolean tryLock(NativeFile file, boolean exclusive) throws IOException {
        return QemuLock.tryLock(file, exclusive);
    }

    @Override
    public List<String> options() {
        return Stream.concat(ImageOptions.NAMES.stream(), ImageOptions.OF_EMPTY.stream())
                .toList();
    }

    @Override
    public void create(PositionalFile file, long sizeBytes, OriginReference origin, StoreOptions options)
            throws IOException {
        ImageOptions read = ImageOptions.of(options);
        requireBaseGoesWith(read, origin);
        if (read.dataFile().isEmpty()) {
            write(new NewImage(file, sizeBytes, read), read, origin);
            return;
        }
        // QEMU takes a relative name for one relative to its own directory, not to the image's.
        Path path = Path.of(read.dataFile().get()).toAbsolutePath();
        try (NativeFile data = NativeFile.createNew(path, DATA_FILE_MODE)) {
            boolean done = false;
            try {
                NewImage image = new NewImage(file, data, sizeBytes, read);
                data.truncate(image.sizeBytes());
                write(image, read, origin);
                done = true;
            } finally {
                if (!done) {
                    Files.deleteIfExists(path);
                }
            }
        }
    }

    private static void requireBaseGoesWith(ImageOptions options, OriginReference origin) {
        if (origin == null) {
            return;
        }
        if (options.dataFileRaw()) {
            throw new IllegalArgumentException("a raw data file holds all of the disk: " + ImageOptions.DATA_FILE_RAW
                    + " and a base exclude each other");
        }
        if (options.preallocation() != ImageOptions.Preallocation.OFF && !options.extendedL2()) {
            throw new IllegalArgumentException(ImageOptions.PREALLOCATION + " and a base go together with "
                    + ImageOptions.EXTENDED_L2 + "=on only");
        }
    }

    private static void write(NewImage image, ImageOptions options, OriginReference origin) throws IOException {
        if (options.preallocation() != ImageOptions.Preallocation.OFF) {
            image.preallocate(options.preallocation());
        } else if (options.dataFileRaw()) {
            // As QEMU: then it is the disk for whoever writes to it, too, as long as the image is not in use.
            image.preallocate(ImageOptions.Preallocation.METADATA);
        }
        image.complete(origin);
    }

    @Override
    public Optional<DeviceCopier> copier() {
        return Optional.of(new ImageCopier());
    }

    @Override
    public StoreOptions optionsOf(PositionalFile file, Path image) throws IOException {
        return ImageOptions.like(Qcow2Image.read(file, image).header());
    }

    @Override
    public OriginReference origin(PositionalFile file, Path image) throws IOException {
        return Qcow2Image.read(file, image).origin();
    }

    /**
     * One write of the header. That a commit has begun is not recorded: an image does not say what identifies its base, so it
     * opens with whatever has become of that. An image is emptied table by table, each of which shows the same base as the
     * whole image.
     */
    @Override
    public void setOrigin(PositionalFile file, Path image, OriginReference origin, boolean emptied, UUID bootId)
            throws IOException {
        Qcow2Image found = Qcow2Image.read(file, image);
        if (emptied) {
            new LeakedClusters(file, found).empty();
        } else if (origin != null && origin.isChanging()) {
            Writer.requireWritable(found);
        } else {
            BackingName.record(file, found, origin);
        }
    }

    @Override
    public ExceptionStore open(PositionalFile file, Path image, StoreContext context) throws IOException {
        return open(file, () -> Qcow2Image.read(file, image), context);
    }

    @Override
    public ExceptionStore openSnapshot(PositionalFile file, Path image, String snapshot, StoreContext context)
            throws IOException {
        return open(file, () -> Qcow2Image.read(file, image).at(snapshot, file), context);
    }

    /** What is to be opened. */
    private interface Disk {
        Qcow2Image read() throws IOException;
    }

    private ExceptionStore open(PositionalFile file, Disk disk, StoreContext context) throws IOException {
        PositionalFile data = file;
        boolean done = false;
        try {
            Qcow2Image found = disk.read();
            if (!context.readOnly()) {
                Writer.requireWritable(found);
            }
            data = dataOf(file, found, context.readOnly());
            ExceptionStore store = new Qcow2Store(file, data, found, context, maxLogBytes);
            done = true;
            return store;
        } finally {
            if (!done) {
                try (file) {
                    if (data != file) {
                        data.close();
                    }
                }
            }
        }
    }

    /**
     * Where the guest's clusters are: {@code file}, or an external data file, which is opened as the image is, and locked as
     * the image is locked.
     */
    private static PositionalFile dataOf(PositionalFile file, Qcow2Image image, boolean readOnly) throws IOException {
        if (!image.header().hasExternalData()) {
            return file;
        }
        String name = image.extensions()
                .dataFile()
                .orElseThrow(() -> new UnsupportedFormatException(
                        image.image() + ": does not say where its external data file is"));
        Path path = OriginReference.ofPath(BackingFile.path(name, image.image()), false)
                .resolve(image.image());
        NativeFile data = NativeFile.open(path, readOnly ? Libc.O_RDONLY : Libc.O_RDWR);
        boolean locked = false;
        try {
            locked = QemuLock.tryLock(data, !readOnly);
        } finally {
            if (!locked) {
                data.close();
            }
        }
        if (!locked) {
            throw new StoreInUseException(path + ": external data file of " + image.image()
                    + ", is in use by another process"
                    + (readOnly ? ", which may be changing it" : ""));
        }
        CacheMode cache = file instanceof DirectFile ? CacheMode.NONE : CacheMode.WRITEBACK;
        return cache.accessTo(data, readOnly);
    }

    @Override
    public CheckReport check(PositionalFile file, Path image, UUID bootId) throws IOException {
        try {
            return new Qcow2Check(file, Qcow2Image.read(file, image), bootId).run();
        } catch (CorruptStoreException e) {
            return new CheckReport(List.of(e.getMessage()), 0, 0);
        }
    }

    @Override
    public RepairReport repair(PositionalFile file, Path image, UUID bootId, MetadataCopy copy) throws IOException {
        try {
            settleLog(file, image, bootId);
        } catch (CorruptStoreException e) {
            return RepairReport.refused(check(file, image, bootId), e.getMessage());
        }
        CheckReport found = check(file, image, bootId);
        try {
            return new Qcow2Repair(file, Qcow2Image.readToRepair(file, image), copy).run(found);
        } catch (CorruptStoreException e) {
            return RepairReport.refused(found, e.getMessage());
        }
    }

    /** Writes to the tables what a killed process of this boot left, so that there is no log; else takes a void one away. */
    private void settleLog(PositionalFile file, Path image, UUID bootId) throws IOException {
        Qcow2Image found = Qcow2Image.readToRepair(file, image);
        if ((found.header().autoclearFeatures() & Header.PENDING_LOG) == 0) {
            return;
        }
        try {
            Writer.requireWritable(found);
            settleLog(file, found, new StoreContext(false, bootId, new GracePeriod(), false));
        } catch (CorruptStoreException | UnsupportedFormatException e) {
            LOG.warn("what was not flushed before a kill is given up image={}", image, e);
            LogExtension.withdraw(file, found);
            file.sync();
        }
    }

    private void settleLog(PositionalFile file, Qcow2Image image, StoreContext context) throws IOException {
        withData(file, image, data -> new Qcow2Store(file, data, image, context, maxLogBytes).release());
    }

    /** What is done to an image and the file that has its data. */
    private interface Work {
        void on(PositionalFile data) throws IOException;
    }

    private static void withData(PositionalFile file, Qcow2Image image, Work work) throws IOException {
        PositionalFile data = dataOf(file, image, false);
        try {
            work.on(data);
        } finally {
            if (data != file) {
                data.close();
            }
        }
    }

    @Override
    public void resize(PositionalFile file, Path image, UUID bootId, Origin origin, long sizeBytes, boolean mayShrink)
            throws IOException {
        settleLog(file, image, bootId);
        withData(file, Qcow2Image.read(file, image), data -> {
            if (data != file && !Libc.statx(Path.of(data.name())).isRegular()) {
                throw new UnsupportedFormatException(
                        image + ": its data file " + data.name() + " is no regular file, and has the size it has");
            }
            new Qcow2Resize(file, data, image, bootId, origin).run(sizeBytes, mayShrink);
        });
    }
}
