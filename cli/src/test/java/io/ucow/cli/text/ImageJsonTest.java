package io.ucow.cli.text;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonParser;
import com.grack.nanojson.JsonWriter;
import io.ucow.store.ChunkSource;
import io.ucow.store.Compression;
import io.ucow.store.Geometry;
import io.ucow.store.ImageInfo;
import io.ucow.store.MapExtent;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageJsonTest {
    @ParameterizedTest
    @ValueSource(strings = {"", "/vm/base \"1\".img"})
    void infoSurvivesTheWayThroughText(String base) throws Exception {
        Optional<Path> basePath = base.isEmpty() ? Optional.empty() : Optional.of(Path.of(base));
        ImageInfo info = new ImageInfo(
                Path.of("/vm/ä b\n.cow"),
                "ucow",
                1,
                "u-u-i-d",
                new Geometry(5L << 40, 15),
                basePath,
                4L << 40,
                basePath.isPresent(),
                123,
                45,
                678,
                0,
                Compression.LZ4,
                true,
                9,
                123456,
                true,
                Map.of("journal", "3 of 4"));

        String text = JsonWriter.string(ImageJson.of(info));

        assertThat(text).doesNotContain("\n");
        assertThat(ImageJson.toInfo(JsonParser.object().from(text))).isEqualTo(info);
    }

    @Test
    void infoHasTheDocumentedMembers() {
        ImageInfo info = new ImageInfo(
                Path.of("/a.cow"),
                "ucow",
                1,
                "u",
                new Geometry(1 << 20, 16),
                Optional.empty(),
                0,
                false,
                1,
                2,
                3,
                0,
                false,
                Map.of());

        assertThat(ImageJson.of(info).keySet())
                .containsExactly(
                        "image",
                        "format",
                        "formatVersion",
                        "uuid",
                        "sizeBytes",
                        "chunkBytes",
                        "base",
                        "baseFormat",
                        "baseSizeBytes",
                        "alteredChunks",
                        "zeroChunks",
                        "allocatedBytes",
                        "maxBytes",
                        "compression",
                        "checksums",
                        "packedChunks",
                        "packedBytes",
                        "logicalBytes",
                        "storedBytes",
                        "savedBytes",
                        "clean",
                        "details");
    }

    @Test
    void extentsSurviveTheWayThroughText() throws Exception {
        for (ChunkSource source : new ChunkSource[] {
            new ChunkSource.Origin(),
            new ChunkSource.Zero(),
            new ChunkSource.Slot(1L << 41, 4096),
            new ChunkSource.Packed(1L << 41, 512)
        }) {
            MapExtent extent = new MapExtent(1L << 40, 3L << 33, source);

            String text = JsonWriter.string(ImageJson.of(extent));

            assertThat(ImageJson.toExtent(JsonParser.object().from(text))).isEqualTo(extent);
        }
    }

    @Test
    void onlyWhatIsInTheStoreHasAnOffset() {
        assertThat(ImageJson.of(new MapExtent(0, 8, new ChunkSource.Zero())).keySet())
                .containsExactly("start", "length", "source");
        assertThat(ImageJson.of(new MapExtent(0, 8, new ChunkSource.Slot(16, 8))))
                .containsEntry("source", "store")
                .containsEntry("offset", 16L)
                .containsEntry("stored", 8)
                .containsEntry("compressed", false);
    }
}
