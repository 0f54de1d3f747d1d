package io.ucow.store.table;

import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import java.nio.file.Path;
import java.util.Optional;

/**
 * One line of a device table: the sectors {@code [startSector, endSector())} of a device, and what is behind them.
 *
 * <p>Sectors are 512 bytes, here and in the table, whatever the device's own sector size is. Paths are absolute, so that
 * two spellings relative to the working directory are one file; symbolic links and {@code ..} are left alone.
 */
public sealed interface Target {
    /** Bytes in a sector. */
    int SECTOR_BYTES = 512;
    /** Most sectors any range may end at, so that every byte offset fits a {@code long}. */
    long MAX_SECTORS = Long.MAX_VALUE / SECTOR_BYTES;

    /** First sector on the device. */
    long startSector();

    /** Number of sectors, {@code >= 1}. */
    long lengthSectors();

    /** The line of the text this was read from, counted from 1; 0 when it was not read from a text. */
    int lineNumber();

    /** First sector after this target. */
    default long endSector() {
        return startSector() + lengthSectors();
    }

    /** First byte on the device. */
    default long startByte() {
        return startSector() * SECTOR_BYTES;
    }

    /** First byte after this target; the device may end up to 511 bytes earlier, see the package's description. */
    default long endByte() {
        return endSector() * SECTOR_BYTES;
    }

    /**
     * {@code START LENGTH cow IDENT BASE COWDEV CHUNK}: sector s of the device is sector s of the store, which reads
     * sector s of the base until it is written.
     *
     * @param ident targets with the same one share a store
     * @param base read-only image behind the store; empty, in a table {@code -}, for a store over zeros
     * @param store the store's file
     * @param chunkSectors chunk size, a power of two from 8 to 2048
     */
    record Cow(
            long startSector,
            long lengthSectors,
            int lineNumber,
            String ident,
            Optional<Path> base,
            Path store,
            int chunkSectors)
            implements Target {
        /** Smallest and largest chunk in sectors, both inclusive. */
        public static final int MIN_CHUNK_SECTORS = (1 << Geometry.MIN_CHUNK_SHIFT) / SECTOR_BYTES;

        public static final int MAX_CHUNK_SECTORS = (1 << Geometry.MAX_CHUNK_SHIFT) / SECTOR_BYTES;

        public Cow {
            base = base.map(TablePaths::absolute);
            store = TablePaths.absolute(store);
        }

        /** The whole of an image as one target; a partial last sector counts as one. */
        public static Cow of(String ident, ImageInfo info) {
            long sectors = (info.geometry().sizeBytes() + SECTOR_BYTES - 1) / SECTOR_BYTES;
            int chunkSectors = info.geometry().chunkSize() / SECTOR_BYTES;
            return new Cow(0, sectors, 0, ident, info.base(), info.image(), chunkSectors);
        }

        /** Bytes in a chunk. */
        public int chunkBytes() {
            return chunkSectors * SECTOR_BYTES;
        }

        /** The same store seen at other sectors of the device. */
        Cow at(long newStart, long newLength) {
            return new Cow(newStart, newLength, lineNumber, ident, base, store, chunkSectors);
        }
    }

    /**
     * {@code START LENGTH linear DEV OFFSET}: a range of another device or file, read and written in place.
     *
     * @param device regular file or block device
     * @param offsetSectors where in it the target's first sector lies
     */
    record Linear(long startSector, long lengthSectors, int lineNumber, Path device, long offsetSectors)
            implements Target {
        public Linear {
            device = TablePaths.absolute(device);
        }
    }

    /** {@code START LENGTH zero}: reads as zeros, forgets what is written. */
    record Zero(long startSector, long lengthSectors, int lineNumber) implements Target {}
}
