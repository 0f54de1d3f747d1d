package io.ucow.cli.daemon;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.cli.text.RecordJson;
import io.ucow.fuse.ImageFile;
import io.ucow.store.BlockDevice;
import io.ucow.store.CompactReport;
import io.ucow.store.Compaction;
import io.ucow.store.ImageDevice;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.OnlineCommit;
import io.ucow.store.OpenOptions;
import io.ucow.store.ScrubListener;
import io.ucow.store.ScrubReport;
import io.ucow.store.SwappableDevice;
import io.ucow.store.table.DeviceTable;
import io.ucow.store.table.TablePrinter;
import io.ucow.sys.Libc;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One open device of a daemon, the file that shows it, and the images behind it.
 *
 * <p>Threading: any thread, until {@link #close}.
 */
final class ServedDevice implements Closeable {
    private static final Logger LOG = LoggerFactory.getLogger(ServedDevice.class);
    private static final String ATTRIBUTE_PREFIX = "user.ucow.";

    private final BlockDevice device;
    private final Supplier<DeviceTable> table;
    private final List<Store> stores;
    private final ImageFile file;
    private final OpenOptions options;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** While the image is changed as a whole. Guarded by lock. */
    private boolean changing;
    /** While that is a commit, which may take hours; nobody waits for one. Guarded by lock. */
    private boolean committing;

    private volatile boolean closing;

    /**
     * One of the images behind a device.
     *
     * @param ident what the device's table calls it
     * @param image its path, canonical
     * @param device the image, open; closed with the device in front of it
     * @param opened what was known of it when it was opened last
     */
    record Store(String ident, Path image, ImageDevice device, Supplier<ImageInfo> opened) {}

    /**
     * @param device what to serve; this object's to close
     * @param options how its images are opened; the cache mode decides whether writes are flushed before they are
     *     acknowledged
     * @param table the device as targets, at the time
     */
    ServedDevice(
            ServedFile file, BlockDevice device, OpenOptions options, Supplier<DeviceTable> table, List<Store> stores) {
        this.options = options;
        this.device = device;
        this.table = table;
        this.stores = List.copyOf(stores);
        this.file = new ImageFile(file.name(), device, options.cache(), attributes());
    }

    /** The file, for a transport. */
    ImageFile file() {
        return file;
    }

    /** The device behind {@code image}, if that is one of this device's. */
    Optional<ImageDevice> image(Path image) {
        return stores.stream()
                .filter(s -> s.image().equals(image))
                .map(Store::device)
                .findFirst();
    }

    /**
     * Freezes {@code image} as a layer while it is served, as {@link Images#snapshot}; requests wait meanwhile.
     *
     * @throws BusyException if the image is served read-only, or behind a device table
     */
    Path snapshot(Path image, Optional<Path> as) throws IOException {
        return change(image, "take the snapshot", served -> served.snapshot(as));
    }

    /**
     * Makes {@code image} larger while it is served; requests wait meanwhile. Of the size it has, nothing is done.
     *
     * @param fromBytes the size that it must have, if {@code sizeBytes} was reckoned from that
     * @throws BusyException if it would shrink or was resized by somebody else, or is served read-only, or behind a device table
     */
    void grow(Path image, OptionalLong fromBytes, long sizeBytes) throws IOException {
        change(image, "resize it", served -> {
            long now = served.sizeBytes();
            if (fromBytes.isPresent() && fromBytes.getAsLong() != now) {
                throw new BusyException(
                        image + ": another command has made it " + now + " bytes large meanwhile, and it had "
                                + fromBytes.getAsLong() + "; say again how much more it is to have");
            }
            if (sizeBytes < now) {
                throw new BusyException(image + ": is in use, and would shrink from " + now + " to " + sizeBytes
                        + " bytes; unmount or detach it, then resize it");
            }
            if (sizeBytes > now) {
                served.grow(sizeBytes);
            }
            return null;
        });
    }

    /** What is done to an image in use, by one command at a time. */
    private interface Change<T> {
        T applyTo(SwappableDevice served) throws IOException;
    }

    /** @param then what is to be done to {@code image}, for people */
    private <T> T change(Path image, String then, Change<T> made) throws IOException {
        SwappableDevice swappable = changeable(image, then);
        begin(image, then, false);
        try {
            return made.applyTo(swappable);
        } finally {
            end();
        }
    }

    /** Waits for the change under way, if there is one. @throws BusyException if that is a commit, or the image is closed */
    private void begin(Path image, String then, boolean commit) throws BusyException {
        lock.lock();
        try {
            while (changing && !committing && !closing) {
                changed.awaitUninterruptibly();
            }
            if (closing) {
                throw new BusyException(image + ": is being unmounted; " + then + " when that is done");
            }
            if (committing) {
                throw new BusyException(
                        image + ": is being committed by another command; " + then + " when that is done");
            }
            changing = true;
            committing = commit;
        } finally {
            lock.unlock();
        }
    }

    private void end() {
        lock.lock();
        try {
            changing = false;
            committing = false;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Merges {@code image} into its base while it is served, as {@link OnlineCommit#run}.
     *
     * @param progress told of how many further bytes have been dealt with
     * @throws BusyException if the image is served read-only, or behind a device table, or if it is closed meanwhile
     */
    void commit(Path image, LongConsumer progress) throws IOException {
        SwappableDevice swappable = changeable(image, "commit it");
        begin(image, "commit it", true);
        try {
            OnlineCommit.run(swappable, image, options, bytes -> {
                if (closing) {
                    throw new CancellationException();
                }
                progress.accept(bytes);
            });
        } catch (CancellationException e) {
            throw new BusyException(image
                    + ": was unmounted in the middle of a commit; nothing is lost, run it again: ucow commit " + image);
        } finally {
            end();
        }
    }

    /**
     * Makes {@code image} shorter while it is served, as {@link Images#compact}.
     *
     * @throws BusyException if the image is served read-only, or behind a device table
     */
    CompactReport compact(Path image, Compaction.Listener listener) throws IOException {
        SwappableDevice compacted = changeable(image, "compact it");
        // Requests wait for chunks that this thread moves, so it must not wait for memory that only they can make free.
        int r = Libc.setIoFlusher();
        if (r < 0) {
            LOG.debug("PR_SET_IO_FLUSHER refused errno={}", -r);
        }
        return compacted.compact(listener);
    }

    /**
     * Compares what {@code image} holds with its checksums while it is served, as {@link Images#scrub}.
     *
     * @throws BusyException if the image is served behind a device table
     */
    ScrubReport scrub(Path image, long bytesPerSecond, ScrubListener listener) throws IOException {
        return swappable(image, "scrub it").scrub(bytesPerSecond, listener);
    }

    /** Sees that a successor of this process can open the image, where that is the only one; throws else. */
    void requireReopenable() throws IOException {
        if (device instanceof SwappableDevice swappable) {
            swappable.requireReopenable();
        }
    }

    private SwappableDevice swappable(Path image, String then) throws BusyException {
        if (device instanceof SwappableDevice swappable) {
            return swappable;
        }
        throw new BusyException(image + ": is served by a device table; unmount it, then " + then);
    }

    private SwappableDevice changeable(Path image, String then) throws BusyException {
        SwappableDevice swappable = swappable(image, then);
        if (swappable.isReadOnly()) {
            throw new BusyException(image + ": is served read-only; unmount or detach it, then " + then);
        }
        return swappable;
    }

    /** Writes the device's current table: altered runs as {@code linear}. */
    void printTable(Appendable out) throws IOException {
        Map<String, ImageDevice> byIdent = new HashMap<>();
        stores.forEach(s -> byIdent.put(s.ident(), s.device()));
        new TablePrinter(out, false).printSplit(table.get(), cow -> byIdent.get(cow.ident())::forEachExtent);
    }

    /** Counters: those of {@link io.ucow.fuse.FileStats}, and for each image those of {@code DeviceStats}. */
    JsonObject stats() {
        JsonObject json = new JsonObject();
        json.put("sizeBytes", device.sizeBytes());
        json.put("readOnly", device.isReadOnly());
        json.putAll(RecordJson.of(file.stats()));
        JsonArray images = new JsonArray();
        for (Store store : stores) {
            JsonObject image = new JsonObject();
            image.put("image", store.image().toString());
            image.putAll(RecordJson.of(store.device().stats()));
            images.add(image);
        }
        json.put("stores", images);
        return json;
    }

    /** What {@code getfattr} shows of the file. */
    private Map<String, Supplier<String>> attributes() {
        Map<String, Supplier<String>> attributes = new HashMap<>();
        if (stores.size() == 1) {
            ImageDevice image = stores.get(0).device();
            Supplier<ImageInfo> info = stores.get(0).opened();
            put(attributes, "image", info, i -> i.image().toString());
            put(attributes, "base", info, i -> i.base().map(Path::toString).orElse(""));
            put(attributes, "format", info, ImageInfo::format);
            put(attributes, "uuid", info, ImageInfo::uuid);
            put(
                    attributes,
                    "chunk_size",
                    info,
                    i -> Integer.toString(i.geometry().chunkSize()));
            attributes.put(
                    ATTRIBUTE_PREFIX + "altered_chunks",
                    () -> Long.toString(image.stats().alteredChunks()));
        }
        return attributes;
    }

    private static void put(
            Map<String, Supplier<String>> attributes,
            String name,
            Supplier<ImageInfo> info,
            Function<ImageInfo, String> value) {
        attributes.put(ATTRIBUTE_PREFIX + name, () -> value.apply(info.get()));
    }

    @Override
    public void close() throws IOException {
        closing = true;
        lock.lock();
        try {
            while (changing) {
                changed.awaitUninterruptibly();
            }
            device.close();
        } finally {
            lock.unlock();
        }
    }
}
