package io.ucow.cli.daemon;

import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.ImageInfo;
import io.ucow.store.OpenOptions;
import io.ucow.store.table.DeviceTable;
import io.ucow.store.table.ImageOpener;
import io.ucow.store.table.TableDevice;
import io.ucow.store.table.TableDevices;
import io.ucow.store.table.TableParser;
import io.ucow.store.table.Target;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A device table, each device named as it says. */
final class TableSource implements DeviceSource {
    /** The file's name if the table's lines bear none. */
    private static final String DEFAULT_NAME = "disk";

    private final List<DeviceTable> tables;
    private final List<ServedFile> files;
    private final OpenOptions options;

    private TableSource(List<DeviceTable> tables, List<ServedFile> files, OpenOptions options) {
        this.tables = tables;
        this.files = List.copyOf(files);
        this.options = options;
    }

    static TableSource of(MountSpec spec) throws IOException {
        List<DeviceTable> tables =
                TableParser.parse(new StringReader(spec.table().orElseThrow()), spec.tableName(), DEFAULT_NAME);
        List<ServedFile> files = new ArrayList<>();
        for (DeviceTable table : tables) {
            List<Path> images = new ArrayList<>(stores(table).values());
            files.add(new ServedFile(table.name(), images, Optional.empty()));
        }
        return new TableSource(tables, files, spec.openOptions());
    }

    /** Canonical path of each store of {@code table}, by ident. */
    private static Map<String, Path> stores(DeviceTable table) throws IOException {
        Map<String, Path> stores = new LinkedHashMap<>();
        for (Target target : table.targets()) {
            if (target instanceof Target.Cow cow) {
                stores.put(cow.ident(), CanonicalPath.of(cow.store()));
            }
        }
        return stores;
    }

    @Override
    public List<ServedFile> files() {
        return files;
    }

    @Override
    public List<ServedDevice> open() throws IOException {
        Map<String, TableDevice> opened =
                TableDevices.open(tables, new ImageOpener(options, CreateOptions.DEFAULT_FORMAT));
        try {
            List<ServedDevice> devices = new ArrayList<>();
            for (ServedFile file : files) {
                TableDevice device = opened.get(file.name());
                devices.add(new ServedDevice(file, device, options, device::table, stores(device)));
            }
            return devices;
        } catch (IOException | RuntimeException e) {
            Closing.after(e, opened.values());
            throw e;
        }
    }

    private static List<ServedDevice.Store> stores(TableDevice device) throws IOException {
        Map<String, Path> paths = stores(device.table());
        List<ServedDevice.Store> stores = new ArrayList<>();
        for (var store : device.stores().entrySet()) {
            CowDevice image = (CowDevice) store.getValue();
            ImageInfo info = image.info();
            stores.add(new ServedDevice.Store(store.getKey(), paths.get(store.getKey()), image, () -> info));
        }
        return stores;
    }
}
