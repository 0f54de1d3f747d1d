package io.ucow.cli.text;

import io.ucow.store.ChunkSource;
import io.ucow.store.ImageInfo;
import io.ucow.store.MapExtent;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * A picture of what is altered: the device cut into at most {@value #MAX_CELLS} equal cells, read like a page, each
 * shaded by the share of it that lies in the store; amber where it was zeroed without taking storage.
 *
 * <p>Takes the extents in any order, and bounded memory for a device of any size.
 */
public final class MapSvg implements Consumer<MapExtent> {
    private static final int COLUMNS = 64;
    private static final int MAX_ROWS = 32;
    private static final int MAX_CELLS = COLUMNS * MAX_ROWS;
    private static final int PITCH = 14, CELL = 12, MARGIN = 20, HEADER = 64, FOOTER = 60;
    private static final String UNALTERED = "#e9edf0";
    private static final int[] ZERO_LIGHT = {0xfb, 0xe3, 0xb0}, ZERO_FULL = {0xe0, 0x8e, 0x0b};
    private static final int[] STORE_LIGHT = {0xc4, 0xdc, 0xf2}, STORE_FULL = {0x08, 0x30, 0x6b};

    private final ImageInfo info;
    private final long cellBytes;
    private final long[] storeBytes;
    private final long[] zeroBytes;

    /** Starts with everything unaltered. */
    public MapSvg(ImageInfo info) {
        this.info = info;
        long size = info.geometry().sizeBytes();
        long bytes = info.geometry().chunkSize();
        while ((size + bytes - 1) / bytes > MAX_CELLS) {
            bytes *= 2;
        }
        this.cellBytes = bytes;
        this.storeBytes = new long[(int) ((size + bytes - 1) / bytes)];
        this.zeroBytes = new long[storeBytes.length];
    }

    @Override
    public void accept(MapExtent extent) {
        if (extent.source() instanceof ChunkSource.Origin) {
            return;
        }
        long[] counts = extent.source() instanceof ChunkSource.Zero ? zeroBytes : storeBytes;
        long end = extent.guestOffset() + extent.lengthBytes();
        for (long at = extent.guestOffset(); at < end; ) {
            int cell = (int) (at / cellBytes);
            long next = Math.min(end, (cell + 1) * cellBytes);
            counts[cell] += next - at;
            at = next;
        }
    }

    /** The picture of what was accepted so far: an SVG document. */
    @Override
    public String toString() {
        int rows = (storeBytes.length + COLUMNS - 1) / COLUMNS;
        int width = 2 * MARGIN + COLUMNS * PITCH;
        int height = HEADER + rows * PITCH + FOOTER;
        StringBuilder svg = new StringBuilder(1 << 16);
        svg.append(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %1$d %2$d\""
                        + " font-family=\"sans-serif\" font-size=\"12\">%n"
                        + "<rect width=\"%1$d\" height=\"%2$d\" fill=\"white\"/>%n",
                width,
                height));
        text(svg, MARGIN, 26, "16", info.image().getFileName().toString());
        text(svg, MARGIN, 46, "12", summary());
        for (int cell = 0; cell < storeBytes.length; cell++) {
            appendCell(svg, cell);
        }
        appendLegend(svg, HEADER + rows * PITCH + 24);
        return svg.append("</svg>\n").toString();
    }

    private String summary() {
        long size = info.geometry().sizeBytes();
        long store = sum(storeBytes);
        long zero = sum(zeroBytes);
        return Sizes.format(size) + "; altered " + Sizes.format(store) + " (" + Percent.of(store, size) + "), zeroed "
                + Sizes.format(zero) + " (" + Percent.of(zero, size) + "); one cell is " + Sizes.format(cellBytes);
    }

    private void appendCell(StringBuilder svg, int cell) {
        long start = cell * cellBytes;
        long length = Math.min(cellBytes, info.geometry().sizeBytes() - start);
        rect(svg, MARGIN + cell % COLUMNS * PITCH, HEADER + cell / COLUMNS * PITCH, fill(cell, length));
        if (storeBytes[cell] + zeroBytes[cell] == 0) {
            svg.append("/>\n");
            return;
        }
        svg.append("><title>at ")
                .append(Sizes.format(start))
                .append(": ")
                .append(Percent.of(storeBytes[cell], length))
                .append(" altered, ")
                .append(Percent.of(zeroBytes[cell], length))
                .append(" zeroed</title></rect>\n");
    }

    private String fill(int cell, long length) {
        if (storeBytes[cell] > 0) {
            return blend(STORE_LIGHT, STORE_FULL, (double) storeBytes[cell] / length);
        }
        return zeroBytes[cell] > 0 ? blend(ZERO_LIGHT, ZERO_FULL, (double) zeroBytes[cell] / length) : UNALTERED;
    }

    private static void appendLegend(StringBuilder svg, int y) {
        int x = MARGIN;
        x = legendEntry(svg, x, y, UNALTERED, "unaltered: read from the base");
        x = legendEntry(svg, x, y, blend(STORE_LIGHT, STORE_FULL, 0), "altered: a little");
        x = legendEntry(svg, x, y, blend(STORE_LIGHT, STORE_FULL, 0.5), "half");
        x = legendEntry(svg, x, y, blend(STORE_LIGHT, STORE_FULL, 1), "all of it");
        legendEntry(svg, x, y, blend(ZERO_LIGHT, ZERO_FULL, 1), "zeroed, takes no storage");
    }

    private static int legendEntry(StringBuilder svg, int x, int y, String fill, String label) {
        rect(svg, x, y, fill);
        svg.append("/>\n");
        text(svg, x + PITCH + 4, y + 10, "12", label);
        return x + 2 * PITCH + 14 + label.length() * 6;
    }

    private static void rect(StringBuilder svg, int x, int y, String fill) {
        svg.append("<rect x=\"")
                .append(x)
                .append("\" y=\"")
                .append(y)
                .append("\" width=\"" + CELL + "\" height=\"" + CELL + "\" fill=\"")
                .append(fill)
                .append('"');
    }

    private static void text(StringBuilder svg, int x, int y, String size, String text) {
        svg.append("<text x=\"")
                .append(x)
                .append("\" y=\"")
                .append(y)
                .append("\" font-size=\"")
                .append(size)
                .append("\">")
                .append(escape(text))
                .append("</text>\n");
    }

    private static String blend(int[] from, int[] to, double share) {
        int rgb = 0;
        for (int i = 0; i < from.length; i++) {
            rgb = rgb << 8 | (int) Math.round(from[i] + (to[i] - from[i]) * share);
        }
        return String.format(Locale.ROOT, "#%06x", rgb);
    }

    /** File names may hold anything; control characters, which XML cannot, become a question mark. */
    private static String escape(String text) {
        return text.replaceAll("\\p{Cntrl}", "?")
                .replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;");
    }

    private static long sum(long[] values) {
        long sum = 0;
        for (long value : values) {
            sum += value;
        }
        return sum;
    }
}
