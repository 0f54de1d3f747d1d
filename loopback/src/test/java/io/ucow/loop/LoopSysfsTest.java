package io.ucow.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LoopSysfsTest {
    private FileSystem fileSystem;
    private Path block;
    private LoopSysfs sysfs;

    @BeforeEach
    void makeSysfs() throws IOException {
        fileSystem = Jimfs.newFileSystem(Configuration.unix());
        block = Files.createDirectories(fileSystem.getPath("/sys/block"));
        sysfs = new LoopSysfs(block);
    }

    @AfterEach
    void closeSysfs() throws IOException {
        fileSystem.close();
    }

    @Test
    void everyFieldComesFromItsOwnAttribute() throws IOException {
        device(3, 77);
        attach(3, "/images/vm1");
        attribute(3, "size", "2048");
        attribute(3, "loop/offset", "65536");
        attribute(3, "loop/sizelimit", "1048576");
        attribute(3, "queue/logical_block_size", "4096");
        attribute(3, "loop/dio", "1");
        attribute(3, "loop/autoclear", "1");

        assertThat(sysfs.read(3))
                .contains(new LoopState(
                        3,
                        77,
                        "/images/vm1",
                        false,
                        65536,
                        1048576,
                        1048576,
                        new LoopOptions(false, true, false, 4096, true)));
    }

    @Test
    void readOnlyAndPartitionScanAreToldApart() throws IOException {
        device(0, 1);
        attach(0, "/a");
        attribute(0, "ro", "1");
        device(1, 2);
        attach(1, "/b");
        attribute(1, "loop/partscan", "1");

        assertThat(sysfs.list())
                .extracting(LoopState::options)
                .containsExactly(
                        new LoopOptions(true, false, false, 512, false),
                        new LoopOptions(false, false, true, 512, false));
    }

    @Test
    void freeDevicesAndOtherDisksAreNotListed() throws IOException {
        device(0, 1);
        device(10, 2);
        attach(10, "/ten");
        device(9, 3);
        attach(9, "/nine");
        Files.createDirectories(block.resolve("loopback/loop"));
        Files.createDirectories(block.resolve("sda"));

        assertThat(sysfs.list()).extracting(LoopState::number).containsExactly(9, 10);
        assertThat(sysfs.read(0)).isEmpty();
        assertThat(sysfs.read(1)).isEmpty();
    }

    @Test
    void deletedMarkIsTakenOffThePath() throws IOException {
        device(0, 1);
        attach(0, "/mnt/vm1 (deleted)");

        LoopState state = sysfs.read(0).orElseThrow();

        assertThat(state.backingFile()).isEqualTo("/mnt/vm1");
        assertThat(state.backingDeleted()).isTrue();
    }

    @Test
    void namesWithBlanksAndLineFeedsStayWhole() throws IOException {
        device(0, 1);
        attach(0, "/a b\n");

        assertThat(sysfs.read(0).orElseThrow().backingFile()).isEqualTo("/a b\n");
    }

    @Test
    void halfAttachedDeviceIsNotListed() throws IOException {
        device(0, 1);
        attach(0, "/a");
        Files.delete(block.resolve("loop0/loop/dio"));

        assertThat(sysfs.list()).isEmpty();
    }

    @Test
    void kernelWithoutDiskSequenceHasZero() throws IOException {
        device(0, 1);
        attach(0, "/a");
        Files.delete(block.resolve("loop0/diskseq"));

        assertThat(sysfs.read(0).orElseThrow().diskSequence()).isZero();
    }

    @Test
    void attributeThatIsNoNumberIsNamed() throws IOException {
        device(0, 1);
        attach(0, "/a");
        attribute(0, "size", "big");

        assertThatThrownBy(() -> sysfs.read(0)).hasMessage("/sys/block/loop0/size: expected a number, found 'big'");
    }

    private void device(int number, long diskSequence) throws IOException {
        Files.createDirectories(block.resolve("loop" + number + "/queue"));
        attribute(number, "diskseq", Long.toString(diskSequence));
        attribute(number, "size", "0");
        attribute(number, "ro", "0");
        attribute(number, "queue/logical_block_size", "512");
    }

    private void attach(int number, String file) throws IOException {
        Files.createDirectory(block.resolve("loop" + number + "/loop"));
        attribute(number, "loop/backing_file", file);
        for (String name : new String[] {"offset", "sizelimit", "autoclear", "partscan", "dio"}) {
            attribute(number, "loop/" + name, "0");
        }
    }

    private void attribute(int number, String name, String value) throws IOException {
        Files.writeString(block.resolve("loop" + number).resolve(name), value + "\n");
    }
}
