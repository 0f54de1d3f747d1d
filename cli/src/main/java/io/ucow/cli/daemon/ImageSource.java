package io.ucow.cli.daemon;

import io.ucow.cli.daemon.ServedDevice.Store;
import io.ucow.store.OpenOptions;
import io.ucow.store.SwappableDevice;
import io.ucow.store.table.DeviceTable;
import io.ucow.store.table.Target;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Images, each a device of its own, named after its file. */
final class ImageSource implements DeviceSource {
    private final List<ServedFile> files;
    private final OpenOptions options;

    private ImageSource(List<ServedFile> files, OpenOptions options) {
        this.files = List.copyOf(files);
        this.options = options;
    }

    /** @throws FileAlreadyExistsException if two images would become one file */
    static ImageSource of(MountSpec spec) throws IOException {
        Map<String, Path> byName = new HashMap<>();
        List<ServedFile> files = new ArrayList<>();
        for (Path image : spec.images()) {
            String name = nameOf(image);
            Path other = byName.putIfAbsent(name, image);
            if (other != null) {
                throw new FileAlreadyExistsException(
                        image.toString(),
                        null,
                        "would be the same file '" + name + "' as " + other + "; mount it elsewhere, or rename one");
            }
            files.add(new ServedFile(name, List.of(CanonicalPath.of(image)), Optional.empty()));
        }
        return new ImageSource(files, spec.openOptions());
    }

    /** The image's name without its last extension: {@code vm1.cow} is {@code vm1}, {@code .cow} stays. */
    static String nameOf(Path image) {
        String name = image.getFileName().toString();
        int dot = name.lastIndexOf('.');
        return dot > 0 ? name.substring(0, dot) : name;
    }

    @Override
    public List<ServedFile> files() {
        return files;
    }

    @Override
    public List<ServedDevice> open() throws IOException {
        List<ServedDevice> devices = new ArrayList<>();
        try {
            for (ServedFile file : files) {
                devices.add(open(file));
            }
            return devices;
        } catch (IOException | RuntimeException e) {
            Closing.after(e, devices);
            throw e;
        }
    }

    private ServedDevice open(ServedFile file) throws IOException {
        Path image = file.images().get(0);
        SwappableDevice device = SwappableDevice.open(image, options);
        Store store = new Store(file.name(), image, device, device::opened);
        return new ServedDevice(file, device, options, () -> table(file, device), List.of(store));
    }

    private static DeviceTable table(ServedFile file, SwappableDevice device) {
        return new DeviceTable(file.name(), List.of(Target.Cow.of(file.name(), device.opened())));
    }
}
