package io.ucow.cli.text;

import io.ucow.store.Compression;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code ucow info} for people, in the order and words of {@code qemu-img info}. */
public final class InfoText {
    private InfoText() {}

    /** The lines, each ended by a line feed. */
    public static String of(ImageInfo info) {
        long chunks = info.geometry().chunkCount();
        Map<String, String> lines = new LinkedHashMap<>();
        lines.put("image", info.image().toString());
        lines.put("file format", info.format() + " version " + info.formatVersion());
        lines.put("virtual size", exact(info.geometry().sizeBytes()));
        lines.put("disk size", exact(info.allocatedBytes()));
        lines.put("chunk size", Sizes.format(info.geometry().chunkSize()));
        lines.put(
                "base",
                info.base()
                        .map(Path::toString)
                        .map(b -> info.baseSizeBytes() == 0 ? b : b + " (" + exact(info.baseSizeBytes()) + ")")
                        .orElse("none"));
        if (info.base().isPresent()) {
            lines.put("base format", Images.baseFormat(info));
        }
        lines.put("altered chunks", share(info.alteredChunks(), chunks));
        lines.put("zero chunks", share(info.zeroChunks(), chunks));
        if (info.compression() != Compression.NONE) {
            lines.put("compression", info.compression().label());
            lines.put("compressed chunks", share(info.packedChunks(), info.alteredChunks()));
            lines.put("logical bytes", exact(info.logicalBytes()));
            lines.put("stored bytes", exact(info.logicalBytes() - info.savedBytes()));
            lines.put(
                    "saved bytes",
                    exact(info.savedBytes()) + ", " + Percent.of(info.savedBytes(), info.logicalBytes()));
        }
        if (info.checksums()) {
            lines.put("checksums", "yes");
        }
        lines.put("closed cleanly", info.clean() ? "yes" : "no, or open for writing now");
        if (!info.uuid().isEmpty()) {
            lines.put("uuid", info.uuid());
        }
        lines.putAll(info.details());
        StringBuilder out = new StringBuilder();
        lines.forEach(
                (name, value) -> out.append(name).append(": ").append(value).append('\n'));
        return out.toString();
    }

    /** The same of the images of a chain, from the top down, and of the raw base under them. */
    public static String ofChain(List<ImageInfo> images) {
        StringBuilder out = new StringBuilder();
        for (ImageInfo image : images) {
            out.append(of(image)).append('\n');
        }
        ImageInfo last = images.get(images.size() - 1);
        last.base()
                .ifPresent(base -> out.append("image: ")
                        .append(base)
                        .append("\nfile format: raw\nvirtual size: ")
                        .append(exact(last.baseSizeBytes()))
                        .append('\n'));
        return out.toString();
    }

    private static String exact(long bytes) {
        return bytes < 1024 ? bytes + " bytes" : Sizes.format(bytes) + " (" + bytes + " bytes)";
    }

    private static String share(long part, long whole) {
        return part + " of " + whole + " (" + Percent.of(part, whole) + ")";
    }
}
