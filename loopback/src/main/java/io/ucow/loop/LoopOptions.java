package io.ucow.loop;

/**
 * How a file is attached: asked for in {@link LoopControl#attach}, and read back as what is in force.
 *
 * @param readOnly writes to the device are refused
 * @param directIo the device bypasses the page cache of the file; the kernel ignores this silently where it cannot,
 *     for instance when the file's file system wants larger sectors than {@code sectorBytes}
 * @param partitionScan the kernel reads a partition table and offers {@code /dev/loopNpM}
 * @param sectorBytes the device's logical sector: a power of two, {@code 512..65536}, at most a page before Linux
 *     6.15; 0 asks for the kernel's choice, and never occurs in options that were read back
 * @param autoclear the device goes away when the last program closes it; see {@link LoopDevice#close}
 */
public record LoopOptions(
        boolean readOnly, boolean directIo, boolean partitionScan, int sectorBytes, boolean autoclear) {
    private static final int MIN_SECTOR_BYTES = 512, MAX_SECTOR_BYTES = 65536;

    /** @throws IllegalArgumentException when {@code sectorBytes} is not as described */
    public LoopOptions {
        boolean powerOfTwo = Integer.bitCount(sectorBytes) == 1;
        boolean inRange = sectorBytes >= MIN_SECTOR_BYTES && sectorBytes <= MAX_SECTOR_BYTES;
        if (sectorBytes != 0 && !(powerOfTwo && inRange)) {
            throw new IllegalArgumentException("sector size " + sectorBytes + ": expected a power of two from "
                    + MIN_SECTOR_BYTES + " to " + MAX_SECTOR_BYTES);
        }
    }

    /** Writable, direct I/O, no partition scan, the kernel's sector size, stays until detached. */
    public static LoopOptions defaults() {
        return new LoopOptions(false, true, false, 0, false);
    }

    /** These options, read-only or not. */
    public LoopOptions withReadOnly(boolean value) {
        return new LoopOptions(value, directIo, partitionScan, sectorBytes, autoclear);
    }

    /** These options, with direct I/O or without. */
    public LoopOptions withDirectIo(boolean value) {
        return new LoopOptions(readOnly, value, partitionScan, sectorBytes, autoclear);
    }

    /** These options, with a partition scan or without. */
    public LoopOptions withPartitionScan(boolean value) {
        return new LoopOptions(readOnly, directIo, value, sectorBytes, autoclear);
    }

    /** These options with another sector size; 0 for the kernel's choice. */
    public LoopOptions withSectorBytes(int value) {
        return new LoopOptions(readOnly, directIo, partitionScan, value, autoclear);
    }

    /** These options, gone with the last user or not. */
    public LoopOptions withAutoclear(boolean value) {
        return new LoopOptions(readOnly, directIo, partitionScan, sectorBytes, value);
    }
}
