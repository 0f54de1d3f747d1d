package io.ucow.store;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * What is known of an image; a snapshot, consistent in itself only when nobody writes.
 *
 * @param image the store file
 * @param format the plug-in's name, {@code "ucow"} or {@code "qcow2"}
 * @param formatVersion version of the format in the file
 * @param uuid identity given at creation, as text; empty where the format has none
 * @param geometry capacity and chunk size
 * @param base the read-only image behind the store; empty when the device started as zeros
 * @param baseSizeBytes recorded size of the base; 0 when there is none, or the format does not record it
 * @param baseIsImage true when the base is an image itself, and size and content are those of its device
 * @param alteredChunks chunks held in the store
 * @param zeroChunks chunks that read as zeros without a slot
 * @param allocatedBytes storage the file occupies, metadata included
 * @param maxBytes what the file may grow to, metadata included; 0 for no limit
 * @param compression of chunks that are not written to any more
 * @param checksums whether what it holds is compared with checksums when it is read
 * @param packedChunks those of the altered chunks that are compressed
 * @param packedBytes bytes that these take in the file
 * @param clean false when it was not closed properly, or is open for writing now
 * @param details further facts of the format, for people: name to text, in display order
 */
public record ImageInfo(
        Path image,
        String format,
        int formatVersion,
        String uuid,
        Geometry geometry,
        Optional<Path> base,
        long baseSizeBytes,
        boolean baseIsImage,
        long alteredChunks,
        long zeroChunks,
        long allocatedBytes,
        long maxBytes,
        Compression compression,
        boolean checksums,
        long packedChunks,
        long packedBytes,
        boolean clean,
        Map<String, String> details) {
    /** Of an image that neither compresses nor has checksums. */
    public ImageInfo(
            Path image,
            String format,
            int formatVersion,
            String uuid,
            Geometry geometry,
            Optional<Path> base,
            long baseSizeBytes,
            boolean baseIsImage,
            long alteredChunks,
            long zeroChunks,
            long allocatedBytes,
            long maxBytes,
            boolean clean,
            Map<String, String> details) {
        this(
                image,
                format,
                formatVersion,
                uuid,
                geometry,
                base,
                baseSizeBytes,
                baseIsImage,
                alteredChunks,
                zeroChunks,
                allocatedBytes,
                maxBytes,
                Compression.NONE,
                false,
                0,
                0,
                clean,
                details);
    }

    /** Bytes that the altered chunks would take if none of them were compressed. */
    public long logicalBytes() {
        return alteredChunks << geometry.chunkShift();
    }

    /** Bytes that compression saves of these. */
    public long savedBytes() {
        return (packedChunks << geometry.chunkShift()) - packedBytes;
    }
}
