package io.ucow.cli.text;

import io.ucow.store.ChunkSource;
import io.ucow.store.MapExtent;
import java.io.PrintWriter;
import java.util.function.Consumer;

/** {@code ucow map} for people: one line per extent as it comes, in the columns of {@code qemu-img map}. */
public final class MapText implements Consumer<MapExtent> {
    private final PrintWriter out;
    private boolean headed;

    /** Prints nothing before the first extent: a command that fails has printed nothing. */
    public MapText(PrintWriter out) {
        this.out = out;
    }

    @Override
    public void accept(MapExtent extent) {
        if (!headed) {
            headed = true;
            line("Offset", "Length", "Source", "Mapped to");
        }
        line(
                hex(extent.guestOffset()),
                hex(extent.lengthBytes()),
                ImageJson.sourceName(extent.source()),
                mappedTo(extent.source()));
    }

    private static String mappedTo(ChunkSource source) {
        if (source instanceof ChunkSource.Packed packed) {
            return hex(packed.storeOffset()) + " compressed";
        }
        return source instanceof ChunkSource.Slot slot ? hex(slot.storeOffset()) : "";
    }

    private void line(String offset, String length, String source, String mappedTo) {
        out.println(String.format("%-16s %-16s %-8s %s", offset, length, source, mappedTo)
                .stripTrailing());
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }
}
