package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucow.store.CreateOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** One writer for a store (G6): whoever comes second is refused, and told why, and changes nothing. */
class SecondOpenIT {
    private static final int BUSY = 12;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path image;
    private Path dir;

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("cmp");
    }

    @BeforeEach
    void createImage() throws IOException {
        base = home.randomFile("base", 4, 1);
        image = home.create("vm.cow", base);
        dir = Files.createDirectory(home.path("second"));
    }

    @Test
    void mountedImageIsRefusedToAll() throws Exception {
        MountedImage mounted = home.mount(image);

        refused(home.ucow("mount", image, dir), "already mounted at " + mounted.dir());
        refused(home.ucow("mount", "--read-only", image, dir), "already mounted at " + mounted.dir());
        refused(home.ucow("attach", image), "already mounted at " + mounted.dir());
        refused(home.in("other", "mount", image, dir), "is in use by another process");
        refused(home.in("other", "mount", "--read-only", image, dir), "is in use by another process");
        refused(home.in("other", "attach", image), "is in use by another process");
        home.ucow("check", image).exit(1);
        home.in("other", "check", image).exit(1);

        stillServed(mounted.file());
        assertThat(home.list()).hasSize(1);
        mounted.unmount();
        home.in("other", "mount", image, dir).succeed();
    }

    @Test
    @Tag("once")
    void attachedImageIsRefusedToAll() throws Exception {
        Path device = home.attach(image);

        refused(home.ucow("mount", image, dir), "already attached as " + device);
        refused(home.ucow("attach", image), "already attached as " + device);
        refused(home.in("other", "mount", image, dir), "is in use by another process");
        refused(home.in("other", "attach", image), "is in use by another process");

        stillServed(device);
        assertThat(home.loopDevices()).containsExactly(device);
    }

    @Test
    @Tag("once")
    void otherNamesOfTheImageAreTheSameImage() throws Exception {
        MountedImage mounted = home.mount(image);
        Path symbolic = Files.createSymbolicLink(home.path("symbolic.cow"), image);
        Path hard = Files.createLink(home.path("hard.cow"), image);

        refused(home.ucow("attach", symbolic), "already mounted at " + mounted.dir());
        refused(home.ucow("attach", hard), "is in use by another process");
        refused(home.ucow("attach", "./vm.cow"), "already mounted at " + mounted.dir());
        stillServed(mounted.file());
    }

    @Test
    @Tag("once")
    void oneImageTwiceInOneMountIsRefused() throws Exception {
        Path symbolic = Files.createSymbolicLink(home.path("symbolic.cow"), image);

        Tool.Result result = home.ucow("mount", image, symbolic, dir).run();

        assertThat(result.status()).as("%s", result).isIn(11, BUSY);
        assertThat(result.stderr().strip().lines()).as("%s", result).hasSize(1);
        assertThat(home.list()).isEmpty();
    }

    @Test
    void directoryInUseIsRefused() throws Exception {
        MountedImage mounted = home.mount(image);
        Path other = home.create("b.cow", base);

        refused(home.ucow("mount", other, mounted.dir()), "serves vm there; choose another directory");
        refused(home.in("other", "mount", other, mounted.dir()), "is mounted there already");
        stillServed(mounted.file());
    }

    @Test
    @Tag("once")
    void readersOfOneImageDoNotExcludeEachOther() throws Exception {
        MountedImage mounted = home.mount("--read-only", image);

        home.in("other", "mount", "--read-only", image, dir).succeed();
        home.in("other", "check", image).succeed();

        stillServed(mounted.file());
        stillServed(dir.resolve("vm"));
        refused(home.in("third", "attach", image), "is in use by another process");
    }

    /** Through the daemon that has it, by every name. */
    @Test
    void openImageTellsOfItself() throws Exception {
        MountedImage mounted = home.mount(image);
        try (DirectFile device = DirectFile.open(mounted.file())) {
            device.write(1 << 20, new byte[CreateOptions.DEFAULT_CHUNK_BYTES]);
        }

        for (Path name : new Path[] {image, mounted.file()}) {
            assertThat(UcowHome.object(
                                    home.ucow("info", "--json", name).succeed().stdout())
                            .getLong("alteredChunks"))
                    .isEqualTo(1);
            assertThat(UcowHome.objects(
                            home.ucow("map", "--json", name).succeed().stdout()))
                    .extracting(extent -> extent.getString("source"))
                    .containsExactly("base", "store", "base");
            assertThat(home.ucow("table", name).succeed().stdout().lines())
                    .hasSize(3)
                    .element(1)
                    .asString()
                    .contains(" linear " + image);
        }
        refused(home.in("other", "info", image), "is in use by another process");
    }

    private static void refused(Tool second, String reason) throws IOException {
        Tool.Result result = second.exit(BUSY);
        assertThat(result.stderr()).startsWith("ucow: ").contains(reason);
        assertThat(result.stderr().strip().lines()).as("%s", result).hasSize(1);
        assertThat(result.stdout()).isEmpty();
    }

    private void stillServed(Path file) throws IOException {
        Tool.of("cmp", base, file).succeed();
    }
}
