package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.grack.nanojson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Snapshots of an image that is in use. */
class LayersIT {
    private static final int MEBIBYTES = 32;
    private static final Duration LOAD = Duration.ofSeconds(12);
    private static final Duration LOAD_LIMIT = Duration.ofMinutes(2);
    private static final int MAX_SNAPSHOTS = 30;

    @RegisterExtension
    private final UcowHome home = new UcowHome();

    private final long seed = System.nanoTime();
    private final Random random = new Random(seed);

    @BeforeAll
    static void needs() {
        Requirements.loop();
        Requirements.tools("fio", "losetup", "cmp", "dd", "cp", "getfattr");
    }

    @Test
    void layerHoldsWhatTheDiskHeldAndTheDiskGoesOn() throws Exception {
        Path image = home.create("vm.cow", home.randomFile("base", MEBIBYTES, 1));
        MountedImage mounted = home.mountAt(Files.createDirectory(home.path("mnt")), image);
        overwrite(mounted.file(), 3, 2);
        Path before = home.path("before");
        Tool.of("cp", mounted.file(), before).succeed();

        Tool.Result result = home.ucow("snapshot", mounted.file()).succeed();

        Path layer = home.path("vm.1.cow");
        assertThat(result.stdout()).isEqualTo(layer + "\n");
        assertThat(Tool.of("getfattr", "--only-values", "-n", "user.ucow.base", mounted.file())
                        .succeed()
                        .stdout())
                .isEqualTo(layer.toString());
        Tool.of("cmp", before, mounted.file()).succeed();
        overwrite(mounted.file(), 5, 4);
        Tool.of("cp", mounted.file(), home.path("after")).succeed();
        assertThat(chainOf(image))
                .extracting(i -> i.getString("image"))
                .containsExactly(
                        image.toString(), layer.toString(), home.path("base").toString());
        mounted.unmount();

        for (Path name : List.of(image, layer)) {
            home.check(name);
        }
        MountedImage both = home.mount("--read-only", image, layer);
        Tool.of("cmp", home.path("after"), both.dir().resolve("vm")).succeed();
        Tool.of("cmp", before, both.dir().resolve("vm.1")).succeed();
    }

    private void overwrite(Path file, int atMebibyte, int mebibytes) throws IOException {
        Path data = home.randomFile("data" + atMebibyte, mebibytes, atMebibyte);
        Tool.of("dd", "if=" + data, "of=" + file, "bs=1M", "seek=" + atMebibyte, "conv=notrunc,fsync")
                .succeed();
    }

    /** Whoever uses the disk sees neither the snapshots nor that the daemon is killed in the middle of one. */
    @Test
    void snapshotsAndKillsUnderLoad() throws Exception {
        Requirements.survival();
        System.out.println("LayersIT seed=" + seed);
        Path image = home.create("vm.cow", home.randomFile("base", MEBIBYTES, 1));
        Path device = home.attachKept(image);
        int taken = 0;
        int kills = 0;
        try (Tool.Running fio = fio(device).start()) {
            while (taken < MAX_SNAPSHOTS && !fio.hasEndedWithin(Duration.ofMillis(random.nextInt(300)))) {
                JsonObject row = home.awaitRow(image, r -> r.getString("state").equals("running"));
                try (Tool.Running snapshot = home.ucow("snapshot", image).start()) {
                    if (random.nextInt(3) == 0 && !snapshot.hasEndedWithin(Duration.ofMillis(random.nextInt(1500)))) {
                        home.killOnly(row.getLong("pid"));
                        kills++;
                    }
                    taken += snapshot.await().status() == 0 ? 1 : 0;
                }
            }
            assertThat(fio.await().status())
                    .as("seed %d: %s", seed, fio.stderr())
                    .isZero();
        }
        System.out.println("LayersIT snapshots=" + taken + " kills=" + kills);
        assertThat(taken).isPositive();
        home.awaitRow(image, r -> r.getString("state").equals("running"));
        home.detach(image);
        List<JsonObject> chain = chainOf(image);
        assertThat(chain).hasSizeGreaterThanOrEqualTo(taken + 2);
        for (JsonObject layer : chain.subList(0, chain.size() - 1)) {
            home.check(Path.of(layer.getString("image")));
        }
    }

    private List<JsonObject> chainOf(Path image) throws IOException {
        return UcowHome.objects(
                home.ucow("info", "--chain", "--json", image).succeed().stdout());
    }

    private Tool fio(Path device) {
        List<Object> arguments = new ArrayList<>(List.of("--name=load", "--filename=" + device));
        arguments.addAll(List.of("--size=" + MEBIBYTES + "m", "--rw=randrw", "--bs=4k", "--direct=1"));
        arguments.addAll(List.of("--ioengine=libaio", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1"));
        arguments.addAll(List.of("--verify_backlog=512", "--time_based", "--runtime=" + LOAD.toSeconds()));
        arguments.add("--randseed=" + (seed >>> 1));
        return Tool.of("fio", arguments.toArray()).in(home.root()).within(LOAD_LIMIT);
    }
}
