package io.ucow.store;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * What {@code check --repair} found and did.
 *
 * @param found the image as it was
 * @param obstacle why nothing was changed, one line; empty when the image is sound now
 * @param metadataCopy where the metadata is as it was; empty when nothing but leaked space had to be changed
 * @param checksumsDropped whether the image had checksums of its data, and has none of what it held now
 * @param lost what is mapped nowhere any more and reads as the base: ascending, neither adjacent nor empty; the device's,
 *     then that of internal snapshots
 * @param remarks what else there is to say, one sentence each
 */
public record RepairReport(
        CheckReport found,
        Optional<String> obstacle,
        Optional<Path> metadataCopy,
        boolean checksumsDropped,
        List<LostRange> lost,
        List<String> remarks) {
    public RepairReport {
        lost = List.copyOf(lost);
        remarks = List.copyOf(remarks);
    }

    /** Of an image that is as it was, because of {@code obstacle}. */
    public static RepairReport refused(CheckReport found, String obstacle) {
        return new RepairReport(found, Optional.of(obstacle), Optional.empty(), false, List.of(), List.of());
    }

    /** Of an image that is sound, and of which nothing that it holds was changed. */
    public static RepairReport sound(CheckReport found, List<String> remarks) {
        return new RepairReport(found, Optional.empty(), Optional.empty(), false, List.of(), remarks);
    }

    /**
     * Bytes whose mapping, if they had one, is lost.
     *
     * @param guestOffset where they are on the disk
     * @param snapshot of which internal snapshot; empty for the device itself
     */
    public record LostRange(long guestOffset, long lengthBytes, String snapshot) {
        /** Of the device itself. */
        public LostRange(long guestOffset, long lengthBytes) {
            this(guestOffset, lengthBytes, "");
        }
    }
}
