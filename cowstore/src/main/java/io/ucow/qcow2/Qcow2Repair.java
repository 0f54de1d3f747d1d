package io.ucow.qcow2;

import io.ucow.store.CheckReport;
import io.ucow.store.CorruptStoreException;
import io.ucow.store.MetadataCopy;
import io.ucow.store.RepairReport;
import io.ucow.sys.PositionalFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Makes a damaged image sound with what {@link Qcow2Salvage} keeps. The order keeps it safe to kill: every table that changes,
 * and all refcounts, are written past the end of the file, where the old image has nothing; metadata is copied aside; then one
 * write of the header, less than a sector, makes the new tables those that count. They are checked before the marks of damage
 * go. Nothing that the old ones name is overwritten, or given back.
 *
 * <p>Threading: confined to one thread.
 */
final class Qcow2Repair {
    /** The three words of feature bits, and where the last of them is. */
    private static final int FEATURE_BYTES = 24, AUTOCLEAR = 16;

    private final PositionalFile file;
    private final Qcow2Image image;
    private final Header header;
    private final MetadataCopy copy;
    private final List<String> remarks = new ArrayList<>();

    /** @param image as {@link Qcow2Image#readToRepair} has read it */
    Qcow2Repair(PositionalFile file, Qcow2Image image, MetadataCopy copy) {
        this.file = file;
        this.image = image;
        this.header = image.header();
        this.copy = copy;
    }

    /**
     * Changes nothing of an image in which nothing is wrong, and of one that only leaks the counts of what leaks.
     *
     * @param found what {@code check} says of it
     * @throws IOException if the copy, or the new tables, cannot be written: the image is then as it was
     */
    RepairReport run(CheckReport found) throws IOException {
        if (found.isSound()) {
            if (found.leakedBytes() > 0) {
                new LeakedClusters(file, image).giveBack();
            }
            clearMarks(found.leakedBytes() > 0);
            return RepairReport.sound(found, remarks);
        }
        MetadataWalk walk = new MetadataWalk(file, image);
        try (Qcow2Salvage salvage = new Qcow2Salvage(file, image, walk)) {
            Path kept = rebuild(walk, salvage);
            clearMarks(true);
            if (header.hasBitmaps() && !salvage.keepsBitmaps()) {
                remarks.add("Its bitmaps are marked out of date: the next backup must be a full one.");
            }
            return new RepairReport(found, Optional.empty(), Optional.of(kept), false, salvage.lost(), remarks);
        } catch (CorruptStoreException e) {
            return RepairReport.refused(found, e.getMessage());
        }
    }

    /** @return where the metadata is as it was */
    private Path rebuild(MetadataWalk walk, Qcow2Salvage salvage) throws IOException {
        long oldSize = file.size();
        ByteBuffer oldHeader = Qcow2Image.readAt(file, 0, Header.V3_LENGTH);
        boolean done = false;
        try (RepairedMap map = new RepairedMap(file, image, walk, salvage)) {
            ByteBuffer newHeader = map.write(oldHeader);
            file.sync();
            Path kept = copy.make(to -> new Qcow2MetadataCopy(file, image, walk).writeTo(to));
            writeHeader(newHeader);
            requireSound(oldHeader);
            done = true;
            return kept;
        } finally {
            if (!done) {
                file.truncate(oldSize);
            }
        }
    }

    private void writeHeader(ByteBuffer fields) throws IOException {
        file.write(fields.clear().limit(header.version() < 3 ? Header.V2_LENGTH : Header.V3_LENGTH), 0);
        file.sync();
    }

    /** Nobody is to find out later that something was forgotten. */
    private void requireSound(ByteBuffer oldHeader) throws IOException {
        String problem = null;
        try {
            CheckReport now = new Qcow2Check(file, Qcow2Image.read(file, image.image())).run();
            if (!now.isSound()) {
                problem = now.corruptions().get(0);
            } else if (now.leakedBytes() > 0) {
                problem = image.image() + ": " + now.leakedBytes() + " bytes are leaked";
            }
        } catch (CorruptStoreException e) {
            problem = e.getMessage();
        }
        if (problem != null) {
            writeHeader(oldHeader);
            throw new CorruptStoreException("after all that could be done, so that it was undone: " + problem);
        }
    }

    /** What they say is not so any more; nor is what other programs keep up to date, if anything has been changed. */
    private void clearMarks(boolean changed) throws IOException {
        if (header.version() < 3) {
            return;
        }
        ByteBuffer features = Qcow2Image.readAt(file, Header.INCOMPATIBLE_AT, FEATURE_BYTES);
        long marks = features.getLong(0) & (Header.DIRTY | Header.CORRUPT);
        long autoclear = features.getLong(AUTOCLEAR) & (header.hasExternalData() ? -1 : ~Header.RAW_EXTERNAL_DATA);
        if (changed || marks != 0) {
            autoclear &= Header.BITMAPS | Header.RAW_EXTERNAL_DATA;
        }
        if (marks == 0 && autoclear == features.getLong(AUTOCLEAR)) {
            return;
        }
        features.putLong(0, features.getLong(0) & ~marks).putLong(AUTOCLEAR, autoclear);
        file.write(features, Header.INCOMPATIBLE_AT);
        file.sync();
        if (header.isDirty()) {
            remarks.add("It is not marked as dirty any more.");
        }
        if (header.isCorrupt()) {
            remarks.add("It is not marked as corrupt any more.");
        }
    }
}
