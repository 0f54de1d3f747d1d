package io.ucow.loop;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.jimfs.Configuration;
import com.google.common.jimfs.Jimfs;
import java.io.IOException;
import java.nio.file.FileSystem;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class LoopUsersTest {
    private FileSystem fileSystem;
    private Path proc;
    private Path sysfs;

    @BeforeEach
    void makeProc() throws IOException {
        fileSystem = Jimfs.newFileSystem(Configuration.unix());
        proc = Files.createDirectories(fileSystem.getPath("/proc"));
        sysfs = Files.createDirectories(fileSystem.getPath("/sys/block/loop1"));
        Files.createDirectory(proc.resolve("self"));
        mounts("22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw");
    }

    @AfterEach
    void closeProc() throws IOException {
        fileSystem.close();
    }

    @Test
    void nobody() throws IOException {
        assertThat(describe()).isEmpty();
    }

    @Test
    void mountOfTheDiskOrAPartitionButNotOfALongerNumber() throws IOException {
        mounts(
                "30 22 7:1 / /mnt/my\\040disk rw - ext4 /dev/loop1 rw",
                "31 22 7:11 / /eleven rw shared:2 master:1 - ext4 /dev/loop11 rw",
                "32 22 259:0 / /boot rw shared:3 - vfat /dev/loop1p2 rw");

        assertThat(describe()).isEqualTo("mounted on /mnt/my disk, mounted on /boot");
    }

    @Test
    void deviceMapperOnAPartition() throws IOException {
        Files.createDirectories(sysfs.resolve("holders"));
        Files.createDirectories(sysfs.resolve("loop1p1/holders/dm-4"));

        assertThat(describe()).isEqualTo("held by dm-4");
    }

    @Test
    void programThatHasItOpen() throws IOException {
        process("7", "fio", "/tmp/log", "/dev/loop1");
        process("8", "sh", "/dev/tty", "/dev/loop11");

        assertThat(describe()).isEqualTo("open in fio (pid 7)");
    }

    private String describe() throws IOException {
        return new LoopUsers(proc).describe(fileSystem.getPath("/dev/loop1"), sysfs);
    }

    private void mounts(String... lines) throws IOException {
        Files.write(proc.resolve("self/mountinfo"), List.of(lines));
    }

    private void process(String pid, String command, String... open) throws IOException {
        Path descriptors = Files.createDirectories(proc.resolve(pid).resolve("fd"));
        Files.writeString(proc.resolve(pid).resolve("comm"), command + "\n");
        for (int i = 0; i < open.length; i++) {
            Files.createSymbolicLink(descriptors.resolve(Integer.toString(i)), fileSystem.getPath(open[i]));
        }
    }
}
