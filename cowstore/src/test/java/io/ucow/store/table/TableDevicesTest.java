package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class TableDevicesTest {
    private final MemoryDevice store = MemoryDevice.random(16 * 512, 1);
    private final MemoryDevice file = new MemoryDevice(1000, 4096);
    private final MemoryOpener opener = new MemoryOpener().with("/s", store).with("/f", file);

    @Test
    void sharedStoreIsOpenedOnceAndClosedWithItsLastDevice() throws IOException {
        Map<String, TableDevice> devices = open("b: 0 8 cow i /base /s 8\na: 0 16 cow i /base /s 8");
        assertThat(devices.keySet()).containsExactly("b", "a");
        assertThat(opener.stores)
                .containsExactly(new StoreSpec("i", Optional.of(Path.of("/base")), Path.of("/s"), 4096, 16 * 512));
        devices.get("a").write(0, ByteBuffer.allocateDirect(1).put(0, (byte) 77));
        ByteBuffer read = ByteBuffer.allocateDirect(1);
        devices.get("b").read(0, read);
        assertThat(read.get(0)).isEqualTo((byte) 77);
        devices.get("b").close();
        assertThat(store.closes).isZero();
        assertThat(store.flushes).isEqualTo(1);
        devices.get("a").close();
        assertThat(store.closes).isEqualTo(1);
    }

    @Test
    void fileIsOpenedOnceForAllItsTargets() throws IOException {
        open("a: 0 1 linear /f 0\nb: 0 1 linear /f 0");
        assertThat(opener.files).containsExactly(Path.of("/f"));
    }

    @Test
    void fileMustHoldItsTargetsInWholeSectors() {
        assertThatThrownBy(() -> open("0 8 cow i /base /s 8\n8 2 linear /f 0"))
                .isInstanceOf(TableMismatchException.class)
                .hasMessage(
                        "device 'vm' line 2: /f has 1 whole sectors, but OFFSET 0 + LENGTH 2 is 2; correct the line,"
                                + " or enlarge the file");
        assertThat(opener.stores).isEmpty();
        assertThat(file.closes).isEqualTo(1);
    }

    @Test
    void storeMustHoldItsTargets() {
        assertThatThrownBy(() -> open("0 17 cow i /base /s 8"))
                .isInstanceOf(TableMismatchException.class)
                .hasMessage("device 'vm' line 1: /s has 8192 bytes, but the target ends at byte 8704; resize it, or"
                        + " shorten the table");
        assertThat(store.closes).isEqualTo(1);
    }

    @Test
    void partialLastSectorEndsTheDevice() throws IOException {
        opener.with("/odd", new MemoryDevice(8 * 512 + 100, 4096));
        TableDevice device = open("0 9 cow o /base /odd 8").get("vm");
        assertThat(device.sizeBytes()).isEqualTo(8 * 512 + 100);
        device.write(8 * 512, ByteBuffer.allocateDirect(100));
        assertThatThrownBy(() -> open("0 16 cow o /base /odd 8\n16 1 zero")).isInstanceOf(TableMismatchException.class);
    }

    @Test
    void whatWasOpenedIsClosedWhenTheRestFails() {
        file.failure = new IOException("close fails");
        assertThatThrownBy(() -> open("0 1 linear /f 0\n1 7 zero\n8 8 cow i /base /s 8\n16 8 cow j /base /missing 8"))
                .isInstanceOf(FileNotFoundException.class)
                .hasSuppressedException(file.failure);
        assertThat(store.closes).isEqualTo(1);
        assertThat(file.closes).isEqualTo(1);
    }

    @Test
    void alteredRunsAreServedThroughTheStore() throws IOException {
        Map<String, TableDevice> devices = open("0 8 linear /s 12345\n8 8 cow i /base /s 8");
        ByteBuffer read = ByteBuffer.allocateDirect(16 * 512);
        devices.get("vm").read(0, read);
        assertThat(read.flip()).isEqualTo(ByteBuffer.wrap(store.bytes()));
        assertThat(opener.files).isEmpty();
        assertThat(devices.get("vm").table().targets()).hasSize(1);
    }

    private Map<String, TableDevice> open(String text) throws IOException {
        List<DeviceTable> tables = TableParser.parse(new StringReader(text), "vm.table", "vm");
        return TableDevices.open(tables, opener);
    }
}
