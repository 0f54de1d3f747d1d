package io.ucow.cli.text;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.ChunkSource;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.MapExtent;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

class MapSvgTest {
    private static final int LEGEND_AND_BACKGROUND = 6;
    private static final String UNALTERED = "#e9edf0", FULL = "#08306b", ZERO = "#e08e0b";

    private static ImageInfo image(String name, long sizeBytes) {
        return new ImageInfo(
                Path.of("/vm", name),
                "ucow",
                1,
                "u",
                new Geometry(sizeBytes, 16),
                Optional.empty(),
                0,
                false,
                0,
                0,
                0,
                0,
                true,
                Map.of());
    }

    private static Document parse(MapSvg svg) throws Exception {
        return DocumentBuilderFactory.newInstance()
                .newDocumentBuilder()
                .parse(new InputSource(new StringReader(svg.toString())));
    }

    private static List<String> cells(Document svg) {
        NodeList rects = svg.getElementsByTagName("rect");
        List<String> fills = new ArrayList<>();
        for (int i = 1; i < rects.getLength() - (LEGEND_AND_BACKGROUND - 1); i++) {
            fills.add(((Element) rects.item(i)).getAttribute("fill"));
        }
        return fills;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 65536, 65537, 100L << 20, (1L << 40) + 12345, 1L << 48})
    void isBoundedAndWellFormedForAnySize(long sizeBytes) throws Exception {
        MapSvg svg = new MapSvg(image("<a> & \"b\"\u0001.cow", sizeBytes));
        svg.accept(new MapExtent(0, sizeBytes, new ChunkSource.Slot(4096, 65536)));

        List<String> cells = cells(parse(svg));

        assertThat(cells).hasSizeBetween(1, 2048).containsOnly(FULL);
        assertThat(svg.toString().length()).isLessThan(400_000);
    }

    @Test
    void shadesCellsByWhatIsAltered() throws Exception {
        MapSvg svg = new MapSvg(image("a.cow", 4 << 16));
        svg.accept(new MapExtent(0, 1 << 16, new ChunkSource.Slot(4096, 65536)));
        svg.accept(new MapExtent(1 << 16, 1 << 16, new ChunkSource.Origin()));
        svg.accept(new MapExtent(2 << 16, 1 << 16, new ChunkSource.Zero()));
        svg.accept(new MapExtent(3 << 16, 1 << 15, new ChunkSource.Slot(8192, 65536)));

        List<String> cells = cells(parse(svg));

        assertThat(cells).hasSize(4).startsWith(FULL, UNALTERED, ZERO);
        assertThat(cells.get(3)).isNotIn(FULL, UNALTERED, ZERO);
    }

    @Test
    void anExtentAcrossCellsCountsInEach() throws Exception {
        MapSvg svg = new MapSvg(image("a.cow", 1L << 40));
        svg.accept(new MapExtent(0, 1L << 39, new ChunkSource.Zero()));

        List<String> cells = cells(parse(svg));

        assertThat(cells.subList(0, cells.size() / 2)).containsOnly(ZERO);
        assertThat(cells.subList(cells.size() / 2, cells.size())).containsOnly(UNALTERED);
        assertThat(svg.toString()).contains("zeroed 512 GiB (50%)");
    }
}
