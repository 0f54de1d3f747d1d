package io.ucow.store;

import io.ucow.sys.Errno;
import io.ucow.sys.FileStatus;
import io.ucow.sys.Libc;
import io.ucow.sys.NativeException;
import io.ucow.sys.NativeFile;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Freezes an image as a layer and puts an empty one in its place, with the layer as its base. The file itself becomes the
 * layer, under another name; nothing is copied.
 * <pre>
 *   1. close the image cleanly, make it durable, lock it against everybody else
 *   2. write the new store beside it, as .IMAGE.snapshot, durably
 *   3. link IMAGE as LAYER, sync the directory: a new store never lacks its base
 *   4. rename .IMAGE.snapshot to IMAGE, sync the directory
 * </pre>
 * Whatever ends it in between, IMAGE is the old image or the new one. At worst there is a name too many: the temporary one,
 * which the next snapshot takes over, or LAYER, as a second name of IMAGE.
 *
 * <p>Threading: stateless. Of two snapshots of one image at a time one is refused.
 */
final class Snapshot {
    private static final int FILE_MODE = 0600;

    /** What has been done so far; for tests, which look at what a kill would leave. */
    enum Step {
        CLOSED,
        STORE_WRITTEN,
        LAYER_LINKED,
        IMAGE_REPLACED
    }

    /** What the new image is to hold, when that is not what the layer holds. */
    interface Content {
        /**
         * Refuses a layer that it is not meant for.
         *
         * @param held what identifies all that the layer holds, if that is known
         */
        void requireBase(Path image, LayerOrigin frozen, Optional<ContentId> held) throws IOException;

        /** Size of its device. */
        long sizeBytes();

        /** What identifies it. */
        ContentId id();

        /** Writes to a device that shows the layer what differs; before that anything may turn out to be wrong. */
        void writeTo(CowDevice device) throws IOException;
    }

    /** Whose the image is from now on. */
    interface Owner {
        /** Takes over the new image. */
        void take(Images.LockedImage fresh) throws IOException;
    }

    private final Path image;
    private final Path layer;
    private final Path temporary;
    /** Null for what the layer holds. */
    private final Content content;

    private final Consumer<Step> observer;

    private Snapshot(Path image, Optional<Path> as, Content content, Consumer<Step> observer) throws IOException {
        this.image = image;
        this.layer = as.isPresent() ? named(as.get(), image) : firstFree(image);
        this.content = content;
        this.temporary = image.resolveSibling("." + image.getFileName() + ".snapshot");
        this.observer = observer;
    }

    /** As {@link Images#snapshot}. */
    static Path take(Path image, Optional<Path> as, Consumer<Step> observer) throws IOException {
        return take(image, as, null, observer);
    }

    /** The same, and the new image holds {@code content} by the time that it is in its place. */
    static Path take(Path image, Optional<Path> as, Content content, Consumer<Step> observer) throws IOException {
        Snapshot snapshot = new Snapshot(image.toRealPath(), as, content, observer);
        try (Images.LockedImage locked = Images.LockedImage.open(image, false)) {
            snapshot.run(locked, Images.LockedImage::close);
        }
        return snapshot.layer;
    }

    /**
     * The same of an image that is locked, and that the caller closes.
     *
     * @param owner is given the new image, locked, as soon as it is in its place, also if this throws afterwards; his to close
     */
    static Path take(Images.LockedImage locked, Optional<Path> as, Owner owner) throws IOException {
        Snapshot snapshot = new Snapshot(locked.image().toRealPath(), as, null, step -> {});
        snapshot.run(locked, owner);
        return snapshot.layer;
    }

