package io.ucow.cli.text;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.store.ChunkSource;
import io.ucow.store.Compression;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.Images;
import io.ucow.store.MapExtent;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What is known of an image as JSON and back: printed by {@code --json}, and what daemons answer.
 *
 * <p>An image, from {@code ucow info --json}; sizes in bytes, {@code base} null when there is none:
 * <pre>
 *   {"image":"/vm/a.cow", "format":"ucow", "formatVersion":1, "uuid":"…" or "", "sizeBytes":N, "chunkBytes":N,
 *    "base":"/vm/base.img", "baseFormat":"raw" | "ucow" | "qcow2" | null, "baseSizeBytes":N, "alteredChunks":N, "zeroChunks":N,
 *    "allocatedBytes":N, "maxBytes":N or 0 for no limit, "compression":"none" | "lz4", "packedChunks":N, "packedBytes":N,
 *    "logicalBytes":N, "storedBytes":N, "savedBytes":N, "clean":true, "details":{"name":"text", …}}
 * </pre>
 * Altered chunks have {@code logicalBytes}, and take {@code savedBytes} less than that.
 *
 * <p>An extent, from {@code ucow map --json}; {@code offset}, its place in the image file, and what follows only when the
 * source is store; a compressed chunk is an extent of its own:
 * <pre>
 *   {"start":N, "length":N, "source":"base" | "zero" | "store", "offset":N, "stored":bytes of its first chunk there,
 *    "compressed":false}
 * </pre>
 */
public final class ImageJson {
    private static final String RAW = "raw";

    private ImageJson() {}

    /** {@code info} as JSON. */
    public static JsonObject of(ImageInfo info) {
        return JsonObject.builder()
                .value("image", info.image().toString())
                .value("format", info.format())
                .value("formatVersion", info.formatVersion())
                .value("uuid", info.uuid())
                .value("sizeBytes", info.geometry().sizeBytes())
                .value("chunkBytes", info.geometry().chunkSize())
                .value("base", info.base().map(Path::toString).orElse(null))
                .value("baseFormat", info.base().isEmpty() ? null : Images.baseFormat(info))
                .value("baseSizeBytes", info.baseSizeBytes())
                .value("alteredChunks", info.alteredChunks())
                .value("zeroChunks", info.zeroChunks())
                .value("allocatedBytes", info.allocatedBytes())
                .value("maxBytes", info.maxBytes())
                .value("compression", info.compression().label())
                .value("checksums", info.checksums())
                .value("packedChunks", info.packedChunks())
                .value("packedBytes", info.packedBytes())
                .value("logicalBytes", info.logicalBytes())
                .value("storedBytes", info.logicalBytes() - info.savedBytes())
                .value("savedBytes", info.savedBytes())
                .value("clean", info.clean())
                .value("details", new JsonObject(info.details()))
                .done();
    }

    /** The images of a chain, from the top down, and the raw base under them: its path, format and size alone. */
    public static JsonArray ofChain(List<ImageInfo> images) {
        JsonArray chain = new JsonArray();
        images.forEach(image -> chain.add(of(image)));
        ImageInfo last = images.get(images.size() - 1);
        last.base()
                .ifPresent(base -> chain.add(JsonObject.builder()
                        .value("image", base.toString())
                        .value("format", RAW)
                        .value("sizeBytes", last.baseSizeBytes())
                        .done()));
        return chain;
    }

    /** The other way round. */
    public static ImageInfo toInfo(JsonObject json) {
        Map<String, String> details = new LinkedHashMap<>();
        json.getObject("details").forEach((name, text) -> details.put(name, (String) text));
        return new ImageInfo(
                Path.of(json.getString("image")),
                json.getString("format"),
                json.getInt("formatVersion"),
                json.getString("uuid"),
                new Geometry(json.getLong("sizeBytes"), Integer.numberOfTrailingZeros(json.getInt("chunkBytes"))),
                Optional.ofNullable(json.getString("base")).map(Path::of),
                json.getLong("baseSizeBytes"),
                json.getString("baseFormat") != null && !RAW.equals(json.getString("baseFormat")),
                json.getLong("alteredChunks"),
                json.getLong("zeroChunks"),
                json.getLong("allocatedBytes"),
                json.getLong("maxBytes"),
                Compression.ofLabel(json.getString("compression")).orElseThrow(),
                json.getBoolean("checksums"),
                json.getLong("packedChunks"),
                json.getLong("packedBytes"),
                json.getBoolean("clean"),
                details);
    }

    /** {@code extent} as JSON. */
    public static JsonObject of(MapExtent extent) {
        JsonObject json = JsonObject.builder()
                .value("start", extent.guestOffset())
                .value("length", extent.lengthBytes())
                .value("source", sourceName(extent.source()))
                .done();
        if (extent.source() instanceof ChunkSource.Slot slot) {
            json.put("offset", slot.storeOffset());
            json.put("stored", slot.storedBytes());
            json.put("compressed", false);
        } else if (extent.source() instanceof ChunkSource.Packed packed) {
            json.put("offset", packed.storeOffset());
            json.put("stored", packed.storedBytes());
            json.put("compressed", true);
        }
        return json;
    }

    /** The other way round. */
    public static MapExtent toExtent(JsonObject json) {
        ChunkSource source =
                switch (json.getString("source")) {
                    case "base" -> new ChunkSource.Origin();
                    case "zero" -> new ChunkSource.Zero();
                    case "store" ->
                        json.getBoolean("compressed")
                                ? new ChunkSource.Packed(json.getLong("offset"), json.getInt("stored"))
                                : new ChunkSource.Slot(json.getLong("offset"), json.getInt("stored"));
                    default -> throw new IllegalArgumentException("source " + json.getString("source"));
                };
        return new MapExtent(json.getLong("start"), json.getLong("length"), source);
    }

    /** What {@code source} is called wherever people read it. */
    static String sourceName(ChunkSource source) {
        if (source instanceof ChunkSource.Slot || source instanceof ChunkSource.Packed) {
            return "store";
        }
        return source instanceof ChunkSource.Zero ? "zero" : "base";
    }
}
