package io.ucow.store.table;

import io.ucow.store.Geometry;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Sees that lines which are right by themselves fit together: each device without gap and overlap, chunks whole, one
 * store per ident, and no file both base and written to.
 */
final class TableChecker {
    private final String source;
    private final Map<String, Target.Cow> firstOfIdent = new HashMap<>();
    private final Map<Path, Target.Cow> firstOfStore = new HashMap<>();
    private final Map<Path, Target.Cow> firstOfBase = new HashMap<>();

    TableChecker(String source) {
        this.source = source;
    }

    /** @param devices name to targets in the order of their lines; nobody's list is empty */
    void check(Map<String, List<Target>> devices) throws TableSyntaxException {
        Collection<List<Target>> all = devices.values();
        for (List<Target> targets : all) {
            checkAdjacent(targets);
        }
        for (List<Target> targets : all) {
            for (Target target : targets) {
                if (target instanceof Target.Cow cow) {
                    checkIdent(cow);
                    checkChunks(cow, cow, isLast(cow, targets));
                }
            }
        }
        for (List<Target> targets : all) {
            for (Target target : targets) {
                if (target instanceof Target.Cow cow) {
                    checkNotBase(cow, cow.store(), "COWDEV");
                } else if (target instanceof Target.Linear linear) {
                    checkNotBase(linear, linear.device(), "DEV");
                    checkAlteredRun(linear, targets);
                }
            }
        }
    }

    private void checkAdjacent(List<Target> targets) throws TableSyntaxException {
        long next = 0;
        Target before = null;
        for (Target target : targets) {
            long start = target.startSector();
            if (before == null && start != 0) {
                throw error(target, "the device's first target starts at sector " + start + "; start it at 0");
            }
            if (before != null && start != next) {
                throw error(
                        target,
                        "START is " + start + ", but the target before it, line " + before.lineNumber()
                                + ", ends before sector " + next + ": "
                                + (start < next ? "they overlap" : "a gap is left") + "; start at " + next
                                + (start < next ? "" : ", or fill the gap with a zero target"));
            }
            before = target;
            next = target.endSector();
        }
    }

    private void checkIdent(Target.Cow cow) throws TableSyntaxException {
        Target.Cow first = firstOfIdent.putIfAbsent(cow.ident(), cow);
        if (first != null) {
            requireSame(cow, first, "BASE", text(cow), text(first));
            requireSame(cow, first, "COWDEV", cow.store(), first.store());
            requireSame(cow, first, "CHUNK", cow.chunkSectors(), first.chunkSectors());
        }
        Target.Cow owner = firstOfStore.putIfAbsent(cow.store(), cow);
        if (owner != null && !owner.ident().equals(cow.ident())) {
            throw error(
                    cow,
                    "COWDEV " + cow.store() + " is under ident '" + cow.ident() + "', but under '" + owner.ident()
                            + "' on line " + owner.lineNumber() + "; give every ident a COWDEV of its own");
        }
        cow.base().ifPresent(base -> firstOfBase.putIfAbsent(base, cow));
    }

    private void requireSame(Target.Cow cow, Target.Cow first, String what, Object found, Object expected)
            throws TableSyntaxException {
        if (!found.equals(expected)) {
            throw error(
                    cow,
                    what + " of ident '" + cow.ident() + "' is " + found + ", but " + expected + " on line "
                            + first.lineNumber() + "; make them agree, or use another ident and COWDEV");
        }
    }

    /** Sees that {@code target}, served by {@code cow}'s store, cuts no chunk. */
    private void checkChunks(Target target, Target.Cow cow, boolean last) throws TableSyntaxException {
        long chunk = cow.chunkSectors();
        if (target.startSector() % chunk != 0) {
            throw error(
                    target,
                    "START is " + target.startSector() + ", which is no multiple of CHUNK, " + chunk
                            + " sectors; start at a chunk's first sector");
        }
        if (!last && target.lengthSectors() % chunk != 0) {
            throw error(
                    target,
                    "LENGTH is " + target.lengthSectors() + ", which is no multiple of CHUNK, " + chunk
                            + " sectors; only the device's last target may end inside a chunk");
        }
        long limit = Math.min(Target.MAX_SECTORS, Geometry.MAX_CHUNKS * chunk);
        if (target.endSector() > limit) {
            throw error(
                    target,
                    "the target ends at sector " + target.endSector() + ", but a store of " + chunk
                            + "-sector chunks has at most " + limit
                            + " sectors; use larger chunks or a smaller device");
        }
    }

    private void checkNotBase(Target target, Path written, String what) throws TableSyntaxException {
        Target.Cow cow = firstOfBase.get(written);
        if (cow != null) {
            throw error(
                    target,
                    what + " " + written + " is the BASE on line " + cow.lineNumber()
                            + ", and a base is never written; name another file");
        }
    }

    private void checkAlteredRun(Target.Linear linear, List<Target> targets) throws TableSyntaxException {
        Target.Cow owner = firstOfStore.get(linear.device());
        if (owner == null) {
            return;
        }
        boolean sameDevice = targets.stream()
                .anyMatch(t -> t instanceof Target.Cow cow && cow.ident().equals(owner.ident()));
        if (!sameDevice) {
            throw error(
                    linear,
                    "DEV " + linear.device() + " is the COWDEV of ident '" + owner.ident() + "', line "
                            + owner.lineNumber()
                            + ", of another device; only the altered runs of its own device may be linear into it");
        }
        checkChunks(linear, owner, isLast(linear, targets));
    }

    private static boolean isLast(Target target, List<Target> targets) {
        return target == targets.get(targets.size() - 1);
    }

    private static String text(Target.Cow cow) {
        return cow.base().map(Path::toString).orElse("- (none)");
    }

    private TableSyntaxException error(Target target, String problem) {
        return new TableSyntaxException(source, target.lineNumber(), problem);
    }
}
