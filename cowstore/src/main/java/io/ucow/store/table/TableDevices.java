package io.ucow.store.table;

import io.ucow.store.BlockDevice;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Opens what tables name, each store and file once, and puts devices together from it. */
public final class TableDevices {
    private final List<DeviceTable> tables;
    private final TargetOpener opener;
    private final Map<Path, Backing> files = new LinkedHashMap<>();
    private final Map<String, Backing> stores = new LinkedHashMap<>();

    private TableDevices(List<DeviceTable> tables, TargetOpener opener) {
        this.tables = tables.stream().map(DeviceTable::joined).toList();
        this.opener = opener;
    }

    /**
     * Opens devices. Each is closed by itself; what several share is closed with the last of them. When this fails,
     * everything is closed that it has opened. Stores are opened last, so that nothing else can fail after one was
     * created but another store.
     *
     * @param tables as {@link TableParser} returns them: names differ, lines with one ident agree
     * @return device by name, in the order of {@code tables}
     * @throws TableMismatchException if a file is too short for its targets, or a store is not what the table says
     * @throws IOException what the opener throws
     */
    public static Map<String, TableDevice> open(List<DeviceTable> tables, TargetOpener opener) throws IOException {
        TableDevices opening = new TableDevices(tables, opener);
        try {
            opening.openFiles();
            opening.openStores();
            return opening.devices();
        } catch (IOException | RuntimeException | Error e) {
            opening.files.values().forEach(file -> Backing.closeAfter(e, file.device()));
            opening.stores.values().forEach(store -> Backing.closeAfter(e, store.device()));
            throw e;
        }
    }

    private void openFiles() throws IOException {
        for (DeviceTable table : tables) {
            for (Target target : table.targets()) {
                if (target instanceof Target.Linear linear) {
                    Backing file = files.get(linear.device());
                    if (file == null) {
                        file = new Backing(opener.openLinear(linear.device()));
                        files.put(linear.device(), file);
                    }
                    requireCovered(table, linear, file.device());
                }
            }
        }
    }

    private static void requireCovered(DeviceTable table, Target.Linear linear, BlockDevice file)
            throws TableMismatchException {
        long sectors = file.sizeBytes() / Target.SECTOR_BYTES;
        long end = linear.offsetSectors() + linear.lengthSectors();
        if (end > sectors) {
            throw new TableMismatchException(
                    place(table, linear) + ": " + linear.device() + " has " + sectors + " whole sectors, but OFFSET "
                            + linear.offsetSectors() + " + LENGTH " + linear.lengthSectors() + " is " + end
                            + "; correct the line, or enlarge the file");
        }
    }

    private void openStores() throws IOException {
        for (StoreSpec spec : specs()) {
            stores.put(spec.ident(), new Backing(opener.openStore(spec)));
        }
        for (DeviceTable table : tables) {
            for (Target target : table.targets()) {
                if (target instanceof Target.Cow cow) {
                    requireCovered(table, cow);
                }
            }
        }
    }

    /** The stores in the order of their first targets, each with the size that its last target needs. */
    private Iterable<StoreSpec> specs() {
        Map<String, StoreSpec> specs = new LinkedHashMap<>();
        for (DeviceTable table : tables) {
            for (Target target : table.targets()) {
                if (target instanceof Target.Cow cow) {
                    StoreSpec spec =
                            new StoreSpec(cow.ident(), cow.base(), cow.store(), cow.chunkBytes(), cow.endByte());
                    specs.merge(cow.ident(), spec, (a, b) -> a.sizeBytes() >= b.sizeBytes() ? a : b);
                }
            }
        }
        return specs.values();
    }

    private void requireCovered(DeviceTable table, Target.Cow cow) throws TableMismatchException {
        long sizeBytes = stores.get(cow.ident()).device().sizeBytes();
        long missing = cow.endByte() - sizeBytes;
        boolean last = cow.endSector() == table.lengthSectors();
        if (missing > (last ? Target.SECTOR_BYTES - 1 : 0)) {
            throw new TableMismatchException(place(table, cow) + ": " + cow.store() + " has " + sizeBytes
                    + " bytes, but the target ends at byte " + cow.endByte()
                    + "; resize it, or shorten the table");
        }
    }

    private static String place(DeviceTable table, Target target) {
        return "device '" + table.name() + "' line " + target.lineNumber();
    }

    private Map<String, TableDevice> devices() {
        Map<String, TableDevice> devices = new LinkedHashMap<>();
        for (DeviceTable table : tables) {
            Backing zeros = new Backing(new ZeroDevice(table.lengthSectors() * Target.SECTOR_BYTES));
            List<TableDevice.Segment> segments = new ArrayList<>();
            for (Target target : table.targets()) {
                segments.add(segment(target, zeros));
            }
            if (devices.put(table.name(), new TableDevice(table, segments)) != null) {
                throw new IllegalArgumentException("two devices are called " + table.name());
            }
        }
        return Collections.unmodifiableMap(devices);
    }

    private TableDevice.Segment segment(Target target, Backing zeros) {
        if (target instanceof Target.Cow cow) {
            Backing store = stores.get(cow.ident());
            long end = Math.min(cow.endByte(), store.device().sizeBytes());
            return new TableDevice.Segment(cow, end, store, 0);
        }
        if (target instanceof Target.Linear linear) {
            long shift = linear.offsetSectors() * Target.SECTOR_BYTES - linear.startByte();
            return new TableDevice.Segment(linear, linear.endByte(), files.get(linear.device()), shift);
        }
        return new TableDevice.Segment(target, target.endByte(), zeros, 0);
    }
}
