package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Supplies the devices it was given, by path, and remembers what it was asked for. */
final class MemoryOpener implements TargetOpener {
    private final Map<Path, BlockDevice> devices = new LinkedHashMap<>();
    final List<StoreSpec> stores = new ArrayList<>();
    final List<Path> files = new ArrayList<>();

    MemoryOpener with(String path, BlockDevice device) {
        devices.put(Path.of(path), device);
        return this;
    }

    @Override
    public BlockDevice openStore(StoreSpec spec) throws IOException {
        stores.add(spec);
        return find(spec.store());
    }

    @Override
    public BlockDevice openLinear(Path device) throws IOException {
        files.add(device);
        return find(device);
    }

    private BlockDevice find(Path path) throws IOException {
        BlockDevice device = devices.get(path);
        if (device == null) {
            throw new FileNotFoundException(path.toString());
        }
        return device;
    }
}
