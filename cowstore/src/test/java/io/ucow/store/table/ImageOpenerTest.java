package io.ucow.store.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucow.store.CowDevice;
import io.ucow.store.CreateOptions;
import io.ucow.store.Images;
import io.ucow.store.OpenOptions;
import io.ucow.sys.Errno;
import java.io.IOException;
import java.io.StringReader;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tables over real images. */
class ImageOpenerTest {
    private static final int BASE_SIZE = 100_000;
    private static final int SECTORS = 196;

    @TempDir
    Path directory;

    private final Random random = new Random(6);
    private final byte[] baseContent = new byte[BASE_SIZE];
    private byte[] expected;
    private Path base;
    private Path store;
    private String table;

    @BeforeEach
    void makeBase() throws IOException {
        random.nextBytes(baseContent);
        expected = Arrays.copyOf(baseContent, SECTORS * Target.SECTOR_BYTES);
        base = Files.write(directory.resolve("base.img"), baseContent);
        store = directory.resolve("vm.cow");
        table = "0 " + SECTORS + " cow vm " + base + " " + store + " 8\n";
    }

    @Test
    void storeIsMadeAndItsPrintedTableOpensTheSameDevice() throws IOException {
        String printed;
        try (TableDevice device = open(false, table)) {
            write(device, 5000, 20_000);
            write(device, 60_000, 10);
            device.discard(80_000, 8192);
            Arrays.fill(expected, 80_000, 88_192, (byte) 0);
            assertContent(device);
            printed = printed(device.table(), (CowDevice) device.stores().get("vm"));
        }
        assertThat(printed).contains(" cow vm ", " linear " + store);
        try (TableDevice device = open(false, printed)) {
            assertContent(device);
            write(device, 0, expected.length);
            assertContent(device);
        }
        assertThat(Files.readAllBytes(base)).isEqualTo(baseContent);
    }

    @Test
    void oddSizeSurvivesItsTable() throws IOException {
        Images.create(new CreateOptions(store, Optional.of(base), OptionalLong.empty(), 4096, "ucow"));
        String printed;
        try (CowDevice device = Images.open(store, false)) {
            assertThat(device.sizeBytes()).isEqualTo(BASE_SIZE);
            printed = printed(new DeviceTable("vm", List.of(Target.Cow.of("vm", device.info()))), device);
        }
        try (TableDevice device = open(false, printed)) {
            assertThat(device.sizeBytes()).isEqualTo(BASE_SIZE);
        }
    }

    @Test
    void storeBehindLinearLinesAloneIsRefused() throws IOException {
        final String printed;
        table = table.replace("0 196", "0 192");
        expected = Arrays.copyOf(expected, 192 * Target.SECTOR_BYTES);
        try (TableDevice device = open(false, table)) {
            write(device, 0, expected.length);
            printed = printed(device.table(), (CowDevice) device.stores().get("vm"));
        }
        assertThat(printed).doesNotContain("cow vm");
        // Nothing says that this text is fresh: the slots may belong to other chunks by now.
        assertThatThrownBy(() -> open(false, printed))
                .isInstanceOf(TableMismatchException.class)
                .hasMessageContaining("is a ucow image");
    }

    @Test
    void readOnlyNeedsAStore() throws IOException {
        assertThatThrownBy(() -> open(true, table))
                .satisfies(t -> assertThat(Errno.of(t)).isEqualTo(Errno.ENOENT));
        assertThat(store).doesNotExist();
        open(false, table).close();
        try (TableDevice device = open(true, table)) {
            assertThat(device.isReadOnly()).isTrue();
            assertContent(device);
        }
    }

    @Test
    void otherChunkSizeIsRefusedAndTheStoreAsItWas() throws IOException {
        open(false, table).close();
        byte[] before = Files.readAllBytes(store);
        assertThatThrownBy(() -> open(false, table.replace(" 8\n", " 16\n")))
                .isInstanceOf(TableMismatchException.class)
                .hasMessage(store + " has chunks of 8 sectors, but the table says 16 for ident 'vm'; correct CHUNK, or"
                        + " name another COWDEV");
        assertThat(store).hasBinaryContent(before);
        open(false, table).close();
    }

    @Test
    void otherBaseIsRefused() throws IOException {
        open(false, table).close();
        Path copy = Files.copy(base, directory.resolve("copy.img"));
        assertThatThrownBy(() -> open(false, table.replace(base.toString(), copy.toString())))
                .isInstanceOf(TableMismatchException.class)
                .hasMessage(store + " was made on base " + base + ", but the table says " + copy
                        + " for ident 'vm'; correct BASE, or name another COWDEV");
        assertThatThrownBy(() -> open(false, table.replace(base.toString(), "-")))
                .isInstanceOf(TableMismatchException.class);
        Path link = Files.createSymbolicLink(directory.resolve("link.img"), base);
        open(false, table.replace(base.toString(), link.toString())).close();
    }

    private static TableDevice open(boolean readOnly, String text) throws IOException {
        List<DeviceTable> tables = TableParser.parse(new StringReader(text), "vm.table", "vm");
        return TableDevices.open(tables, new ImageOpener(OpenOptions.of(readOnly), CreateOptions.DEFAULT_FORMAT))
                .get("vm");
    }

    private static String printed(DeviceTable table, CowDevice device) throws IOException {
        StringBuilder out = new StringBuilder();
        new TablePrinter(out, false).printSplit(table, cow -> device::forEachExtent);
        return out.toString();
    }

    private void write(TableDevice device, int offset, int length) throws IOException {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        System.arraycopy(bytes, 0, expected, offset, length);
        device.write(offset, ByteBuffer.allocateDirect(length).put(bytes).flip());
    }

    private void assertContent(TableDevice device) throws IOException {
        ByteBuffer read = ByteBuffer.allocateDirect(expected.length);
        device.read(0, read);
        assertThat(read.flip()).isEqualTo(ByteBuffer.wrap(expected));
    }
}
