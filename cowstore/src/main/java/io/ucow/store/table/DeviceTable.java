package io.ucow.store.table;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A device as a sequence of targets.
 *
 * @param name the device's name, a file's name in a mount
 * @param targets at least one, in order, without gaps, the first at sector 0; immutable
 */
public record DeviceTable(String name, List<Target> targets) {
    /** @throws IllegalArgumentException if the targets leave a gap, overlap or are none */
    public DeviceTable {
        targets = List.copyOf(targets);
        if (targets.isEmpty()) {
            throw new IllegalArgumentException("device " + name + " has no targets");
        }
        long next = 0;
        for (Target target : targets) {
            if (target.startSector() != next || target.lengthSectors() < 1) {
                throw new IllegalArgumentException(
                        "device " + name + ": " + target + " does not follow sector " + next);
            }
            next = target.endSector();
        }
    }

    /** Sectors of the device, a partial last one included. */
    public long lengthSectors() {
        return targets.get(targets.size() - 1).endSector();
    }

    /**
     * The same device before {@link TablePrinter#printSplit} cut it up: a {@code linear} target into the store of one
     * of this device's {@code cow} targets is an altered run of it and becomes {@code cow} again, and adjacent
     * {@code cow} targets of one ident become one.
     */
    public DeviceTable joined() {
        Map<Path, Target.Cow> byStore = new HashMap<>();
        for (Target target : targets) {
            if (target instanceof Target.Cow cow) {
                byStore.putIfAbsent(cow.store(), cow);
            }
        }
        List<Target> joined = new ArrayList<>();
        for (Target target : targets) {
            Target.Cow cow = storeOf(target, byStore);
            int last = joined.size() - 1;
            if (cow == null) {
                joined.add(target);
            } else if (last >= 0
                    && joined.get(last) instanceof Target.Cow before
                    && before.ident().equals(cow.ident())) {
                joined.set(last, before.at(before.startSector(), target.endSector() - before.startSector()));
            } else {
                joined.add(cow.at(target.startSector(), target.lengthSectors()));
            }
        }
        return new DeviceTable(name, joined);
    }

    private static Target.Cow storeOf(Target target, Map<Path, Target.Cow> byStore) {
        if (target instanceof Target.Linear linear) {
            return byStore.get(linear.device());
        }
        return target instanceof Target.Cow cow ? cow : null;
    }
}
