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
 * @param lost what is mapped nowhere any more and reads as the base: ascending, neither adjacent nor empty
 */
public record RepairReport(
        CheckReport found, Optional<String> obstacle, Optional<Path> metadataCopy, List<LostRange> lost) {
    public RepairReport {
        lost = List.copyOf(lost);
    }

    /** Bytes of the device whose mapping, if they had one, is lost. */
    public record LostRange(long guestOffset, long lengthBytes) {}
}
