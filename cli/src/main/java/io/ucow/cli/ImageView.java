package io.ucow.cli;

import io.ucow.cli.daemon.Daemons;
import io.ucow.cli.text.ImageJson;
import io.ucow.cli.text.LineSink;
import io.ucow.store.CowDevice;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.MapExtent;
import io.ucow.store.OpenOptions;
import io.ucow.store.table.DeviceTable;
import io.ucow.store.table.TablePrinter;
import io.ucow.store.table.Target;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/** An image to look at: through the daemon that has it open, or else the file itself, read-only. */
interface ImageView {
    /** What is known of it. */
    ImageInfo info() throws IOException;

    /** Passes each run of it on, in order, without gaps. */
    void forEachExtent(Consumer<MapExtent> visitor) throws IOException;

    /** Passes each line of its device's table on. */
    void forEachTableLine(Consumer<String> visitor) throws IOException;

    /**
     * The image that {@code path} means: an image, or what it is served as, a file in a mount or a loop device.
     *
     * @throws IOException if there is none
     */
    static ImageView of(Path path) throws IOException {
        return of(path, Optional.empty());
    }

    /**
     * The same of an internal snapshot, which is looked at in the file itself.
     *
     * @param snapshot its id or name; empty for the current state
     */
    static ImageView of(Path path, Optional<String> snapshot) throws IOException {
        if (snapshot.isPresent()) {
            ImageFiles.requireImage(path);
            return new Closed(path, snapshot);
        }
        Daemons daemons = Daemons.ofUser();
        Optional<Daemons.ServedImage> served = daemons.findImage(path);
        if (served.isPresent()) {
            return new Served(daemons, served.get());
        }
        ImageFiles.requireImage(path);
        return new Closed(path, Optional.empty());
    }

    /** One that a daemon has open. */
    record Served(Daemons daemons, Daemons.ServedImage served) implements ImageView {
        @Override
        public ImageInfo info() throws IOException {
            return daemons.info(served);
        }

        @Override
        public void forEachExtent(Consumer<MapExtent> visitor) throws IOException {
            daemons.map(served, json -> visitor.accept(ImageJson.toExtent(json)));
        }

        @Override
        public void forEachTableLine(Consumer<String> visitor) throws IOException {
            daemons.table(served.device(), visitor);
        }
    }

    /** One that no daemon of this user has open. */
    record Closed(Path image, Optional<String> snapshot) implements ImageView {
        @Override
        public ImageInfo info() throws IOException {
            return Images.info(image, snapshot);
        }

        @Override
        public void forEachExtent(Consumer<MapExtent> visitor) throws IOException {
            try (CowDevice device = Images.open(image, OpenOptions.of(true).at(snapshot))) {
                device.forEachExtent(visitor);
            }
        }

        @Override
        public void forEachTableLine(Consumer<String> visitor) throws IOException {
            try (CowDevice device = Images.open(image, OpenOptions.of(true).at(snapshot))) {
                String ident = image.getFileName().toString();
                DeviceTable table = new DeviceTable(ident, List.of(Target.Cow.of(ident, device.info())));
                new TablePrinter(new LineSink(visitor), false).printSplit(table, cow -> device::forEachExtent);
            }
        }
    }
}