    /** What an image records of its base is relative to its directory, so a layer stays in it. */
    private static Path named(Path layer, Path image) throws IOException {
        Path directory = layer.toAbsolutePath().getParent();
        if (directory == null || !Files.exists(directory) || !Files.isSameFile(directory, image.getParent())) {
            throw new IllegalArgumentException(
                    layer + ": a layer stays beside its image; name a file in " + image.getParent());
        }
        Path named = image.resolveSibling(layer.getFileName());
        if (Files.exists(named, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(named.toString());
        }
        return named;
    }

    /** {@code vm.cow} becomes {@code vm.1.cow}, or {@code vm.2.cow} if there is one. */
    private static Path firstFree(Path image) {
        String name = image.getFileName().toString();
        int dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length();
        for (int n = 1; ; n++) {
            Path layer = image.resolveSibling(name.substring(0, dot) + "." + n + name.substring(dot));
            if (!Files.exists(layer, LinkOption.NOFOLLOW_LINKS)) {
                return layer;
            }
        }
    }

    /** @param old locked to the end: nobody writes to what the new store takes for its base, nor reads it under this name */
    private void run(Images.LockedImage old, Owner owner) throws IOException {
        if (!Images.info(old).clean()) {
            Images.open(old.another(), new OpenOptions(false, CacheMode.WRITEBACK, false, false))
                    .close();
        }
        Optional<ContentId> held = old.plugin().contentId(old.file());
        StoreOptions kind = old.plugin().optionsOf(old.file(), image);
        try (LayerOrigin frozen = Images.openNewLayer(old.another())) {
            if (content != null) {
                content.requireBase(image, frozen, held);
            }
            observer.accept(Step.CLOSED);
            try (NativeFile file = claimTemporary(frozen.status())) {
                boolean replaced = false;
                try {
                    writeStore(file, frozen, kind);
                    observer.accept(Step.STORE_WRITTEN);
                    Images.LockedImage fresh = replaceImage(file, old);
                    replaced = true;
                    owner.take(fresh);
                    observer.accept(Step.IMAGE_REPLACED);
                } finally {
                    if (!replaced) {
                        Files.deleteIfExists(temporary);
                    }
                }
            }
        }
        Durable.sync(image.getParent());
    }

    /**
     * Makes the temporary file, or takes over one that a snapshot left behind, and locks out other snapshots.
     *
     * @throws StoreInUseException if another one is under way, or was since {@code frozen} was looked at
     */
    private NativeFile claimTemporary(FileStatus frozen) throws IOException {
        NativeFile file = createOrOpen();
        try {
            // The lock first: whoever had it may have renamed the file to IMAGE, or removed it.
            if (!file.tryLock(true) || !isAt(temporary, file.status()) || !isAt(image, frozen)) {
                throw new StoreInUseException(image + ": another snapshot of it is under way; try again");
            }
            file.truncate(0);
            return file;
        } catch (IOException e) {
            Images.closeAfter(e, file);
            throw e;
        }
    }

    private NativeFile createOrOpen() throws IOException {
        try {
            return NativeFile.create(temporary, FILE_MODE);
        } catch (NativeException e) {
            if (e.errno() != Errno.EEXIST) {
                throw e;
            }
            if (!Files.isRegularFile(temporary, LinkOption.NOFOLLOW_LINKS)) {
                throw new FileAlreadyExistsException(
                        temporary.toString(), null, "is in the way of a snapshot's file; remove it");
            }
            return NativeFile.open(temporary, Libc.O_RDWR);
        }
    }

    private static boolean isAt(Path path, FileStatus file) throws IOException {
        if (!Files.exists(path)) {
            return false;
        }
        return Libc.statx(path).isSameFile(file);
    }

    private void writeStore(NativeFile file, LayerOrigin frozen, StoreOptions kind) throws IOException {
        try {
            tryWriteStore(file, frozen, kind);
        } catch (IOException e) {
            if (Errno.of(e) != Errno.ENOSPC && !(e instanceof StoreFullException)) {
                throw e;
            }
            throw new StoreFullException(
                    image
                            + ": no space left for the new image that is to take its place; nothing was changed; make room",
                    e);
        }
    }

    private void tryWriteStore(NativeFile file, LayerOrigin frozen, StoreOptions kind) throws IOException {
        FileStatus own = file.status();
        FileStatus old = frozen.status();
        if (own.uid() != old.uid() || own.gid() != old.gid()) {
            Files.setAttribute(temporary, "unix:uid", old.uid());
            Files.setAttribute(temporary, "unix:gid", old.gid());
        }
        Files.setPosixFilePermissions(temporary, Files.getPosixFilePermissions(image));
        ImageInfo info = frozen.info();
        OriginReference base = frozen.reference(layer.getFileName().toString());
        ExceptionStoreProvider plugin = Images.plugin(info.format());
        if (content == null) {
            plugin.create(file, info.geometry().sizeBytes(), base, kind);
        } else {
            plugin.create(file, content.sizeBytes(), base, kind);
            writeContent(plugin, frozen);
            plugin.holdContent(file, content.id());
        }
    }

    private void writeContent(ExceptionStoreProvider plugin, LayerOrigin frozen) throws IOException {
        GracePeriod readers = new GracePeriod();
        StoreContext context = new StoreContext(false, Images.bootId(), readers, true);
        // A descriptor of its own, for the store closes it; the lock stays with the other.
        ExceptionStore store = plugin.open(NativeFile.open(temporary, Libc.O_RDWR), temporary, context);
        try (CowDevice device = new CowDevice(store, new LentOrigin(frozen), readers, false)) {
            content.writeTo(device);
        }
    }

    /** @return the new image, locked as {@code file} is, in the place of {@code old} */
    private Images.LockedImage replaceImage(NativeFile file, Images.LockedImage old) throws IOException {
        Images.LockedImage fresh = Images.LockedImage.ofNew(old.image(), file, old.plugin());
        boolean linked = false;
        boolean replaced = false;
        try {
            link();
            linked = true;
            Durable.sync(image.getParent());
            observer.accept(Step.LAYER_LINKED);
            Files.move(temporary, image, StandardCopyOption.ATOMIC_MOVE);
            replaced = true;
            return fresh;
        } finally {
            if (!replaced) {
                fresh.close();
                if (linked) {
                    Files.delete(layer);
                }
            }
        }
    }

    private void link() throws IOException {
        try {
            Files.createLink(layer, image);
        } catch (FileAlreadyExistsException e) {
            throw e;
        } catch (FileSystemException | UnsupportedOperationException e) {
            throw new IOException(
                    layer + ": " + image + " cannot be linked there, which a snapshot takes: " + e.getMessage(), e);
        }
    }
}
