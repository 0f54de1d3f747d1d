package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.ChunkSource;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.MapExtent;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TablePrinterTest {
    private static final int CHUNK = 4096;
    private static final ChunkSource ORIGIN = new ChunkSource.Origin();
    private static final ChunkSource ZERO = new ChunkSource.Zero();

    @Test
    void alteredRunsBecomeLinearAndNeighboursMerge() throws IOException {
        assertThat(split(
                        10 * CHUNK,
                        run(0, 2, ORIGIN),
                        run(2, 1, ZERO),
                        run(3, 2, slot(100 * CHUNK, CHUNK)),
                        run(5, 1, slot(102 * CHUNK, CHUNK)),
                        run(6, 1, slot(50 * CHUNK, CHUNK)),
                        run(7, 3, ORIGIN)))
                .isEqualTo("""
                        0 24 cow i /base /s 8
                        24 24 linear /s 800
                        48 8 linear /s 400
                        56 24 cow i /base /s 8
                        """);
    }

    @Test
    void compressedAndUnalignedSlotsStayCow() throws IOException {
        assertThat(split(3 * CHUNK, run(0, 1, slot(CHUNK, 1000)), run(1, 1, slot(300, CHUNK)), run(2, 1, ORIGIN)))
                .isEqualTo("0 24 cow i /base /s 8\n");
    }

    @Test
    void chunksAlteredInPartStayCow() throws IOException {
        long chunk = 8 * CHUNK;
        String text = splitOf(
                new DeviceTable("vm", List.of(Target.Cow.of("i", info(4 * chunk, 15)))),
                List.of(
                        new MapExtent(0, 3 * CHUNK, ORIGIN),
                        // The rest of chunk 0, all of chunk 1 and the first block of chunk 2.
                        new MapExtent(3 * CHUNK, 5 * CHUNK + chunk + CHUNK, slot(100 * CHUNK, 8 * CHUNK)),
                        new MapExtent(17 * CHUNK, 2 * CHUNK, ORIGIN),
                        // Within chunk 2.
                        new MapExtent(19 * CHUNK, 2 * CHUNK, slot(200 * CHUNK, 8 * CHUNK)),
                        new MapExtent(21 * CHUNK, 3 * CHUNK, ORIGIN),
                        new MapExtent(3 * chunk, chunk, slot(300 * CHUNK, 8 * CHUNK))));
        assertThat(text).isEqualTo("""
                        0 64 cow i /base /s 64
                        64 64 linear /s 840
                        128 64 cow i /base /s 64
                        192 64 linear /s 2400
                        """);
    }

    @Test
    void whollyAlteredDeviceIsAllLinear() throws IOException {
        assertThat(split(2 * CHUNK, run(0, 2, slot(8 * CHUNK, CHUNK)))).isEqualTo("0 16 linear /s 64\n");
    }

    @Test
    void lastChunkOfWholeSectorsMayBeLinear() throws IOException {
        MapExtent last = new MapExtent(CHUNK, 1024, slot(8 * CHUNK, 1024));
        assertThat(split(CHUNK + 1024, run(0, 1, ORIGIN), last)).isEqualTo("0 8 cow i /base /s 8\n8 2 linear /s 64\n");
    }

    @Test
    void partialLastSectorStaysCowAndCountsAsWhole() throws IOException {
        MapExtent altered = new MapExtent(0, 2 * CHUNK + 1000, slot(8 * CHUNK, CHUNK));
        assertThat(split(2 * CHUNK + 1000, altered)).isEqualTo("0 16 linear /s 64\n16 2 cow i /base /s 8\n");
    }

    @Test
    void namesIdentsAndPathsAreEscaped() throws IOException {
        StringBuilder out = new StringBuilder();
        Target cow = new Target.Cow(0, 8, 0, "my id", Optional.empty(), Path.of("/a b/#1"), 8);
        new TablePrinter(out, true).print(new DeviceTable("vm 1", List.of(cow, new Target.Zero(8, 1, 0))));
        assertThat(out.toString()).isEqualTo("vm\\x201: 0 8 cow my\\ id - /a\\ b/\\#1 8\nvm\\x201: 8 1 zero\n");
    }

    @Test
    void pathsWithLineBreaksAreRefused() {
        Target cow = new Target.Cow(0, 8, 0, "i", Optional.empty(), Path.of("/a\nb"), 8);
        DeviceTable table = new DeviceTable("vm", List.of(cow));
        TablePrinter printer = new TablePrinter(new StringBuilder(), false);
        assertThatThrownBy(() -> printer.printSplit(table, c -> visitor -> {}))
                .isInstanceOf(TableSyntaxException.class);
    }

    @Test
    void eachTargetIsSplitWithinItsOwnRange() throws IOException {
        List<DeviceTable> tables = parse("0 16 cow i /base /s 8\n16 8 zero\n24 8 cow i /base /s 8");
        ExtentSource extents = visitor -> {
            visitor.accept(run(0, 1, ORIGIN));
            visitor.accept(run(1, 3, slot(100 * CHUNK, CHUNK)));
        };
        StringBuilder out = new StringBuilder();
        new TablePrinter(out, false).printSplit(tables.get(0), cow -> extents);
        assertThat(out.toString())
                .isEqualTo("0 8 cow i /base /s 8\n8 8 linear /s 800\n16 8 zero\n24 8 linear /s 816\n");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void whatIsPrintedParsesAgain(long seed) throws IOException {
        Random random = new Random(seed);
        for (int i = 0; i < 300; i++) {
            List<DeviceTable> tables = RandomTables.next(random);
            StringBuilder out = new StringBuilder();
            TablePrinter printer = new TablePrinter(out, true);
            for (DeviceTable table : tables) {
                printer.print(table);
            }
            assertThat(parse(out.toString()))
                    .as("seed %d: %s", seed, out)
                    .usingRecursiveFieldByFieldElementComparatorIgnoringFields("targets.lineNumber")
                    .isEqualTo(tables);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void splitTableMapsEverySectorAndJoinsAgain(long seed) throws IOException {
        Random random = new Random(seed);
        for (int i = 0; i < 300; i++) {
            long sizeBytes = 1L + random.nextInt(40 * CHUNK);
            List<MapExtent> extents = randomExtents(random, sizeBytes);
            String text = split(sizeBytes, extents.toArray(MapExtent[]::new));
            DeviceTable parsed = parse(text).get(0);
            for (Target target : parsed.targets()) {
                if (target instanceof Target.Linear linear) {
                    assertThat(storeOffset(extents, linear.startByte())).isEqualTo(linear.offsetSectors() * 512);
                    assertThat(storeOffset(extents, linear.endByte() - 1))
                            .isEqualTo((linear.offsetSectors() + linear.lengthSectors()) * 512 - 1);
                }
            }
            assertThat(parsed.lengthSectors()).isEqualTo((sizeBytes + 511) / 512);
            if (parsed.targets().stream().anyMatch(t -> t instanceof Target.Cow)) {
                assertThat(parsed.joined().targets()).as(text).hasSize(1);
                assertThat(splitOf(parsed, extents)).isEqualTo(text);
            }
        }
    }

    private static List<MapExtent> randomExtents(Random random, long sizeBytes) {
        List<MapExtent> extents = new ArrayList<>();
        for (long offset = 0; offset < sizeBytes; ) {
            long length = Math.min(sizeBytes - offset, (1 + random.nextInt(4)) * (long) CHUNK);
            ChunkSource source =
                    switch (random.nextInt(4)) {
                        case 0 -> ORIGIN;
                        case 1 -> ZERO;
                        case 2 -> slot(CHUNK * (long) random.nextInt(1000), 1);
                        default -> slot(CHUNK * (long) random.nextInt(1000), CHUNK);
                    };
            extents.add(new MapExtent(offset, length, source));
            offset += length;
        }
        return extents;
    }

    private static long storeOffset(List<MapExtent> extents, long guestOffset) {
        MapExtent found = extents.stream()
                .filter(e -> guestOffset < e.guestOffset() + e.lengthBytes())
                .findFirst()
                .orElseThrow();
        return ((ChunkSource.Slot) found.source()).storeOffset() + guestOffset - found.guestOffset();
    }

    private static String split(long sizeBytes, MapExtent... extents) throws IOException {
        return splitOf(new DeviceTable("vm", List.of(Target.Cow.of("i", info(sizeBytes, 12)))), List.of(extents));
    }

    private static ImageInfo info(long sizeBytes, int chunkShift) {
        return new ImageInfo(
                Path.of("/s"),
                "ucow",
                1,
                "",
                new Geometry(sizeBytes, chunkShift),
                Optional.of(Path.of("/base")),
                0,
                false,
                0,
                0,
                0,
                0,
                true,
                Map.of());
    }

    private static String splitOf(DeviceTable table, List<MapExtent> extents) throws IOException {
        StringBuilder out = new StringBuilder();
        new TablePrinter(out, false).printSplit(table, cow -> extents::forEach);
        return out.toString();
    }

    private static MapExtent run(long chunk, long chunks, ChunkSource source) {
        return new MapExtent(chunk * CHUNK, chunks * CHUNK, source);
    }

    private static ChunkSource slot(long storeOffset, int storedBytes) {
        return new ChunkSource.Slot(storeOffset, storedBytes);
    }

    private static List<DeviceTable> parse(String text) throws IOException {
        return TableParser.parse(new StringReader(text), "vm.table", "vm");
    }
}
