package io.ucow.cli.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.grack.nanojson.JsonArray;
import com.grack.nanojson.JsonObject;
import io.ucow.fuse.FileStats;
import io.ucow.store.ChunkSource;
import io.ucow.store.Compression;
import io.ucow.store.DeviceStats;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.MapExtent;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What people get to read. */
class TextTest {
    @Test
    void tableAlignsColumnsAndLeavesNoTrailingBlanks() {
        TextTable table = new TextTable("NAME", "N");
        table.add("a", "1");
        table.add("longer", "");

        assertThat(table.toString()).isEqualTo("NAME    N\na       1\nlonger\n");
        assertThatThrownBy(() -> table.add("one")).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void linesAreCutAtLineFeeds() {
        List<String> lines = new ArrayList<>();
        LineSink sink = new LineSink(lines::add);

        sink.append("one\ntw")
                .append('o')
                .append('\n')
                .append("xthreex\n", 1, 6)
                .append("\n\nrest");

        assertThat(lines).containsExactly("one", "two", "three", "");
    }

    @Test
    void mapIsALinePerExtent() {
        StringWriter text = new StringWriter();
        MapText map = new MapText(new PrintWriter(text));
        map.accept(new MapExtent(0, 0x10000, new ChunkSource.Slot(0x410000, 0x10000)));
        map.accept(new MapExtent(0x10000, 0x8000, new ChunkSource.Origin()));
        map.accept(new MapExtent(0x18000, 0x8000, new ChunkSource.Packed(0x420200, 0x1400)));

        assertThat(text.toString().lines())
                .containsExactly(
                        "Offset           Length           Source   Mapped to",
                        "0x0              0x10000          store    0x410000",
                        "0x10000          0x8000           base",
                        "0x18000          0x8000           store    0x420200 compressed");
    }

    @Test
    void infoSaysBothExactAndReadableSizes() {
        ImageInfo info = new ImageInfo(
                Path.of("/vm/a.cow"),
                "ucow",
                1,
                "u",
                new Geometry(1 << 30, 15),
                Optional.of(Path.of("/b")),
                512,
                true,
                1,
                0,
                4096,
                0,
                Compression.LZ4,
                true,
                1,
                8192,
                false,
                Map.of("extra", "fact"));

        assertThat(InfoText.of(info).lines())
                .contains(
                        "image: /vm/a.cow",
                        "virtual size: 1 GiB (1073741824 bytes)",
                        "base: /b (512 bytes)",
                        "base format: unknown",
                        "altered chunks: 1 of 32768 (0.1%)",
                        "zero chunks: 0 of 32768 (0%)",
                        "compression: lz4",
                        "checksums: yes",
                        "compressed chunks: 1 of 1 (100%)",
                        "logical bytes: 32 KiB (32768 bytes)",
                        "stored bytes: 8 KiB (8192 bytes)",
                        "saved bytes: 24 KiB (24576 bytes), 75%",
                        "extra: fact");
    }

    @Test
    void percentIsZeroOrHundredOnlyWhenExact() {
        assertThat(Percent.of(0, 10)).isEqualTo("0%");
        assertThat(Percent.of(0, 0)).isEqualTo("0%");
        assertThat(Percent.of(1, 1_000_000)).isEqualTo("0.1%");
        assertThat(Percent.of(1, 3)).isEqualTo("33%");
        assertThat(Percent.of(999_999, 1_000_000)).isEqualTo("99.9%");
        assertThat(Percent.of(7, 7)).isEqualTo("100%");
    }

    @Test
    void countersBecomeJsonByTheirNames() {
        var latency = new FileStats.Latency(5, 31, 120, 2900);
        var none = new FileStats.Latency(0, 0, 0, 0);

        JsonObject json = RecordJson.of(new FileStats(1, 2, 3, 4, 5, 6, 7, 8, none, latency, none));

        assertThat(json)
                .containsEntry("reads", 1L)
                .containsEntry("errors", 8L)
                .containsKeys("readLatency", "writeLatency", "flushLatency");
        assertThat(json.getObject("writeLatency"))
                .containsEntry("p50Micros", 5L)
                .containsEntry("maxMicros", 2900L);
    }

    @Test
    void statusShowsRatesFromTheSecondTimeOn() {
        StatusText text = new StatusText();

        String first = text.of(status(100));
        String second = text.of(status(100_000_000));

        assertThat(first).contains("/mnt/a, /dev/loop0, 1 GiB, transport jnr").contains("5 us");
        assertThat(row(first, "reads"))
                .containsExactly("reads", "100", "0", "B", "5", "us", "31", "us", "120", "us", "2900", "us");
        assertThat(Long.parseLong(row(second, "reads").get(2))).isPositive();
        assertThat(first).contains("journal 1 of 4 records (25%)");
        assertThat(first).contains("compressed chunks 3; logical 128 KiB, stored 40 KiB, saved 88 KiB\n");
        assertThat(text.of(new JsonArray())).isEqualTo("Nothing is mounted or attached.\n");
    }

    private static List<String> row(String text, String name) {
        String line =
                text.lines().filter(l -> l.strip().startsWith(name)).findFirst().orElseThrow();
        return List.of(line.strip().split(" +", -1));
    }

    private static JsonArray status(long reads) {
        var latency = new FileStats.Latency(5, 31, 120, 2900);
        JsonObject device = new JsonObject();
        device.put("file", "/mnt/a");
        device.put("loop", "/dev/loop0");
        device.put("transport", "jnr");
        device.put("sizeBytes", 1L << 30);
        device.put("readOnly", false);
        device.putAll(RecordJson.of(new FileStats(reads, 0, 0, 0, 0, 0, 0, 0, latency, latency, latency)));
        JsonObject store = new JsonObject();
        store.put("image", "/vm/a.cow");
        store.putAll(RecordJson.of(new DeviceStats(0, 0, 0, 4, 0, 1, 4, 0, 0, 3, 4 << 15, 40960, 0)));
        device.put("stores", JsonArray.from(store));
        return JsonArray.from(device);
    }
}
