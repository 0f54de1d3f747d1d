package io.ucow.fuse;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.sys.Libc;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MountInfoTest {
    @Test
    void fieldsOfALine() throws IOException {
        String line = "36 35 0:41 / /run/ucow/vm1 rw,nosuid shared:7 master:1 - fuse.ucow ucow rw,user_id=0\n";
        MountInfo mount = MountInfo.parse(line).get(0);
        assertThat(mount).isEqualTo(new MountInfo(41, Path.of("/run/ucow/vm1"), "fuse.ucow", "ucow"));
        assertThat(mount.isUcow()).isTrue();
    }

    @Test
    void noOptionalFieldsAndAMajorNumber() throws IOException {
        MountInfo mount =
                MountInfo.parse("23 1 8:1 /sub / rw - ext4 /dev/sda1 rw\n").get(0);
        assertThat(mount).isEqualTo(new MountInfo(8L << 32 | 1, Path.of("/"), "ext4", "/dev/sda1"));
        assertThat(mount.isUcow()).isFalse();
    }

    @Test
    void octalEscapes() throws IOException {
        String path = "/a\\040b\\011c\\012d\\134e\\043f";
        MountInfo mount =
                MountInfo.parse("1 1 0:5 / " + path + " rw - fuse s\\040p rw").get(0);
        assertThat(mount.directory()).isEqualTo(Path.of("/a b\tc\nd\\e#f"));
        assertThat(mount.source()).isEqualTo("s p");
    }

    @Test
    void emptySource() throws IOException {
        assertThat(MountInfo.parse("1 1 0:5 / /mnt rw - tmpfs  rw").get(0).source())
                .isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"1 2 3", "1 1 0:5 / /mnt rw shared:1 tmpfs x rw", "1 1 x:5 / /mnt rw - tmpfs x rw", " "})
    void otherLinesAreNamed(String line) {
        assertThatThrownBy(() -> MountInfo.parse(line))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(line);
    }

    @Test
    void rootOfThisMachineIsFoundWithItsDevice() throws IOException {
        MountInfo root = MountInfo.at(Path.of("/")).orElseThrow();
        assertThat(root.device()).isEqualTo(Libc.statx(Path.of("/")).device());
        assertThat(MountInfo.current()).contains(root);
    }
}
