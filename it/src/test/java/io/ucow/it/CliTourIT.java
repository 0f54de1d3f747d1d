package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import io.ucow.sys.Libc;
import java.io.IOException;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.xml.sax.InputSource;

/** Every verb doing what it is for, its results read by a program. */
class CliTourIT {
    private static final int MIB = 1 << 20;
    private static final int CHUNK = 32 << 10;
    private static final Duration LIMIT = Duration.ofSeconds(20);

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private Path base;
    private Path image;

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("cmp", "umount", "losetup", "getfattr", "timeout");
    }

    @BeforeEach
    void createImage() throws IOException {
        base = home.randomFile("base", 4, 1);
        image = home.create("vm.cow", base);
    }

    @Test
    void createdImageIsDescribed() throws Exception {
        Path grown = home.create("grown.cow", base, "--size", "1.5G", "--chunk", "4k");

        JsonObject info = info(grown);

        assertThat(info.getString("image")).isEqualTo(grown.toString());
        assertThat(info.getString("format")).isEqualTo("ucow");
        assertThat(info.getLong("sizeBytes")).isEqualTo(1536L * MIB);
        assertThat(info.getLong("chunkBytes")).isEqualTo(4096);
        assertThat(info.getString("base")).isEqualTo(base.toString());
        assertThat(info.getLong("baseSizeBytes")).isEqualTo(4 * MIB);
        assertThat(info.getLong("alteredChunks")).isZero();
        assertThat(info.getBoolean("clean")).isTrue();
        assertThat(home.ucow("info", grown).succeed().stdout()).contains("1.50 GiB", base.toString(), "closed cleanly");
        home.ucow("create", "--size", "1M", home.path("zeros.cow")).succeed();
        assertThat(info(home.path("zeros.cow")).isNull("base")).isTrue();
        assertThat(info(image).getLong("chunkBytes")).as("default").isEqualTo(CHUNK);
    }

    @Test
    void mountedFilesAreListedAndCounted() throws Exception {
        Path second = home.create("vm2.cow", base);
        MountedImage mounted = home.mount(image, second);
        try (DirectFile device = DirectFile.open(mounted.file())) {
            device.write(MIB, new byte[DirectFile.BLOCK]);
            device.write(MIB, new byte[DirectFile.BLOCK]);
            device.read(0, DirectFile.BLOCK);
            device.punch(2 * MIB, CHUNK);
            device.sync();
        }

        assertThat(home.list())
                .extracting(row -> row.getString("file"))
                .containsExactly(
                        mounted.dir().resolve("vm").toString(),
                        mounted.dir().resolve("vm2").toString());
        JsonObject row = home.list().get(0);
        assertThat(row.keySet())
                .containsExactlyInAnyOrder("image", "pid", "dir", "file", "loop", "transport", "keeper", "state");
        assertThat(row.getString("state")).isEqualTo("running");
        assertThat(ProcessHandle.of(row.getLong("pid"))).isPresent();
        assertThat(home.ucow("list").succeed().stdout()).contains(image.toString(), "running");

        JsonObject status = home.objectsOf("status", image).get(0);
        assertThat(status.getLong("writes")).isEqualTo(2);
        assertThat(status.getLong("writtenBytes")).isEqualTo(2 * DirectFile.BLOCK);
        assertThat(status.getLong("reads")).isEqualTo(1);
        assertThat(status.getLong("discards")).isEqualTo(1);
        assertThat(status.getLong("flushes")).isEqualTo(1);
        assertThat(status.getObject("writeLatency").getLong("maxMicros")).isPositive();
        JsonObject store = status.getArray("stores").getObject(0);
        assertThat(store.getLong("copies")).isEqualTo(1);
        assertThat(store.getLong("alteredChunks")).isEqualTo(1);
        assertThat(store.getLong("zeroChunks")).isEqualTo(1);
        assertThat(home.objectsOf("status", mounted.dir())).hasSize(2);
        assertThat(UcowHome.objects(home.ucow("status", "--json").succeed().stdout()))
                .hasSize(2);
        assertThat(home.ucow("status").succeed().stdout()).contains("vm");
        assertThat(Tool.of("getfattr", "--only-values", "-n", "user.ucow.base", mounted.file())
                        .succeed()
                        .stdout())
                .isEqualTo(base.toString());
    }

    @Test
    void statusIsWatched() throws Exception {
        MountedImage mounted = home.mount(image);
        try (Tool.Running watch =
                home.ucow("status", "--watch", "--json", image).within(LIMIT).start()) {
            watch.awaitStdout("two lines", out -> out.lines().count() >= 2);
            mounted.unmount();
            assertThat(watch.await().status()).as("ends with the mount").isEqualTo(10);
            watch.stdout()
                    .lines()
                    .forEach(line -> assertThat(UcowHome.objects(line)).hasSize(1));
        }
    }

    @Test
    void mapIsReadByProgramsAndEyes() throws Exception {
        MountedImage mounted = home.mount(image);
        try (DirectFile device = DirectFile.open(mounted.file())) {
            device.write(MIB, new byte[2 * CHUNK]);
            device.punch(2 * MIB, CHUNK);
        }
        for (int round = 0; round < 2; round++) {
            List<JsonObject> extents = home.objectsOf("map", image);
            assertThat(extents)
                    .extracting(e -> e.getString("source"))
                    .containsExactly("base", "store", "base", "zero", "base");
            assertThat(extents)
                    .extracting(e -> e.getLong("length"))
                    .containsExactly((long) MIB, 2L * CHUNK, (long) MIB - 2 * CHUNK, (long) CHUNK, 2L * MIB - CHUNK);
            assertThat(home.ucow("map", image).succeed().stdout().lines()).hasSize(6);
            String svg = home.ucow("map", "--svg", image).succeed().stdout();
            assertThat(DocumentBuilderFactory.newInstance()
                            .newDocumentBuilder()
                            .parse(new InputSource(new StringReader(svg)))
                            .getDocumentElement()
                            .getTagName())
                    .isEqualTo("svg");
            if (round == 0) {
                mounted.unmount(); // the second round reads the file itself
            }
        }
    }

    @Test
    void attachedDeviceIsADisk() throws Exception {
        Path device = home.attach(image);
        Tool.of("cmp", base, device).succeed();
        JsonObject row = home.list().get(0);
        assertThat(row.getString("loop")).isEqualTo(device.toString());
        assertThat(info(device).getString("image")).isEqualTo(image.toString());
        home.detach(device);
        assertThat(home.list()).isEmpty();

        device = home.attach("--read-only", "--sector-size", "4096", "--no-direct-io", image);
        assertThat(Tool.of("losetup", "-n", "-O", "RO,DIO,LOG-SEC", device)
                        .succeed()
                        .line()
                        .strip()
                        .replaceAll(" +", " "))
                .isEqualTo("1 0 4096");
    }

    @Test
    void checkReportsWhatItSaw() throws Exception {
        JsonObject report =
                UcowHome.object(home.ucow("check", "--json", image).succeed().stdout());

        assertThat(report.getBoolean("sound")).isTrue();
        assertThat(report.getArray("corruptions")).isEmpty();
        assertThat(home.ucow("check", image).succeed().stdout()).contains("No errors");
    }

    @Test
    void pluginsAreListed() throws Exception {
        List<JsonObject> plugins =
                UcowHome.objects(home.ucow("plugins", "--json").succeed().stdout());

        assertThat(plugins)
                .filteredOn(p -> p.getString("kind").equals("format"))
                .extracting(p -> p.getString("name"))
                .contains("ucow");
        assertThat(plugins)
                .filteredOn(p -> p.getString("kind").equals("transport"))
                .anyMatch(p -> p.getBoolean("usable"))
                .extracting(p -> p.getString("name"))
                .containsExactly("direct", "jnr");
    }

    @Test
    void helpIsOnStandardOutput() throws Exception {
        assertThat(home.ucow("--help").succeed().stdout()).contains("create", "plugins");
        for (String verb : List.of(
                "create mount unmount attach detach restart list status info map table check plugins".split(" ", -1))) {
            assertThat(home.ucow(verb, "--help").succeed().stdout()).contains("ucow " + verb);
        }
        assertThat(home.ucow("--version").succeed().stdout()).isNotBlank();
    }

    @Test
    void foregroundEndsOnTerm() throws Exception {
        Path dir = Files.createDirectory(home.path("dir"));
        try (Tool.Running daemon =
                home.ucow("mount", "--foreground", image, dir).within(LIMIT).start()) {
            daemon.awaitStdout("the file's name", out -> out.endsWith("\n"));
            assertThat(daemon.stdout()).isEqualTo(dir.resolve("vm") + "\n");
            Tool.of("cmp", base, dir.resolve("vm")).succeed();

            ProcessHandle.of(daemon.pid()).orElseThrow().destroy();

            assertThat(daemon.await().status()).isIn(0, 128 + 15);
        }
        assertThat(home.mountPoints()).isEmpty();
        assertThat(home.leftInRunDirectories()).isEmpty();
        assertThat(info(image).getBoolean("clean")).isTrue();
    }

    @Test
    void umountFromOutsideEndsTheDaemon() throws Exception {
        MountedImage mounted = home.mount(image);

        Tool.of("umount", mounted.dir()).succeed();

        Libc.awaitExit(mounted.pid());
        assertThat(home.list()).isEmpty();
        assertThat(home.leftInRunDirectories()).isEmpty();
        assertThat(info(image).getBoolean("clean")).isTrue();
    }

    private JsonObject info(Path target) throws IOException {
        return UcowHome.object(home.ucow("info", "--json", target).succeed().stdout());
    }
}
