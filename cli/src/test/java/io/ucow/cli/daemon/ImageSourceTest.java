package io.ucow.cli.daemon;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CacheMode;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ImageSourceTest {
    @TempDir
    Path temporary;

    private static MountSpec spec(List<Path> images, Optional<String> table) {
        return new MountSpec(
                "id",
                Path.of("/mnt/d"),
                false,
                "auto",
                CacheMode.WRITEBACK,
                false,
                true,
                Optional.empty(),
                images,
                table,
                "t");
    }

    @ParameterizedTest
    @CsvSource({"vm1.cow, vm1", "vm1, vm1", "a.b.cow, a.b", ".cow, .cow", "x., x"})
    void fileIsNamedAfterTheImage(String image, String name) {
        assertThat(ImageSource.nameOf(Path.of("/vm", image))).isEqualTo(name);
    }

    @Test
    void twoImagesThatWouldBeOneFileAreRefused() {
        MountSpec spec = spec(List.of(Path.of("/a/vm.cow"), Path.of("/b/vm.img")), Optional.empty());

        assertThatThrownBy(() -> DeviceSource.of(spec))
                .isInstanceOf(FileAlreadyExistsException.class)
                .hasMessageContaining("/b/vm.img")
                .hasMessageContaining("/a/vm.cow");
    }

    @Test
    void failureToOpenOneClosesTheOthers() throws Exception {
        Path good = temporary.resolve("good.cow");
        Images.create(new CreateOptions(good, Optional.empty(), OptionalLong.of(1 << 20), 65536, "ucow"));
        Path bad = Files.write(temporary.resolve("bad.cow"), new byte[8192]);
        DeviceSource source = DeviceSource.of(spec(List.of(good, bad), Optional.empty()));

        assertThatThrownBy(source::open).isInstanceOf(IOException.class);

        Images.open(good, false).close();
    }

    @Test
    void aTableNamesItsFilesAndTheirImages() throws Exception {
        String table = "a: 0 256 cow A - /vm/a.cow 128\na: 256 8 zero\nb: 0 8 zero\n";

        List<ServedFile> files =
                DeviceSource.of(spec(List.of(), Optional.of(table))).files();

        assertThat(files)
                .containsExactly(
                        new ServedFile("a", List.of(Path.of("/vm/a.cow")), Optional.empty()),
                        new ServedFile("b", List.of(), Optional.empty()));
    }

    @Test
    void requestsSurviveTheWayThroughText() throws Exception {
        MountSpec images = spec(List.of(Path.of("/a b"), Path.of("/ä\"")), Optional.empty());
        MountSpec table = spec(List.of(), Optional.of("0 8 zero\n"));

        assertThat(MountSpec.fromJson(images.toJson())).isEqualTo(images);
        assertThat(MountSpec.fromJson(table.toJson())).isEqualTo(table);
        assertThat(table.toJson()).doesNotContain("\n");
        assertThatThrownBy(() -> MountSpec.fromJson("{")).isInstanceOf(IOException.class);
    }
}
