package io.ucow.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The archive of loaded classes that the build makes with {@code class-archive}: used when it fits, and of no harm when it
 * does not. What is built is copied, and the copy spoilt.
 */
@Tag("once")
class ClassArchiveIT {
    private static final Path PROJECT = Ucow.BIN.toAbsolutePath().getParent().getParent();
    private static final String JAVA_HOME = System.getProperty("java.home");

    @TempDir
    private static Path copy;

    /** Where the builder put it; its name tells its length. */
    private static Path made;

    @BeforeAll
    static void copyTheProgram() throws IOException {
        Files.createDirectories(target());
        Tool.of("cp", "--archive", PROJECT.resolve("bin"), copy).succeed();
        Tool.of("cp", "--archive", built("lib"), built("ucow-cli.jar"), target())
                .succeed();
        classArchive().succeed();
        assertThat(archives()).hasSize(1);
        made = archives().get(0);
        Tool.of("cp", "--archive", made, copy.resolve("sound.jsa")).succeed();
    }

    @BeforeEach
    void layOutSoundArchive() throws IOException {
        remove();
        Tool.of("cp", "--archive", copy.resolve("sound.jsa"), made).succeed();
    }

    @Test
    void commandsTakeTheirClassesFromIt() throws IOException {
        assertThat(ucow("list", "-Xlog:class+load").succeed().stdout())
                .contains("io.ucow.cli.UcowCli source: shared objects file");
    }

    @Test
    void daemonsTakeTheirClassesFromIt() throws IOException {
        String classes = ucow("daemon", "-Xlog:class+load:stderr").run().stderr();

        assertThat(classes).contains("io.ucow.cli.daemon.DaemonMain source: shared objects file");
    }

    /** They take about as long to load as the command line to read: to call the wrong method does the one after the other. */
    @Test
    void systemCallsAreLoadedWhileTheCommandLineIsRead() throws IOException {
        Tool create = Tool.of(copy.resolve("bin/ucow"), "create", "--size", "1M", copy.resolve("image"))
                .with("JAVA_HOME", JAVA_HOME)
                .with("UCOW_JAVA_OPTIONS", "-Xlog:class+load:stdout:tid");

        List<String> loaded = create.succeed().stdout().lines().toList();

        assertThat(threadThatLoaded("io.ucow.sys.Libc$Calls$jnr", loaded))
                .isNotEqualTo(threadThatLoaded("picocli.CommandLine$Model$CommandSpec ", loaded));
    }

    private static String threadThatLoaded(String start, List<String> loaded) {
        return loaded.stream()
                .map(line -> line.split("] ", 2))
                .filter(line -> line.length == 2 && line[1].startsWith(start))
                .findFirst()
                .orElseThrow()[0];
    }

    @Test
    void oneThatFitsIsKept() throws IOException {
        FileTime time = Files.getLastModifiedTime(made);

        classArchive().succeed();

        assertThat(archives()).containsExactly(made);
        assertThat(Files.getLastModifiedTime(made)).isEqualTo(time);
    }

    @Test
    void oneOfOtherJarsIsPassedOverAndMadeAnew() throws IOException {
        Path jar = target().resolve("ucow-cli.jar");
        FileTime time = Files.getLastModifiedTime(jar);
        Files.setLastModifiedTime(jar, FileTime.fromMillis(time.toMillis() + 10_000));
        try {
            assertListWorksWithoutArchive();

            classArchive().succeed();
            assertThat(archives()).hasSize(1);
            ucow("list", "-Xshare:on").succeed();
        } finally {
            Files.setLastModifiedTime(jar, time);
        }
    }

    @Test
    void oneWithForeignBytesIsPassedOver() throws IOException {
        byte[] foreign = new byte[1 << 20];
        new Random(1).nextBytes(foreign);
        try (RandomAccessFile file = new RandomAccessFile(made.toFile(), "rw")) {
            file.seek(file.length() / 2);
            file.write(foreign);
        }

        assertListWorksWithoutArchive();
    }

    @Test
    void oneThatWasCutShortIsPassedOver() throws IOException {
        for (long lost : new long[] {1, 100_000, Files.size(made) - 1}) {
            try (RandomAccessFile file = new RandomAccessFile(made.toFile(), "rw")) {
                file.setLength(file.length() - lost);
            }
            assertListWorksWithoutArchive();
            layOutSoundArchive();
        }
    }

    @Test
    void twoBuildersDoNotMeet() throws IOException {
        remove();

        try (Tool.Running first = classArchive().start();
                Tool.Running second = classArchive().start()) {
            assertThat(first.await().status()).isZero();
            assertThat(second.await().status()).isZero();
        }

        ucow("list", "-Xshare:on").succeed();
        try (DirectoryStream<Path> left = Files.newDirectoryStream(target(), "class-archive.*")) {
            assertThat(left).isEmpty();
        }
    }

    private static void remove() throws IOException {
        for (Path one : archives()) {
            Files.delete(one);
        }
    }

    /** Nothing is said about the archive, for standard output is the command's. */
    private static void assertListWorksWithoutArchive() throws IOException {
        Tool.Result result = ucow("list", "").succeed();
        assertThat(result.stdout()).isEqualTo("IMAGE  FILE  LOOP  PID  TRANSPORT  STATE\n");
        assertThat(result.stderr()).isEmpty();
        assertThat(ucow("list", "-Xlog:class+load").succeed().stdout())
                .doesNotContain("UcowCli source: shared objects file");
    }

    private static Tool classArchive() {
        return Tool.of(PROJECT.resolve("cli/src/main/sh/class-archive"), JAVA_HOME, target());
    }

    private static Tool ucow(String verb, String javaOptions) {
        return Tool.of(copy.resolve("bin/ucow"), verb)
                .with("JAVA_HOME", JAVA_HOME)
                .with("UCOW_JAVA_OPTIONS", javaOptions)
                .with("UCOW_RUN_DIR", copy.resolve("run").toString());
    }

    private static List<Path> archives() throws IOException {
        List<Path> found = new ArrayList<>();
        try (DirectoryStream<Path> all = Files.newDirectoryStream(target(), "*.jsa")) {
            all.forEach(found::add);
        }
        return found;
    }

    private static Path built(String name) {
        return PROJECT.resolve("cli/target").resolve(name);
    }

    private static Path target() {
        return copy.resolve("cli/target");
    }
}
